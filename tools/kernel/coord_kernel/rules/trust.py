"""What an event may do that no valid statement covers, and how trust is named. Pure.

    $trust             the event was written
    self               by this agent, in this store
    store              by another agent in this store
    bridge             by a program that stands for another system, and nothing more is known
    signed:PRINCIPAL   in another store, by a key that may write as its actor: PRINCIPAL is the
                       pattern of the allowed_signers file that says so
    unsigned           in another store, and no such key has signed it
    synced             in another store; this one knows no allowed_signers

An unsigned event is kept, read and shown. Views see what it says (a new item, a comment, mail), and
nothing that it would decide: any other event of it is `demoted` before a fold takes it. Its type
then is `NAMESPACE.unsigned`, so that its entity knows that there is such an event, and no more.
"""

from __future__ import annotations

from coord_envelope.event import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

UNSIGNED = "unsigned"
SIGNED = "signed:"
STREAM = "bridge.signer~"
"""How the names of the streams begin that hold statements; the replica follows."""
LEVELS = ("unsigned", "synced", "bridge", "signed", "store", "self")
"""From the least to the greatest. `signed` is any `signed:PRINCIPAL`."""
SAYS = frozenset(("work.created", "work.commented", "artifact.added", "msg.sent"))
"""The types that only say something."""


def demoted(event: Event) -> Event:
    """An unsigned event as folds see it. `$trust` says so, `$type` is what it would have been."""
    kind = event["type"]
    notes = {"$trust": UNSIGNED, "$type": kind}
    inert = kind if _says(event) else f"{kind.partition('.')[0]}.{UNSIGNED}"
    return Event(event.raw, {**event, **notes, "type": inert}, event.stream)


def _says(event: Event) -> bool:
    """Does it only say something? What makes an item says nothing about another one."""
    refs = event.get("refs")
    own = isinstance(refs, dict) and refs.get("work_id") == event.id
    return event["type"] in SAYS and (event["type"] != "work.created" or own)


def believed(events: list[Event]) -> list[Event]:
    """The events without the unsigned ones whose ids others have, too: a forgery hides nothing."""
    known = {event.id for event in events if "$trust" not in event}
    return [event for event in events if "$trust" not in event or event.id not in known]


def level(trust: str) -> int:
    """How far it goes: a place in LEVELS. What is unknown counts as the least."""
    name = "signed" if trust.startswith(SIGNED) else trust
    return LEVELS.index(name) if name in LEVELS else 0


def wanted(trust: str, patterns: Sequence[str]) -> bool:
    """Does it fit one of these? `*` and `?` as in allowed_signers; `signed` is `signed:*`."""
    return any(
        matches("signed:*" if pattern == "signed" else pattern, trust) for pattern in patterns
    )


def principal(patterns: Sequence[str], name: str) -> str | None:
    """The pattern that lets a key write as `name`: of the first list (`a,b,!c`) that does."""
    for each in patterns:
        parts = each.split(",")
        if any(part[:1] == "!" and matches(part[1:], name) for part in parts):
            continue
        for part in parts:
            if part[:1] != "!" and matches(part, name):
                return part
    return None


def matches(pattern: str, text: str) -> bool:
    """As ssh matches names: `*` any characters, `?` one. In time of the product of the lengths."""
    at = star = mark = 0
    seen = False
    while mark < len(text):
        if at < len(pattern) and pattern[at] == "*":
            at, seen, star, again = at + 1, True, at + 1, mark
        elif at < len(pattern) and pattern[at] in ("?", text[mark]):
            at, mark = at + 1, mark + 1
        elif seen:
            again += 1
            at, mark = star, again
        else:
            return False
    return not pattern[at:].strip("*")
