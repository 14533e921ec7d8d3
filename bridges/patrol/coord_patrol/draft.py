"""The events that a patrol writes. Pure: what is not in the act is an argument.

Each is mail to whoever it concerns: its body has a subject and a text. Those about a session name
it, the evidence, and how old that is.
"""

from __future__ import annotations

from coord_envelope import ids, world
from coord_kernel.rules import budget, presence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from coord_envelope.codec import Json
    from coord_kernel.controller import Act
    from coord_kernel.rules.budget import Level
    from coord_kernel.rules.health import Health, Held, Row

TYPES = {
    "nudge": "patrol.nudged",
    "reclaim": "patrol.reclaimed",
    "end": "session.ended",
    "escalate": "patrol.escalated",
    "quarantine": "patrol.quarantined",
    "notice": "patrol.noticed",
    "warned": "budget.warned",
    "paused": "budget.paused",
}
_ESCALATED = {
    "never": (
        "never came up",
        "started, and has shown no sign of life: did its login fail, is its account used up?",
    ),
    "waiting": ("waits for a person", "waits for a person."),
    "stalled": (
        "is stuck",
        "has shown no sign of life, and its process lives: is it stopped, or in one long call?",
    ),
}


def draft(act: Act, overseer: str, about: Json) -> Json:
    """The event of an act, with its key.

    `overseer` is the address of a person. `about` has what was looked up for a reclaim: `creator`
    of the item, `worktree` and `branch` of the session.
    """
    fields = _DRAFTS[act.kind](overseer=overseer, found=about, **act.about)
    return {"type": TYPES[act.kind], **fields, "idempotency_key": act.key}


def _nudge(row: Row, health: Health, n: int, **_: Any) -> Json:
    first, named = row["claims"][0], _named(row)
    text = (
        f"No sign of life for {_minutes(health)}. You hold {named}.\n"
        "If you are at work, go on: any command of these tools is a sign of life.\n"
        "If you cannot go on, say why with `wk comment`, then `wk release`."
    )
    body = _about(row, health) | {"claim": first["id"], "n": n}
    return {
        "to": [row["session"]["agent"]],
        "refs": {"work_id": first["work_id"]},
        "body": body | {"subject": f"Are you there? You hold {named}", "text": text},
    }


def _reclaim(row: Row, health: Health, claim: Held, found: Json, **_: Any) -> Json:
    agent, short = claim["agent"], ids.short("wk", claim["work_id"])
    how = "ended" if health["state"] == "dead" else "is gone"
    text = f"{agent} held {short}: {health['why']}, {health['since']}.\n"
    text += "The item can be claimed again."
    place: Json = {name: found[name] for name in ("worktree", "branch") if name in found}
    if place:
        branch = f", branch {place['branch']}" if "branch" in place else ""
        text += f" What was done is kept in {place['worktree']}{branch}."
    body: Json = {**_about(row, health), "claim": claim["id"], **place}
    return {
        "to": sorted({agent, str(found.get("creator", agent))}),
        "refs": {"work_id": claim["work_id"]},
        "body": body | {"subject": f"{short} was given back: {agent} {how}", "text": text},
    }


def _end(row: Row, health: Health, **_: Any) -> Json:
    session = row["session"]
    named = {"agent": session["agent"], "session": session["session"]}
    body = named | {"start": session["started"][0], "why": health["why"]}
    if health["state"] == "dead":
        return {"body": body | {"how": "crash"}}
    return {"body": body | {"how": "lost", "signs": presence.signs(session)}}


def _notice(row: Row, health: Health, **_: Any) -> Json:
    return {"body": _about(row, health) | {"ahead": health["ahead"]}}


def _escalate(row: Row, health: Health, what: str, severity: str, overseer: str, **_: Any) -> Json:
    agent, (short, long) = row["session"]["agent"], _ESCALATED[what]
    text = f"For {_minutes(health)} {agent} {long}"
    body = _about(row, health) | {"what": what, "sev": severity}
    refs: dict[str, Json] = {}
    if row["claims"]:
        text += f"\nIt holds {_named(row)}."
        body["claim"] = row["claims"][0]["id"]
        refs = {"refs": {"work_id": row["claims"][0]["work_id"]}}
    body |= {"subject": f"{agent} {short}", "text": text}
    return {"to": [overseer], **refs, "body": body}


def _quarantine(agent: str, causes: list[str], overseer: str, **_: Any) -> Json:
    why = f"{len(causes)} sessions died in a short time"
    text = f"{agent}: {why}. Start no more of them until the reason is found, then:\n"
    return {
        "to": [overseer],
        "body": {
            "subject": f"{agent} is quarantined",
            "kind": "agent",
            "name": agent,
            "why": why,
            "causes": causes,
            "text": f"{text}coord-patrol free {agent}",
        },
    }


def _budget(level: Level, overseer: str, **_: Any) -> Json:
    names = ("scope", "measure", "limit", "window_ms", "spent")
    body: Json = {name: level[name] for name in names}  # type: ignore[literal-required]
    text = f"{budget.described(level)}.\n"
    if level["state"] == "paused":
        body["until"] = until = world.format_ts(level["until_ms"])
        text += f"Workers begin nothing that this concerns until {until}. What runs goes on."
        subject = f"The budget of {level['scope']} is spent"
    else:
        percent = level["spent"] * 100 // level["limit"]
        subject = f"{percent} % of the budget of {level['scope']} is spent"
    return {"to": [overseer], "body": body | {"subject": subject[:200], "text": text}}


_DRAFTS: dict[str, Callable[..., Json]] = {
    "nudge": _nudge,
    "reclaim": _reclaim,
    "end": _end,
    "escalate": _escalate,
    "quarantine": _quarantine,
    "notice": _notice,
    "warned": _budget,
    "paused": _budget,
}


def _about(row: Row, health: Health) -> Json:
    """Which session an event is about, and the evidence with its age."""
    session = row["session"]
    return {
        "agent": session["agent"],
        "session": session["session"],
        "replica": session["replica"],
        "state": health["state"],
        "why": health["why"],
        "since": health["since"],
        "age_ms": health["age_ms"],
    }


def _named(row: Row) -> str:
    """The items that it holds."""
    return " ".join(ids.short("wk", claim["work_id"]) for claim in row["claims"])


def _minutes(health: Health) -> str:
    return f"{health['age_ms'] // 60_000} min"
