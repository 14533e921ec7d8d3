// coord for pi: mail, leases and presence. Printed by `coord-hooks settings pi`.
import { spawn } from "node:child_process"

const agent = process.env.COORD_AGENT || "AGENT"
const keep = KEEP

// Run a hook as other programs do: JSON in, JSON out. A failure stops nothing.
const hook = (argv: string[], input: any): Promise<any> =>
  new Promise((resolve) => {
    const [command, ...words] = argv
    const child = spawn(command, [...words, "--as", agent], { cwd: input.cwd, timeout: 10000 })
    let output = ""
    child.stdout.on("data", (data) => (output += data))
    child.on("error", () => resolve({}))
    child.stdin.on("error", () => {})
    child.on("close", () => {
      try {
        resolve(JSON.parse(output))
      } catch {
        resolve({})
      }
    })
    child.stdin.end(JSON.stringify(input))
  })

const context = (answer: any): string =>
  answer.hookSpecificOutput?.additionalContext || answer.reason || ""

export default function (pi: any) {
  let introduction: string | undefined
  let answered = ""

  const input = (event: string, ctx: any, more: any = {}) => ({
    hook_event_name: event,
    session_id: ctx.sessionManager.getSessionId(),
    cwd: ctx.cwd,
    ...more,
  })
  const begin = async (ctx: any) => {
    // The shell of the agent acts for it.
    process.env.COORD_AGENT = agent
    process.env.COORD_SESSION = process.env.COORD_SHELL = ctx.sessionManager.getSessionId()
    const start = input("SessionStart", ctx)
    const texts = []
    for (const argv of [["coord-hooks", "start"], ["msg", "hook", "pi"]])
      texts.push(context(await hook(argv, start)))
    introduction = texts.filter(Boolean).join("\n")
  }

  pi.on("before_agent_start", async (event: any, ctx: any) => {
    if (introduction === undefined) await begin(ctx)
    const prompt = input("UserPromptSubmit", ctx)
    const text = context(await hook(["msg", "hook", "pi"], prompt))
    await hook(["coord-hooks", "seen"], prompt)
    return {
      systemPrompt: `${event.systemPrompt}\n\n${introduction}`,
      ...(text ? { message: { customType: "coord", content: text, display: true } } : {}),
    }
  })
  pi.on("tool_call", async (event: any, ctx: any) => {
    const more = { tool_name: event.toolName, tool_input: event.input }
    const before = input("PreToolUse", ctx, more)
    if (/^(EDITORS)$/.test(event.toolName)) {
      const answer = await hook(["coord-hooks", "edit"], before)
      const reason = answer.hookSpecificOutput?.permissionDecisionReason
      if (reason) return { block: true, reason }
    }
    await hook(["coord-hooks", "seen"], before)
  })
  pi.on("tool_result", async (event: any, ctx: any) => {
    const after = input("PostToolUse", ctx, { tool_name: event.toolName })
    const text = context(await hook(["msg", "hook", "pi"], after))
    if (text) return { content: [...event.content, { type: "text", text }] }
  })
  pi.on("agent_end", async (event: any, ctx: any) => {
    const last = event.messages?.filter((message: any) => message.role === "assistant").pop()
    const parts = Array.isArray(last?.content) ? last.content : []
    answered = parts.map((part: any) => part.text || "").join("")
    await hook(["coord-hooks", "seen"], input("Stop", ctx, { last_assistant_message: answered }))
  })
  pi.on("session_shutdown", async (event: any, ctx: any) => {
    const more = { reason: event.reason, last_assistant_message: answered }
    if (!keep && introduction !== undefined)
      await hook(["coord-hooks", "end"], input("SessionEnd", ctx, more))
    introduction = undefined
  })
}
