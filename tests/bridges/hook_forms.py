"""The forms of settings and of a hook's output, as Claude Code and Codex document them."""

from __future__ import annotations

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
                    *("Notification", "Stop", "SessionEnd"),
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
                                    "timeout": {"enum": [3, 10]},
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
