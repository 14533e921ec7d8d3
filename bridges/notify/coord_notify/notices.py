"""What waits to be sent, by event, and what each route has sent. A fold: pure and total.

an event that a route matches      waits for this route
notify.sent {route, events, …}     they wait for it no more
notify.failed {route, events, …}   said once; it is tried again
"""

from __future__ import annotations

from coord_notify.routes import severity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_notify.routes import Routes

SENT = "notify.sent"
KEPT = 200
"""Sends of a route that are kept: at least those of a window."""
MOST = 500
"""Events in one `notify.sent`."""
LONGEST = 200
"""Bytes of a text that is kept."""


class Notices:
    """The fold for a set of routes; with other patterns it is another view."""

    name = "notices"

    def __init__(self, routes: Routes) -> None:
        self._routes, self.version = routes, f"2.{routes.digest}"

    def entities(self, event: Event) -> Iterable[str]:
        """The events that an event is about, and `route NAME`."""
        if event["type"] == SENT:
            route, events = event["body"].get("route"), event["body"].get("events")
            if isinstance(route, str) and isinstance(events, list):
                yield f"route {route}"
                yield from (text for text in events[:MOST] if isinstance(text, str))
        elif "$trust" not in event and any(route.matches(event) for route in self._routes):
            yield event.id  # nobody is called by what nobody has signed

    def step(self, state: Any, event: Event) -> Any:
        """The state of an event, or of a route, after one event more."""
        body, state = event["body"], {} if state is None else state
        if event["type"] == SENT:
            kinds = body.get("kinds")
            kinds = [text for text in kinds if isinstance(text, str)] if _is_list(kinds) else []
            more = body.get("more") is True
            state["sent"] = [*state.get("sent", ()), [event["ts"], body["route"], kinds, more]]
            state["sent"] = state["sent"][-KEPT:]
            return state
        routes = [route.name for route in self._routes if route.matches(event)]
        return state | _waiting(event) | {"routes": routes}

    def indexed(self, state: Any) -> Iterable[tuple[str, str]]:
        """`left`: `ROUTE ID` of what a route has not sent."""
        if "id" in state:
            sent = {route for _, route, *_ in state.get("sent", ())}
            for route in state["routes"]:
                if route not in sent:
                    yield "left", f"{route} {state['id']}"


def _waiting(event: Event) -> Json:
    body, to = event["body"], event.get("to")
    fields: Json = {
        "id": event.id,
        "ts": event["ts"],
        "type": event["type"],
        "to": to if _is_list(to) else [],
        "subject": _text(body.get("subject")) or _text(body.get("title")) or event["type"],
        "severity": severity(event),
    }
    for name in ("fingerprint", "episode", "level"):
        fields |= {name: _text(body[name])} if _text(body.get(name)) else {}
    return fields


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _text(value: object) -> str:
    text = value if isinstance(value, str) else ""
    return text.encode("utf-8", "replace")[:LONGEST].decode("utf-8", "ignore")
