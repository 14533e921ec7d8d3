"""What the bridge is to do. Pure: what is in Slack and here is an argument.

1. What came is handled in its order, each once; what is to be replied is then posted.
2. Messages are posted in the order of their ids, where their conversation is in Slack; else, if
   they are for somebody whom a channel shows, as a new thread there.
3. A board is the state of an item in its thread, or a question with its buttons: one message, which
   is edited. A question that was over before it was posted is not posted.
4. Nothing from before the channels were joined is posted.
"""

from __future__ import annotations

from coord_kernel.controller import Act

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from coord_envelope.codec import Json
    from coord_slack.settings import Settings

    Begun = dict[str, str]
    """Channel → the event since which it is posted to."""


def acts(
    came: Iterable[Json],
    replies: Iterable[Json],
    convs: Iterable[tuple[str, Json]],
    begun: Begun,
    settings: Settings,
) -> list[Act]:
    """All that is to be done now: `convs` are (id, state)."""
    found = [Act("handle", f"handle:{each['received']['id']}", state=each) for each in came]
    found += [Act("reply", f"reply:{each['handled']}", state=each) for each in replies]
    convs = list(convs)
    found += _posts(convs, begun, settings)
    found += _boards(convs, begun, settings)
    return found


def _posts(convs: list[tuple[str, Json]], begun: Begun, settings: Settings) -> Iterator[Act]:
    """Each message once, although its thread and its item may both want it."""
    places: dict[str, tuple[str, Json]] = {}
    also: dict[str, str] = {}
    for conv, state in convs:
        found = place(state, settings)
        for event in state.get("pending", ()) if found else ():
            if found and event <= begun.get(found[0], "~"):
                continue
            if event in places:
                better = "link" in state and "link" not in places[event][1]
                also[event] = places[event][0] if better else conv
                if not better:
                    continue
            places[event] = (conv, state)
    for event, (conv, state) in sorted(places.items()):
        where = place(state, settings)
        more = {"also": also[event]} if event in also else {}
        yield Act("post", f"post:{event}", event=event, conv=conv, where=where, **more)


def _boards(convs: list[tuple[str, Json]], begun: Begun, settings: Settings) -> Iterator[Act]:
    for conv, state in convs:
        last = state.get("last", "")
        asked = "question" in state
        if last <= state.get("upto", "") or not (asked or state.get("what") == "work"):
            continue
        where = place(state, settings)
        old = asked and "board" not in state and where and _old(state, begun.get(where[0], "~"))
        if where and not old:
            yield Act(
                "board",
                f"board:{conv}:{last}",
                conv=conv,
                where=where,
                upto=last,
                asked=asked,
                board=state.get("board"),
            )


def _old(state: Json, begun: str) -> bool:
    return str(state["question"]) <= begun


def place(state: Json, settings: Settings) -> tuple[str, str | None] | None:
    """(channel, root) of a conversation in Slack; without a root it begins a thread there."""
    link = state.get("link")
    if link:
        return (str(link[0]), str(link[1])) if link[0] in settings.channels else None
    channel = settings.channel_of(state.get("to", []))
    return (channel, None) if channel else None
