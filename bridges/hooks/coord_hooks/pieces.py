"""The hooks that a user pastes into the settings of a coding agent. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json

WHERE = {"claude": ".claude/settings.local.json", "codex": ".codex/hooks.json"}
EDITORS = {
    "claude": "Edit|MultiEdit|Write|NotebookEdit",
    "codex": "apply_patch|Edit|Write|Bash",  # a patch may come in a shell command
}
SECONDS, LAST_SECONDS = 10, {"claude": 10, "codex": 3}
"""Time limits of the hooks, and of the one at the end, which Codex limits to 3 seconds."""


def settings(program: str, agent: str, keep: bool = False) -> Json:
    """The hooks of one program, for an agent; with `keep` none that gives back at the end.

    COORD_AGENT names another agent, if it is set when the program starts.
    """
    agent_option = f'--as "${{COORD_AGENT:-{agent}}}"'
    mail = _commands(f"msg hook {program} {agent_option}")
    edit = _commands(f"coord-hooks edit {agent_option}")
    seen = _commands(f"coord-hooks seen {agent_option}")
    hooks = {
        "SessionStart": [*_commands(f"coord-hooks start {agent_option}"), *mail],
        "UserPromptSubmit": [*mail, *seen],
        "PreToolUse": [{"matcher": EDITORS[program], **edit[0]}, *seen],
        "PostToolUse": seen,
        "Stop": [*mail, *seen],
    }
    if program == "claude":
        hooks["Notification"] = seen
    if not keep:
        end = f"coord-hooks end {agent_option}"
        hooks["SessionEnd"] = _commands(end, LAST_SECONDS[program])
    return {"hooks": hooks}


def _commands(command: str, seconds: int = SECONDS) -> list[Json]:
    return [{"hooks": [{"type": "command", "command": command, "timeout": seconds}]}]
