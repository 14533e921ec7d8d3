"""The plugin for opencode, with a program in its place that calls it. (pi: see tests/real.)"""

from __future__ import annotations

import json
import shutil

import pytest
from support import Shell

CALLER = """
import { Coord } from "./coord.mjs"
import { execFileSync } from "node:child_process"

const parents = { s1: undefined, sub: "s1" }
const client = { session: { get: async ({ path }) => ({ data: { parentID: parents[path.id] } }) } }
const hooks = await Coord({ client, directory: process.cwd() })
const system = async (sessionID) => {
  const output = { system: [] }
  await hooks["experimental.chat.system.transform"]({ sessionID }, output)
  return output.system.join("\\n")
}
const edit = async (sessionID, filePath) => {
  try {
    await hooks["tool.execute.before"]({ tool: "edit", sessionID }, { args: { filePath } })
    return ""
  } catch (error) {
    return error.message
  }
}
const after = async (sessionID) => {
  const output = { output: "read" }
  await hooks["tool.execute.after"]({ tool: "read", sessionID }, output)
  return output.output
}
const send = () => execFileSync("msg", "send --to qa --subject meanwhile --as fixer".split(" "))
const found = {}
await hooks["chat.message"]({ sessionID: "s1" }, {})
found.system = await system("s1")
await hooks["chat.message"]({ sessionID: "sub" }, {})
found.child = await system("sub")
send()
found.childTold = await after("sub")
found.told = await after("s1")
found.again = await after("s1")
found.refused = await edit("s1", "a.py")
found.childRefused = await edit("sub", "a.py")
found.allowed = await edit("s1", "b.py")
const output = { env: {} }
await hooks["shell.env"]({ sessionID: "s1" }, output)
found.env = output.env
await hooks.event({ event: { type: "session.idle", properties: { sessionID: "s1" } } })
await hooks.event({ event: { type: "session.deleted", properties: { info: { id: "s1" } } } })
console.log(JSON.stringify(found))
"""


def test_the_plugin_tells_mail_and_refuses_edits(shell: Shell) -> None:
    if not shutil.which("node"):
        pytest.skip("node is not installed")
    (shell.cwd / "coord.mjs").write_text(shell("coord-hooks settings opencode --as qa").out)
    (shell.cwd / "caller.mjs").write_text(CALLER)
    shell("msg send --to qa --subject before --as fixer --force")
    shell("lease acquire file:a.py --ttl 20m --as fixer")
    found = json.loads(shell("node caller.mjs", COORD_AGENT="").out)
    assert "You are agent:qa." in found["system"] and "before" in found["system"]
    assert found["child"] == ""
    assert found["childTold"] == found["again"] == "read"
    assert found["told"].startswith("read\n\n") and "meanwhile" in found["told"]
    assert "is held by agent:fixer as file:a.py" in found["refused"]
    assert found["childRefused"] == found["refused"]
    assert found["allowed"] == ""
    assert found["env"] == {"COORD_AGENT": "qa", "COORD_SESSION": "s1", "COORD_SHELL": "s1"}
    beats = [beat["body"]["status"] for beat in shell("ev tail --type agent.seen").lines]
    assert beats == ["busy", "idle"]
    kinds = [event["type"] for event in shell("ev replay --type 'session.*'").lines]
    assert kinds == ["session.started", "session.ended"]
