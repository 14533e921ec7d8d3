"""The notifier as a controller: what it sees, plans and sends."""

from __future__ import annotations

from coord_envelope import world
from coord_envelope.errors import BadData, TryAgain, Unreachable
from coord_envelope.platform import suppress
from coord_kernel.controller import Plan
from coord_kernel.rules import control, escalation
from coord_kernel.store import pins
from coord_kernel.views.presence import Stops
from coord_kernel.views.view import View
from coord_msg.mail import Mail
from coord_notify import plan, text
from coord_notify.notices import Notices
from coord_wk.items import Items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel import Journal
    from coord_kernel.controller import Act
    from coord_notify.plan import Sends
    from coord_notify.routes import Route, Routes

    Send = Callable[[str, str, str], None]
    """url, title, text. Raises TryAgain if it was not taken, BadData if it cannot be."""

AGENT = "bridge:notify"
LIMIT_S = 60
_LISTS = ("targets", "topics", "channels", "rooms", "users", "phone", "devices")
"""What the services of apprise call their addressees."""
_ALSO = ("msg.acked", "alert.resolved", "work.closed", "notify.sent")


class Notifier:
    """Sends what its routes match. One of them in a store."""

    def __init__(
        self, journal: Journal, routes: Routes, send: Send, put: Callable[[Iterable[Event]], None]
    ) -> None:
        """`put` prints the events that were written."""
        store = journal.store
        self._journal, self._routes, self._send, self._put = journal, routes, send, put
        self._notices = View(store, Notices(routes))
        self._alerts, self._mail = View(store, escalation), View(store, Mail.fold)
        self._work, self._stops = View(store, Items.fold), Stops(store)

    def alone(self) -> None:
        """Be the only one of this store until the process ends. Raises TryAgain."""
        if pins.take(self._journal.store, "local", "notify", "pin") is None:
            raise TryAgain("another coord-notify runs in this store")

    def wakes(self, event: Event) -> bool:
        """Can the event change the plan?"""
        kind = event["type"]
        return (
            kind in _ALSO
            or kind.startswith("control.")
            or any(route.matches(event) for route in self._routes)
        )

    def plan(self) -> Plan:
        if control.stopped(self._stops.control()):
            return Plan([])
        now, plans = world.now_ms(), list[Plan]()
        over = self._over()
        for route, notices, sends in self._seen():
            plans.append(plan.plan(route, notices, sends, over, now))
        wakes = [each.wake for each in plans if each.wake is not None]
        return Plan([act for each in plans for act in each.acts], min(wakes, default=None))

    def _seen(self) -> Iterator[tuple[Route, list[Json], Sends]]:
        view = self._notices.refresh()
        for route in self._routes:
            since = world.now_ms() - plan.STALE_MS - route.after_ms
            found = view.find("left", f"{route.name} {_first(since)}", f"{route.name} ~")
            notices = list(view.states(entity for _, entity in found))
            yield route, notices, (view.get(f"route {route.name}") or {}).get("sent", ())

    def _over(self) -> Callable[[Json], bool]:
        """Was a notice acknowledged or answered?"""
        alerts, mail = self._alerts.refresh(), Mail.current(self._mail)
        items = Items.current(self._work)

        def over(notice: Json) -> bool:
            if "fingerprint" in notice:
                return _taken(alerts.get(notice["fingerprint"]), notice)
            if notice["type"] == "work.created":
                return items.state(notice["id"]) is not None and not items.is_open(notice["id"])
            state = mail.state(notice["id"])
            return bool(state and mail.status(state) in ("done", "expired"))

        return over

    def draft(self, act: Act) -> list[Json]:
        """The events of an act, if it is done."""
        return plan.drafts(act, self._is_loud(act), self._written(act)[0])

    def _is_loud(self, act: Act) -> bool:
        loud = self._routes[act.about["route"]].loud
        return all(notice["severity"] >= loud for notice in act.about["notices"])

    def _written(self, act: Act) -> tuple[str, str]:
        notices, event = act.about["notices"], None
        if len(notices) == 1:
            place = self._journal.index.refresh().by_id(notices[0]["id"])
            event = self._journal.shown(place.event) if place else None
        return text.written(self._journal.store.project, notices, event)

    def act(self, act: Act) -> None:
        """Send, then write that it was sent. Raises TryAgain."""
        title, body = self._written(act)
        route = self._routes[act.about["route"]]
        try:
            self._send(self._routes.url(route), title, body)
        except TryAgain as fault:
            self._write([self._failed(act, str(fault))])
            fault.where = route.name
            raise
        self._write(plan.drafts(act, self._is_loud(act), title))

    def _failed(self, act: Act, why: str) -> Json:
        body: Json = {"route": act.about["route"], "why": why[:500]}
        body |= {"events": [notice["id"] for notice in act.about["notices"][:1]]}
        return {"type": "notify.failed", "body": body, "idempotency_key": act.key}

    def _write(self, drafts: list[Json]) -> None:
        index = self._journal.index.refresh()
        # Two stores may send one: the first result counts, whatever the second would say.
        # What a title holds was allowed where it comes from.
        with self._journal.transaction({"agent_id": AGENT}, allow_secret=True) as t:
            t.whole = True
            for draft in drafts:
                if index.by_key(draft["type"], draft["idempotency_key"]) is None:
                    t.add(draft)
        self._put(t.events)

    def status(self) -> Iterator[Json]:
        """A row for each route: what waits, what was sent."""
        over, view = self._over(), self._notices.refresh()
        for route, notices, sends in self._seen():
            left = [notice for notice in notices if not over(notice)]
            every = view.count("left", f"{route.name} ", f"{route.name} ~", 1_000_000)
            done = [ts for ts, _, _, more in sends if not more]
            yield {
                "route": route.name,
                "waiting": len(left),
                "sent": len(done),
                **({"last": done[-1]} if done else {}),
                **({"expired": every - len(notices)} if every > len(notices) else {}),
            }


