"""From what a user hands to `ev emit` to the draft of an event. Pure."""

from __future__ import annotations

from coord_envelope import BadData
from coord_envelope.codec import Json
from coord_envelope.event import caused_by, name_ok, recipient

JOURNALS = ("ts", "project", "writer", "seq")
"""What only the journal says."""


def from_record(record: Json, agent_id: str) -> Json:
    """The draft of an object read from stdin: a partial event, or a whole one that set this one off.

    Of a whole event (it has an `event_id`) a new one is made: its cause is the old one, a hop further, on
    behalf of whoever wrote the old one. Raises BadData.
    """
    draft = dict(record)
    actor = draft.pop("actor", {})
    if not isinstance(actor, dict):
        raise BadData("actor is not an object")
    if draft.pop("event_id", None) is not None:
        for name in JOURNALS:
            draft.pop(name, None)
        draft |= caused_by(record, actor)
    else:
        for name in JOURNALS:
            if name in draft:
                raise BadData(f"{name} is set by the journal", todo="put your own into body")
        if actor.get("agent_id", agent_id) != agent_id:
            raise BadData(
                f"actor.agent_id is not {agent_id}, who writes",
                todo="use --as, or actor.on_behalf_of",
            )
        if actor.get("on_behalf_of") is not None:
            draft["on_behalf_of"] = actor["on_behalf_of"]
    if "to" in draft:
        draft["to"] = addresses(draft["to"])
    return {"body": {}} | draft


def addresses(to: object) -> object:
    """One address or several, in full; what is no address is left for `check` to refuse."""
    found = [to] if isinstance(to, str) else to
    if not isinstance(found, list):
        return found
    return [recipient(one) if isinstance(one, str) and name_ok(one) else one for one in found]


def references(pairs: list[str]) -> dict[str, str]:
    """`--ref K=V …` as refs. Raises BadData."""
    refs = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name or not value:
            raise BadData(f"--ref {pair}: is not K=V")
        if name in refs:
            raise BadData(f"--ref {name} is given twice", todo="one value a name")
        refs[name] = value
    return refs
