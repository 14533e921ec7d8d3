"""The hooks that a user pastes into the settings of a coding agent. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json

WHERE = {"claude": ".claude/settings.local.json", "codex": ".codex/hooks.json"}
EDITORS = {"claude": "Edit|MultiEdit|Write|NotebookEdit", "codex": "apply_patch|Edit|Write"}
SECONDS = 10


def settings(program: str, agent: str) -> Json:
    """The hooks of one program, for an agent.

    COORD_AGENT names another agent, if it is set when the program starts.
    """
    agent_option = f'--as "${{COORD_AGENT:-{agent}}}"'
    mail = _commands(f"msg hook {program} {agent_option}")
    edit = _commands(f"coord-hooks edit {agent_option}")
    hooks = {
        "SessionStart": [*_commands(f"coord-hooks start {agent_option}"), *mail],
        "UserPromptSubmit": mail,
        "PreToolUse": [{"matcher": EDITORS[program], **edit[0]}],
        "Stop": mail,
    }
    if program == "claude":  # Codex has no such event
        hooks["SessionEnd"] = _commands(f"coord-hooks end {agent_option}")
    return {"hooks": hooks}


def _commands(command: str) -> list[Json]:
    return [{"hooks": [{"type": "command", "command": command, "timeout": SECONDS}]}]
