"""What real coding agents gave to their hooks: the shapes, with our texts. See tests/real/.

Recorded with claude 2.1.197, codex 0.171.0, gemini 0.61.0, qwen 0.24.4, copilot 1.0.102,
droid 0.225.2 and kimi 2.1.0. REPO stands for the directory that they were started in.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
FIELDS: dict[str, Json] = {
    "claude": {"transcript_path": "/x.jsonl", "permission_mode": "default", "prompt_id": "p"},
    "codex": {"turn_id": "t", "transcript_path": "/x.jsonl", "model": "m"},
    "gemini": {"transcript_path": "/x.json", "timestamp": "2026-11-30T14:24:02.718Z"},
    "qwen": {"transcript_path": "/x.jsonl", "permission_mode": "yolo", "prompt_id": "p###0"},
    "copilot": {"timestamp": "2026-11-30T14:23:19.934Z"},
    "droid": {"transcript_path": "/x.jsonl", "permission_mode": "auto-high"},
    "kimi": {"client_type": "kimi_code_cli"},
}
"""What is in the input at every event."""
NAMES = {
    "gemini": {
        "UserPromptSubmit": "BeforeAgent",
        "PreToolUse": "BeforeTool",
        "PostToolUse": "AfterTool",
        "Stop": "AfterAgent",
    }
}
"""Names of events, where they are not Claude Code's."""
EDITS: dict[str, tuple[str, Json]] = {
    "claude": ("Edit", {"file_path": "REPO/src/a.py", "old_string": "1", "new_string": "2"}),
    "codex": (
        "Bash",
        {
            "command": "cd src && apply_patch <<'EOF'\n*** Begin Patch\n*** Update File: a.py\n@@\n-1\n+2\nEOF\n"
        },
    ),
    "gemini": ("replace", {"file_path": "src/a.py", "instruction": "x", "old_string": "1"}),
    "qwen": ("edit", {"file_path": "REPO/src/a.py", "old_string": "1", "new_string": "2"}),
    "copilot": ("Edit", {"path": "REPO/src/a.py", "old_str": "1", "new_str": "2"}),
    "droid": ("Edit", {"file_path": "REPO/src/a.py", "old_str": "1", "new_str": "2"}),
    "kimi": ("Edit", {"path": "REPO/src/a.py", "old_string": "1", "new_string": "2"}),
}
"""The tool that changes src/a.py, and its input."""
READS: dict[str, tuple[str, Json]] = {
    "claude": ("Read", {"file_path": "REPO/src/a.py"}),
    "codex": ("Bash", {"command": "cat src/a.py"}),
    "gemini": ("read_file", {"file_path": "src/a.py"}),
    "qwen": ("read_file", {"file_path": "REPO/src/a.py"}),
    "copilot": ("Read", {"path": "REPO/src/a.py"}),
    "droid": ("Read", {"file_path": "REPO/src/a.py"}),
    "kimi": ("ReadFile", {"path": "REPO/src/a.py"}),
}
"""The tool that reads it."""
STOPS: dict[str, Json] = {
    "claude": {"stop_hook_active": False, "last_assistant_message": "SAID", "background_tasks": []},
    "codex": {"stop_hook_active": False, "last_assistant_message": "SAID"},
    "gemini": {"prompt": "Do it", "prompt_response": "SAID", "stop_hook_active": False},
    "qwen": {"stop_hook_active": False, "last_assistant_message": "SAID", "crons": []},
    "copilot": {"stop_reason": "end_turn", "stop_hook_active": False},
    "droid": {"stop_hook_active": False, "tool_execution_count": 0, "message_id": "m"},
    "kimi": {"stop_hook_active": False},
}
"""What is in the input at the end of a turn."""
TOLD = {
    "codex": "nested",
    "claude": "nested",
    "gemini": "nested",
    "qwen": "nested",
    "droid": "nested",
    "copilot": "top",
    "kimi": "text",
}
"""In which form each was seen to show context to its model."""


def event(program: str, name: str, repo: str, **more: Any) -> Json:
    """The input of a program's hook at an event, by Claude Code's name of it."""
    own = NAMES.get(program, {}).get(name, name)
    base = {"session_id": "s1", "cwd": repo, "hook_event_name": own}
    return base | FIELDS[program] | more


def tool(program: str, name: str, repo: str, used: tuple[str, Json]) -> Json:
    """The same of a tool."""
    fields = {key: text.replace("REPO", repo) for key, text in used[1].items()}
    return event(program, name, repo, tool_name=used[0], tool_input=fields)
