"""How coding agents name the moments of a session to their hooks, and read the answers. Data, pure.

A hook reads JSON with `hook_event_name`, and prints JSON. The programs differ in four dialects:

    claude   context and refusals inside `hookSpecificOutput`; a Stop goes on by `decision: block`
    gemini   as claude, but with other names of events, and a refusal is `decision: deny` at the top
    copilot  context and refusals at the top
    plain    what is printed is shown as it is, with the prompt only

A moment is start, prompt, before or after (a tool), notice, compact, stop or end.
"""

from __future__ import annotations

from coord_envelope import codec, world

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    from coord_envelope.codec import Json

    class Dialect(TypedDict):
        moments: dict[str, str]
        """Name of an event → moment."""
        told: tuple[str, ...]
        """The moments at which the model is shown what a hook prints."""
        context: str
        refusal: str
        goes_on: str
        """The `decision` at the moment stop that makes the agent continue; "" if none does."""


_CLAUDE = {
    "SessionStart": "start",
    "UserPromptSubmit": "prompt",
    "PreToolUse": "before",
    "PostToolUse": "after",
    "Notification": "notice",
    "PreCompact": "compact",
    "Stop": "stop",
    "SessionEnd": "end",
}
_GEMINI = {
    "SessionStart": "start",
    "BeforeAgent": "prompt",
    "BeforeTool": "before",
    "AfterTool": "after",
    "Notification": "notice",
    "PreCompress": "compact",
    "AfterAgent": "stop",
    "SessionEnd": "end",
}
_TOLD = ("start", "prompt", "after", "stop")
DIALECTS: dict[str, Dialect] = {
    "claude": {
        "moments": _CLAUDE,
        "told": _TOLD,
        "context": "nested",
        "refusal": "nested",
        "goes_on": "block",
    },
    "gemini": {
        "moments": _GEMINI,
        "told": _TOLD,
        "context": "nested",
        "refusal": "decision",
        "goes_on": "deny",
    },
    "copilot": {
        "moments": _CLAUDE,
        "told": _TOLD,
        "context": "top",
        "refusal": "top",
        "goes_on": "block",
    },
    "plain": {
        "moments": _CLAUDE,
        "told": ("prompt",),
        "context": "text",
        "refusal": "nested",
        "goes_on": "",
    },
}
PROGRAMS = {
    "claude": "claude",
    "codex": "claude",
    "qwen": "claude",
    "droid": "claude",
    "kimi": "plain",
    "gemini": "gemini",
    "copilot": "copilot",
    "opencode": "claude",
    "pi": "claude",
}
"""Program → its dialect. Of the last two it is our own plugin that speaks it."""
HOOKED = {
    "claude": (".claude/settings.local.json", "groups"),
    "codex": (".codex/hooks.json", "groups"),
    "qwen": (".qwen/settings.json", "groups"),
    "droid": (".factory/settings.json", "groups"),
    "gemini": (".gemini/settings.json", "groups"),
    "copilot": (".github/hooks/coord.json", "file"),
    "kimi": ("~/.kimi-code/config.toml", "toml"),
    "opencode": (".opencode/plugin/coord.js", "file"),
    "pi": (".pi/extensions/coord.ts", "file"),
}
"""Program → where it reads its hooks, and how: groups of JSON among other settings, tables of TOML
among others, or a file that is ours."""


def context(dialect: Dialect, event: str, text: str) -> Json | str:
    """The answer that shows `text` to the model, at an event whose moment is in `told`."""
    if dialect["moments"].get(event) == "stop":
        return {"decision": dialect["goes_on"], "reason": text}
    if dialect["context"] == "text":
        return text
    if dialect["context"] == "top":
        return {"additionalContext": text}
    return {"hookSpecificOutput": {"hookEventName": event, "additionalContext": text}}


def printed(answer: Json | str) -> bytes:
    """What a hook writes to its standard output."""
    if isinstance(answer, str):
        return f"{answer}\n".encode() if answer else b""
    return codec.dumps(answer) + b"\n"


def refusal(dialect: Dialect, event: str, reason: str) -> Json:
    """The answer that refuses the use of a tool, at an event of the moment before."""
    if dialect["refusal"] == "decision":
        return {"decision": "deny", "reason": reason}
    fields: Json = {"permissionDecision": "deny", "permissionDecisionReason": reason}
    if dialect["refusal"] == "top":
        return fields
    return {"hookSpecificOutput": {"hookEventName": event, **fields}}


def ago(ts: str) -> str:
    """How long ago a stamp is, in few tokens: 5m ago."""
    try:
        seconds = max(0, world.now_ms() - world.parse_ts(ts)) // 1000
    except (ValueError, OverflowError):
        return "some time ago"
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit} ago"
    return f"{seconds}s ago"
