"""The session of an agent that a job runs: it starts and ends with the attempt. Pure.

A job whose COORD_AGENT names an agent runs a session of it. Its COORD_SESSION is a new one for
each attempt, unless the request has one. The start names the lock that the attempt holds, so that
its death is seen even if nobody is left to write its end. With COORD_KEEP neither is written:
whoever resumes the session keeps what it holds.
"""

from __future__ import annotations

import os

from coord_envelope.event import address, name_ok
from coord_run.logs import place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_run.substrate import Command

_HOW = {"exit": "exit", "signal": "crash", "error": "crash"}


def agent_of(env: Json) -> str | None:
    """The address of the agent that a job runs; None if it runs none."""
    try:
        return address(env["COORD_AGENT"]) if env.get("COORD_AGENT") else None
    except ValueError:
        return None


def about(env: Json, work: str | None, pool: str | None = None) -> Json:
    """What the claim of a job says it concerns: `agent`, `pool`, `work_id`.

    The pool is that of its worker, or COORD_POOL.
    """
    agent, named = agent_of(env), env.get("COORD_POOL")
    pool = pool or (named if isinstance(named, str) and name_ok(named) else None)
    fields = {"agent": agent, "pool": pool, "work_id": work if agent or pool else None}
    return {name: text for name, text in fields.items() if text}


def variables(env: Json, run: str, n: int) -> dict[str, str]:
    """What the environment of a job needs, to be a session of its agent."""
    if agent_of(env) is None or env.get("COORD_SESSION"):
        return {}
    return {"COORD_SESSION": f"{run}.{n}"}


def started(run: str, n: int, command: Command) -> Json | None:
    """The `session.started` of an attempt, if it is a session."""
    agent = agent_of(command.env)
    if agent is None or command.env.get("COORD_KEEP"):
        return None
    body = {
        "agent": agent,
        "session": command.env["COORD_SESSION"][:256],
        "pin": "/".join(place(run, str(n), "pin")),
        "cwd": os.path.normpath(os.path.join(command.root, command.below)),
        "run": run,
    }
    work = command.env.get("COORD_WORK")
    body |= {"work": work[:256]} if work else {}
    return {"type": "session.started", "refs": {"run_id": run}, "body": body}


def ended(start: Event, outcome: str, code: object) -> Json:
    """The `session.ended` for a start, given the outcome of the attempt."""
    names = {name: start["body"][name] for name in ("agent", "session")}
    body = names | {"how": _HOW.get(outcome, "stopped"), "start": start.id}
    status = {"code": code} if type(code) is int else {}
    return {"type": "session.ended", "refs": start["refs"], "body": body | status}
