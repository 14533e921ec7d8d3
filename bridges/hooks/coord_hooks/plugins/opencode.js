// coord for opencode: mail, leases and presence. Printed by `coord-hooks settings opencode`.
import { spawn } from "node:child_process"

const agent = process.env.COORD_AGENT || "AGENT"
const keep = KEEP

// Run a hook as other programs do: JSON in, JSON out. A failure stops nothing.
const hook = (argv, input) =>
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

const context = (answer) => answer.hookSpecificOutput?.additionalContext || answer.reason || ""

export const Coord = async ({ client, directory }) => {
  const notes = new Map() // session → what its model is told in the system prompt
  const children = new Map() // session → is it a subagent's, which has a parent?

  const isChild = async (id) => {
    if (!children.has(id)) {
      const found = await client.session.get({ path: { id } }).catch(() => ({}))
      children.set(id, Boolean(found.data?.parentID))
    }
    return children.get(id)
  }
  const input = (event, id, more) => ({
    hook_event_name: event,
    session_id: id,
    cwd: directory,
    ...more,
  })
  const begin = async (id) => {
    if (notes.has(id)) return
    notes.set(id, [])
    if (await isChild(id)) return
    const start = input("SessionStart", id)
    for (const argv of [["coord-hooks", "start"], ["msg", "hook", "opencode"]]) {
      const text = context(await hook(argv, start))
      if (text) notes.get(id).push(text)
    }
  }

  return {
    "chat.message": async ({ sessionID }) => {
      await begin(sessionID)
      if (await isChild(sessionID)) return
      const prompt = input("UserPromptSubmit", sessionID)
      const text = context(await hook(["msg", "hook", "opencode"], prompt))
      if (text) notes.get(sessionID).push(text)
      await hook(["coord-hooks", "seen"], prompt)
    },
    "experimental.chat.system.transform": async ({ sessionID }, output) => {
      output.system.push(...(notes.get(sessionID) || []))
    },
    "tool.execute.before": async ({ tool, sessionID }, { args }) => {
      const before = input("PreToolUse", sessionID, { tool_name: tool, tool_input: args })
      if (/^(EDITORS)$/.test(tool)) {
        const answer = await hook(["coord-hooks", "edit"], before)
        const reason = answer.hookSpecificOutput?.permissionDecisionReason
        if (reason) throw new Error(reason)
      }
      if (!(await isChild(sessionID))) await hook(["coord-hooks", "seen"], before)
    },
    "tool.execute.after": async ({ tool, sessionID }, output) => {
      if (await isChild(sessionID)) return
      const after = input("PostToolUse", sessionID, { tool_name: tool })
      const text = context(await hook(["msg", "hook", "opencode"], after))
      if (text && typeof output.output === "string") output.output += `\n\n${text}`
    },
    "shell.env": async ({ sessionID }, output) => {
      if (!sessionID || (await isChild(sessionID))) return
      output.env.COORD_AGENT = agent
      output.env.COORD_SESSION = output.env.COORD_SHELL = sessionID
    },
    event: async ({ event }) => {
      const id = event.properties?.sessionID || event.properties?.info?.id
      if (!notes.has(id) || (await isChild(id))) return
      if (event.type === "session.idle") await hook(["coord-hooks", "seen"], input("Stop", id))
      if (event.type === "session.deleted" && !keep)
        await hook(["coord-hooks", "end"], input("SessionEnd", id, { reason: "deleted" }))
    },
  }
}