def _first(ms: int) -> str:
    """The smallest id of that time."""
    from coord_envelope import ids

    return ids.mint(max(0, ms) << 16, bytes(8))


def _taken(alert: Json | None, notice: Json) -> bool:
    """Is the episode over, or did somebody acknowledge it?"""
    at = notice.get("episode", notice["id"])
    episodes = [each for each in (alert or {}).get("episodes", ()) if each["id"] <= at]
    return bool(episodes) and ("acked" in episodes[-1] or "resolved" in episodes[-1])


def sender() -> Send:
    """Sends with apprise. Raises Unreachable if it is not installed."""
    from importlib.util import find_spec

    from coord_kernel.cli.request import within  # urllib: 20 ms

    if not find_spec("apprise"):
        todo = "pip install 'coord-kernel[notify]'"
        raise Unreachable("apprise is not installed", todo=todo)

    def send(url: str, title: str, body: str) -> None:
        where, taken = target(url), False
        with suppress(TimeoutError), within(LIMIT_S):
            taken = where.notify(title=title, body=body, body_format="text")
        if not taken:
            raise TryAgain(f"{url.partition(':')[0]}: the notification was not taken")

    return send


def target(url: str, where: str = "") -> Any:
    """What apprise makes of a URL. Raises BadData unless it is one target.

    Of several, what took a notification would get it again because another did not.
    """
    import apprise  # 0.4 s, not for who only looks

    found = apprise.Apprise()
    if not found.add(url) or not len(found):
        raise BadData("not a URL that apprise knows", where, "see coord-notify(8)")
    count = sum(map(_targets, found))
    if count > 1:
        raise BadData(f"a URL of {count} targets", where, "use a route for each")
    for service in found:
        service.redirects = False  # a GET in place of a POST tells nobody
    return found


def _targets(service: Any) -> int:
    """How many requests of its own a service sends: one for each of these."""
    lists = (getattr(service, name, ()) for name in _LISTS)
    return max(1, sum(len(each) for each in lists if isinstance(each, list | tuple | set)))
