"""The hooks that a user pastes into the settings of a coding agent. Pure."""

from __future__ import annotations

from coord_hooks.programs import PROGRAMS
from coord_kernel.cli import dialects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope.codec import Json
    from coord_hooks.programs import Program

SECONDS = 10
"""The time limit of a hook."""
WAITED_H = 24
"""How many hours a waiter waits for mail, after which an idle session is woken no more."""
WAKING: Json = {"timeout": WAITED_H * 3_600 + 60, "asyncRewake": True}
"""How Claude Code runs a waiter: in the background, and what it says wakes the session."""


def settings(program: str, agent: str, keep: bool = False) -> Json | str:
    """The hooks of one program, for an agent; with `keep` none that gives back at the end.

    As JSON, or as the text of a file. COORD_AGENT names another agent, if it is set when the
    program starts.
    """
    known = PROGRAMS[program]
    if known["form"] == "plugin":
        from coord_hooks.plugins import plugin

        return plugin(program, agent, keep)
    found = hooks(program, agent, keep)
    if known["form"] == "toml":
        return "\n".join(_tables(found))
    if known["form"] == "list":
        flat = {event: [_flat(hook) for _, hook in each] for event, each in found.items()}
        return {"version": 1, "hooks": flat}
    return {"hooks": {event: _groups(each) for event, each in found.items()}}


def hooks(program: str, agent: str, keep: bool = False) -> dict[str, list[tuple[str, Json]]]:
    """Event → its hooks, each a matcher of tools ("" for all) and the command with its limits."""
    known, name = PROGRAMS[program], dialects.PROGRAMS[program]
    option = f'--as "${{COORD_AGENT:-{agent}}}"'
    own = "" if program == "claude" else f"{program} "  # the default
    found: dict[str, list[tuple[str, Json]]] = {}
    for event, moment in dialects.DIALECTS[name]["moments"].items():
        if moment in known.get("without", ()) or (keep and moment == "end"):
            continue
        each = [
            (known["editors"] if what == "edit" else "", _hook(known, what, own, option, program))
            for what in _wanted(known, moment, dialects.DIALECTS[name]["told"])
        ]
        if moment == "stop" and program == "claude":
            command = f"msg hook claude --wait {WAITED_H}h {option}"
            each.append(("", {"type": "command", "command": command, **WAKING}))
        if each:
            found[event] = each
    return found


def _wanted(known: Program, moment: str, told: tuple[str, ...]) -> Iterator[str]:
    """What runs at a moment."""
    if moment == known.get("intro", "start"):
        yield "start"
    if moment in ("start", "prompt", "after", "stop") and moment in told:
        yield "mail"
    if moment == "before":
        yield "edit"
    if moment not in ("start", "end"):
        yield "seen"
    if moment == "end":
        yield "end"


def _hook(known: Program, what: str, own: str, option: str, program: str) -> Json:
    command = f"coord-hooks {what} {own}{option}"
    if what == "mail":
        command = f"msg hook {program} {option}"
    seconds = known.get("last", SECONDS) if what == "end" else SECONDS
    return {"type": "command", "command": command, "timeout": seconds * known.get("unit", 1)}


def _groups(hooks: list[tuple[str, Json]]) -> list[Json]:
    return [{**({"matcher": tools} if tools else {}), "hooks": [hook]} for tools, hook in hooks]


def _flat(hook: Json) -> Json:
    return {"type": hook["type"], "command": hook["command"], "timeoutSec": hook["timeout"]}


def _tables(found: dict[str, list[tuple[str, Json]]]) -> Iterator[str]:
    """The hooks as arrays of tables of TOML. No string in them has a single quote."""
    for event, hooks in found.items():
        for tools, hook in hooks:
            yield "[[hooks]]"
            yield f'event = "{event}"'
            if tools:
                yield f'matcher = "{tools}"'
            yield f"command = '{hook['command']}'"
            yield f"timeout = {hook['timeout']}\n"
