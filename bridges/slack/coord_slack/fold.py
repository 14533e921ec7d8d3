"""What the bridge knows: threads of Slack and conversations of here. A fold: pure and total.

at C TS       a thread of Slack: its conversation, its item
conv ID       a conversation or an item: where it is in Slack, what is to be posted there
in ID         something that came: whether it was handled, what is to be replied
channel C     since when it is read

slack.joined {channel}                         from here on a channel is read and posted to
slack.received {kind, channel, ts, root, who}  somebody wrote, or pressed a button
slack.handled {received, reply?}               that was done
slack.linked {channel, root, conv, what}       a thread is this conversation, or this item
slack.posted {channel, ts, root, conv, what}   a message, a reply or a board is there
slack.failed {what, error}                     Slack has refused it for good: as if it were there
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_slack.settings import Settings

AGENT = "bridge:slack"
PREFIX = "slack:"
"""Of the idempotency keys of what came from Slack: that is never posted there."""
MOST, WHO = 100, 20
"""Messages that wait to be posted in a conversation; its senders that are known."""


class Fold:
    """For the addresses that a file names; with others it is another view."""

    name = "slack"

    def __init__(self, settings: Settings) -> None:
        self._posted, self.version = settings.posted, f"2.{settings.digest}"

    def entities(self, event: Event) -> Iterable[str]:
        """See above."""
        return dict.fromkeys(self._entities(event))

    def _entities(self, event: Event) -> Iterator[str]:
        kind, body = event["type"], event["body"]
        if kind.startswith("slack."):
            if event["actor"]["agent_id"] == AGENT:
                yield from _own(event, kind, body)
        elif kind == "msg.sent":
            for name in ("thread_id", "work_id"):
                if ref := _ref(event, name):
                    yield f"conv {ref}"
            if not _ref(event, "thread_id"):
                yield f"conv {event.id}"
        elif kind.startswith("work."):
            yield f"conv {_ref(event, 'work_id') or event.id}"

    def step(self, state: Any, event: Event) -> Any:
        """The state after one event more. Its fields say of which entity it is."""
        state = {} if state is None else state
        kind, body = event["type"], event["body"]
        if "$trust" in event:
            return state  # nobody has signed it: nothing of it is posted
        if kind == "msg.sent":
            _message(state, event, self._posted)
        elif kind == "work.created" and isinstance(body.get("question"), dict):
            to = event.get("to")
            if isinstance(to, list) and self._posted.intersection(map(str, to)):
                state["question"], state["to"] = event.id, to
            state["last"] = event.id
        elif kind.startswith("work."):
            state["last"] = max(event.id, state.get("last", ""))
        elif kind.startswith("slack."):
            _took(state, event, kind.partition(".")[2], body)
        return state

    def indexed(self, state: Any) -> Iterable[tuple[str, str]]:
        """`todo`, `reply`, `post`, `board`: what is to be done, by the id of its newest event.

        `seen`: `CHANNEL TS` of what came; `thread`: `ROOT CHANNEL` of a thread that is known.
        """
        if "received" in state:
            came = state["received"]
            yield "seen", f"{came.get('channel')} {came.get('ts')}"
            if "handled" not in state and _is_sound(came):
                yield "todo", came["id"]
            elif state.get("reply") and "replied" not in state:
                yield "reply", state["handled"]
        if "link" in state and ("thread" in state or "work" in state):
            yield "thread", f"{state['link'][1]} {state['link'][0]}"
        if state.get("pending") and ("link" in state or state.get("wanted")):
            yield "post", max(state["pending"])
        linked = state.get("what") == "work" and "link" in state
        if (linked or "question" in state) and state.get("last", "") > state.get("upto", ""):
            yield "board", state["last"]


def _is_sound(came: Json) -> bool:
    """Has it what is needed to handle it?"""
    more = ("question", "option") if came.get("kind") == "answer" else ("text",)
    needed = ("kind", "channel", "ts", "root", "user", "who", *more)
    return all(isinstance(came.get(name), str) for name in needed)


def _link(state: Json, body: Json) -> None:
    channel, root = body.get("channel"), body.get("root")
    if isinstance(channel, str) and isinstance(root, str):
        state.setdefault("link", [channel, root])


def _ref(event: Event, name: str) -> str:
    refs = event.get("refs")
    value = refs.get(name) if isinstance(refs, dict) else None
    return value if isinstance(value, str) else ""


def _own(event: Event, kind: str, body: Json) -> Iterator[str]:
    if isinstance(body.get("channel"), str):
        if kind == "slack.joined":
            yield f"channel {body['channel']}"
        if kind == "slack.linked" and isinstance(body.get("root"), str):
            yield f"at {body['channel']} {body['root']}"
    if kind == "slack.received":
        yield f"in {event.id}"
    for name, prefix in (("received", "in"), ("conv", "conv"), ("also", "conv")):
        if isinstance(body.get(name), str):
            yield f"{prefix} {body[name]}"


def _message(state: Json, event: Event, posted: set[str]) -> None:
    sender, to = event["actor"]["agent_id"], event.get("to")
    who = state.setdefault("who", [])
    if sender not in who:
        state["who"] = [*who[1 - WHO :], sender]
    if str(event.get("idempotency_key", "")).startswith(PREFIX):
        return
    pending = state.setdefault("pending", {})
    if event.id not in state.get("posted", ()):
        pending[event.id] = True
        if isinstance(to, list) and posted.intersection(map(str, to)):
            state["wanted"], state["to"] = True, to
    while len(pending) > MOST:
        del pending[min(pending)]


def _took(state: Json, event: Event, verb: str, body: Json) -> None:
    if verb == "joined":
        state.setdefault("begun", event.id)
        state.setdefault("ts", str(body.get("ts", "")))
    elif verb == "received":
        state["received"] = {**body, "id": event.id}
    elif verb == "handled":
        state["handled"], state["reply"] = event.id, str(body.get("reply") or "")
    elif verb == "linked":
        if body.get("what") in ("thread", "work") and isinstance(body.get("conv"), str):
            state[body["what"]] = body["conv"]
            state.setdefault("what", body["what"])
            _link(state, body)
    elif verb in ("posted", "failed"):
        _posted(state, body)


def _posted(state: Json, body: Json) -> None:
    what, events = body.get("what"), body.get("events")
    if what == "reply":
        state["replied"] = True
    for done in events if what == "message" and isinstance(events, list) else ():
        state.get("pending", {}).pop(str(done), None)
        state["posted"] = [*state.get("posted", ())[-MOST:], done]
    if what == "board":
        state["upto"] = str(body.get("upto", ""))
        if isinstance(body.get("ts"), str):
            state["board"] = body["ts"]
    _link(state, body)
