"""The hosted checks that a merge queue waits for, as a fold of its events. Pure and total.

    land.asked   a check of a commit is waited for, until a time (spec/userland.md)
    land.tested  the verdict was given

The entities are the tests: `BASE GATE COMMIT ATTEMPT`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TypedDict

    from coord_envelope.codec import Json
    from coord_envelope.event import Event

    class Test(TypedDict):
        """One test of a commit by a gate."""

        ask: Json | None
        """The body of the first `land.asked`, and its `id`."""
        over: bool


name, version = "github-asked", "1"
_NAMES = ("base", "gate", "commit", "attempt")


def entities(event: Event) -> Iterable[str]:
    """The test that an event is about."""
    if event["type"] not in ("land.asked", "land.tested"):
        return ()
    words = [event["body"].get(each) for each in _NAMES]
    if not all(isinstance(word, str | int) for word in words):
        return ()
    return (" ".join(map(str, words))[:400],)


def step(state: Test | None, event: Event) -> Test:
    """The state after one event more."""
    state = state or {"ask": None, "over": False}
    if event["type"] == "land.tested":
        state["over"] = True
    elif state["ask"] is None:
        state["ask"] = event["body"] | {"id": event.id}
    return state


def indexed(state: Test) -> Iterator[tuple[str, str]]:
    """Open tests, by when they end."""
    if state["ask"] and not state["over"]:
        yield "open", str(state["ask"].get("until"))
