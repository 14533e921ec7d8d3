"""What a user pastes into the settings of an agent's program. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json

WHERE = {"claude": ".claude/settings.local.json", "codex": ".codex/hooks.json"}
EDITORS = {"claude": "Edit|MultiEdit|Write|NotebookEdit", "codex": "apply_patch|Edit|Write"}
SECONDS = 10


def settings(program: str, agent: str) -> Json:
    """The hooks of one of the programs, for an agent that COORD_AGENT may name otherwise when the program starts."""
    who = f'--as "${{COORD_AGENT:-{agent}}}"'
    mail = _runs(f"msg hook {program} {who}")
    hooks = {
        "SessionStart": [*_runs(f"coord-hooks start {who}"), *mail],
        "UserPromptSubmit": mail,
        "PreToolUse": [{"matcher": EDITORS[program], **_runs(f"coord-hooks edit {who}")[0]}],
        "Stop": mail,
    }
    if program == "claude":  # Codex has no such event
        hooks["SessionEnd"] = _runs(f"coord-hooks end {who}")
    return {"hooks": hooks}


def _runs(command: str) -> list[Json]:
    return [{"hooks": [{"type": "command", "command": command, "timeout": SECONDS}]}]
