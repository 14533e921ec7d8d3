"""What Claude Code and Codex document of their hooks: the settings, and what a hook may print."""

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
"""What both programs document that a hook may print, as far as these do."""
SETTINGS = {
    "type": "object",
    "required": ["hooks"],
    "additionalProperties": False,
    "properties": {
        "hooks": {
            "propertyNames": {
                "enum": ["SessionStart", "UserPromptSubmit", "PreToolUse", "Stop", "SessionEnd"]
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
                                    "timeout": {"const": 10},
                                },
                            },
                        },
                    },
                },
            },
        }
    },
}
"""The settings both programs document."""
