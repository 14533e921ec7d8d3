"""A waiter: it wakes an idle coding agent when mail comes, by the status with which it ends.

The program starts it at the end of a turn, in the background, and when it ends with status 2 gives
what it wrote on stderr to the model. It ends

1. with 2 and the notice, once mail is there that the session was not told of
2. with 0, when the session is busy again or over, its time is over, or the program is gone
3. with 0 at once, if another waits for this session: every end of a turn starts one

At the end of a turn another hook tells what waits already (`hook`). Both run at once, so what is
there at the beginning is left to that one for a moment.
"""

from __future__ import annotations

import os

from coord_envelope import Usage, world
from coord_kernel.cli import dialects, process, session
from coord_kernel.store import machine, pins
from coord_kernel.store.disk import write_all
from coord_msg import fold, hook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call

WAKES = ("claude",)
"""The programs that give what a hook says in the background to the model."""
WOKEN = 2
LEFT_MS = 1_500
"""How long the other hook of the same moment has."""
_HEADLESS = "sdk"
"""How Claude Code says in CLAUDE_CODE_ENTRYPOINT that it has no terminal.

Then it ends after its turn, but not before its hooks.
"""


def wait(call: Call, program: str, event: str | None, span_ms: int) -> None:
    """Wait up to `span_ms` for mail, and leave with status 2 if some came.

    Raises Fault, OSError.
    """
    if program in dialects.PROGRAMS and program not in WAKES:
        todo = f"--wait is for {' and '.join(WAKES)}"
        raise Usage(f"a hook in the background does not wake {program}", todo=todo)
    asked = hook.Asked(call, program, event)
    headless = (world.getenv("CLAUDE_CODE_ENTRYPOINT") or "").startswith(_HEADLESS)
    if session.is_subagent(asked.fields) or (headless and not world.getenv("COORD_WAIT")):
        return
    if not asked.actor.get("session_id"):
        raise Usage("no session_id on standard input", todo="without it nobody can be woken")
    if pins.take(call.journal.store, "local", "waiting", _name(asked.actor)) is None:
        return
    left_ms = 0 if asked.fields.get("stop_hook_active") else LEFT_MS
    if _came(call, asked.actor, span_ms, left_ms):
        text, acks = hook.notice(call, asked.actor)
        if text:
            write_all(2, f"{text}\n".encode())
            call.journal.append(asked.actor, acks)
            process.leave(WOKEN)


def _name(actor: Json) -> str:
    import hashlib  # OpenSSL: 3 ms

    who = f"{actor['agent_id']} {actor['session_id']}"
    return hashlib.sha256(who.encode()).hexdigest()[:32]


def _came(call: Call, actor: Json, span_ms: int, left_ms: int) -> bool:
    """Is there mail that the session was not told of, before anything else ends the wait?"""
    begin, parent = machine.boot_ns(), os.getppid()
    follower = call.journal.follow(call.journal.end())

    def left(ms: int) -> float:
        return ms - (machine.boot_ns() - begin) / 1e6

    def within() -> float:
        return max(1.0, left(left_ms) if left(left_ms) > 0 else left(span_ms))

    first = True
    for batch in follower.batches(within=within, also=_watched(parent)):
        mail = _mail(batch, actor)
        if mail is None or os.getppid() != parent or left(span_ms) <= 0:
            return False
        if left(left_ms) > 0:
            continue
        if (mail or first) and hook.notice(call, actor)[0]:
            return True
        first = False
    return False


def _mail(batch: Iterator[Event], actor: Json) -> bool | None:
    """Is there mail for the agent among the events? None: its session is busy or over."""
    mail, ends = False, False
    for event in batch:
        ends = ends or _ends(event, actor)
        mail = mail or actor["agent_id"] in fold.recipients(event)
    return None if ends else mail


def _ends(event: Event, actor: Json) -> bool:
    """Does it say that the session is busy, or over?"""
    kind, body, writer = event["type"], event["body"], event["actor"]
    if kind not in ("agent.seen", "session.ended"):
        return False
    agent = body.get("agent", writer["agent_id"])
    whose = (agent, body.get("session", writer.get("session_id")))
    if whose != (actor["agent_id"], actor["session_id"]):
        return False
    return kind == "session.ended" or bool(body.get("status") == "busy")


def _watched(parent: int) -> int | None:
    """A descriptor that becomes readable when the parent ends, where there is such a thing."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(parent)
    except OSError:  # it has ended
        return None
