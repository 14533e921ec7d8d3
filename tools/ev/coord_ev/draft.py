"""Event drafts from the input of `ev emit`. Pure."""

from __future__ import annotations

from coord_envelope import BadData
from coord_envelope.event import KERNEL, agent_ok, caused_by, recipient, type_fault
from coord_kernel.cli.values import typed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_envelope.codec import Json

JOURNALS = ("ts", "project", "writer", "seq")
"""The fields that only the journal sets."""


def from_record(record: Json, agent_id: str) -> Json:
    """The draft in an object from stdin: a partial event, or a complete event that causes it.

    A complete event (it has an `event_id`) becomes the cause of a new event, which is a hop further
    and on behalf of the old one's writer. Raises BadData.
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
                f"actor.agent_id is not {agent_id}, the writing agent",
                todo="use --as, or actor.on_behalf_of",
            )
        if actor.get("on_behalf_of") is not None:
            draft["on_behalf_of"] = actor["on_behalf_of"]
    if "to" in draft:
        draft["to"] = addresses(draft["to"])
    return {"body": {}} | draft


def addresses(to: object) -> object:
    """One address or a list of them, in full; anything else is left for `check` to refuse."""
    names = [to] if isinstance(to, str) else to
    if not isinstance(names, list):
        return names
    return [recipient(name) if isinstance(name, str) and agent_ok(name) else name for name in names]


def references(pairs: Sequence[str]) -> dict[str, str]:
    """`--ref K=V …` as refs. Raises BadData."""
    refs: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name or not value:
            raise BadData(f"--ref {pair}: not K=V")
        if name in refs:
            raise BadData(f"--ref {name} is given twice", todo="give each name once")
        refs[name] = value
    return refs


def with_pairs(body: Json, pairs: Sequence[str]) -> Json:
    """The body with the fields of `K=V …`. Raises BadData."""
    fields = dict(body)
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise BadData(f"{pair}: not K=V", todo="give the body as K=V, or with --body")
        if name in fields:
            raise BadData(f"{name} is given twice", todo="give each field once")
        fields[name] = typed(value)
    return fields


def own_type(kind: str, where: str) -> str:
    """The event type, if it is valid and not the kernel's. Raises BadData."""
    reason = type_fault(kind)
    if reason:
        raise BadData(reason, where)
    if kind.partition(".")[0] in KERNEL:
        raise BadData(
            f"{kind} is reserved for the kernel", where, todo="use a type of your own, as ci.diff"
        )
    return kind
