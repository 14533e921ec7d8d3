"""The forms of settings and of a hook's output, as Claude Code and Codex document them.

And a program that runs the pasted hooks, as they do.
"""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
from support import Shell

TEXT = {"type": "string", "minLength": 1}
ANSWER = {
    "type": "object",
    "properties": {
        "hookSpecificOutput": {
            "type": "object",
            "properties": {
                "hookEventName": {
                    "enum": ["SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse"]
                },
                "additionalContext": TEXT,
                "permissionDecision": {"enum": ["allow", "deny", "ask"]},
                "permissionDecisionReason": TEXT,
            },
            "required": ["hookEventName"],
            "additionalProperties": False,
        },
        "decision": {"const": "block"},
        "reason": TEXT,
    },
    "dependentRequired": {"decision": ["reason"]},
    "additionalProperties": False,
}
"""The output of a hook that both programs document, as far as these hooks use it."""
SETTINGS = {
    "type": "object",
    "required": ["hooks"],
    "additionalProperties": False,
    "properties": {
        "hooks": {
            "propertyNames": {
                "enum": [
                    *("SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse"),
                    *("Notification", "PreCompact", "Stop", "SessionEnd"),
                ]
            },
            "additionalProperties": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["hooks"],
                    "additionalProperties": False,
                    "properties": {
                        "matcher": TEXT,
                        "hooks": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "required": ["type", "command"],
                                "additionalProperties": False,
                                "properties": {
                                    "type": {"const": "command"},
                                    "command": TEXT,
                                    "timeout": {"enum": [3, 10, 86_460]},
                                    "asyncRewake": {"const": True},
                                },
                            },
                        },
                    },
                },
            },
        }
    },
}
"""The settings that both programs document."""


def given(event: str, **more: Any) -> str:
    return json.dumps(
        {"session_id": "s1", "transcript_path": None, "hook_event_name": event, **more}
    )


def edits(path: str, tool: str = "Edit", **more: Any) -> str:
    return given(
        "PreToolUse", tool_name=tool, tool_input={"file_path": path, "content": "x"}, **more
    )


def patches(*lines: str) -> str:
    body = "\n".join(("*** Begin Patch", *lines, "*** End Patch"))
    return given("PreToolUse", tool_name="apply_patch", tool_input={"command": body})


def hook(shell: Shell, command: str, stdin: str, err: str | None = "", **env: str) -> Any:
    """Its output, valid for a program; status 0, and stderr as expected."""
    done = shell(command, stdin, 0, **env)
    assert err is None or done.err == err
    jsonschema.validate(done.one, ANSWER)
    return done.one


def pasted(shell: Shell, program: str) -> dict[str, list[tuple[str, str]]]:
    """The commands of the printed settings by event, each with its matcher; no waiter."""
    done = shell(f"coord-hooks settings {program} --as qa", COORD_AGENT="")
    found = json.loads(done.out)
    jsonschema.validate(found, SETTINGS)
    return {
        event: [
            (group.get("matcher", ""), one["command"])
            for group in groups
            for one in group["hooks"]
            if "asyncRewake" not in one
        ]
        for event, groups in found["hooks"].items()
    }


def fire(shell: Shell, program: str, stdin: str, **env: str) -> list[Any]:
    """Do as a program does: run the commands whose matcher fits the event, with the JSON on stdin."""
    event = json.loads(stdin)
    wanted = pasted(shell, program).get(event["hook_event_name"], [])
    tool = event.get("tool_name", "")
    fitting = [command for matcher, command in wanted if not matcher or re.fullmatch(matcher, tool)]
    answers = [hook(shell, command, stdin, err=None, **env) for command in fitting]
    names = {
        one["hookSpecificOutput"]["hookEventName"] for one in answers if "hookSpecificOutput" in one
    }
    assert names <= {event["hook_event_name"]} - {"Stop", "SessionEnd"}
    assert event["hook_event_name"] == "Stop" or not any("decision" in one for one in answers)
    return answers


def context(answers: list[Any]) -> str:
    return "\n".join(one["hookSpecificOutput"]["additionalContext"] for one in answers if one)
