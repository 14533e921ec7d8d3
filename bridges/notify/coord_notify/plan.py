"""What each route is to send now, and when it may have to send again. Pure.

1. What is acknowledged, answered or over is not sent, nor what is older than a day.
2. A notice is due `after` its event, and not in quiet hours.
3. A window begins with the first send outside of another. In it, `most` notices are sent one by
   one, each kind once; a kind is a fingerprint at a level.
4. What came meanwhile and was not sent is one summary when the window is over; what came in quiet
   hours is one when they are. A summary of one is that notice.
5. Notices of `loud` and above are neither held nor counted.
"""

from __future__ import annotations

from coord_envelope import world
from coord_envelope.platform import suppress
from coord_kernel.controller import Act, Plan
from coord_notify.notices import MOST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from coord_envelope.codec import Json
    from coord_notify.routes import Route

    Sends = Sequence[Sequence[object]]
    """What a route has sent: (ts, route, kinds, more)."""

STALE_MS = 86_400_000
DAY, MINUTE_MS = 24 * 60, 60_000


def plan(
    route: Route, notices: Iterable[Json], sends: Sends, over: Callable[[Json], bool], now: int
) -> Plan:
    """The sends of a route at `now` (Unix milliseconds); `notices` are those left, in order.

    `over`: does a notice need nobody's attention any more?
    """
    ready: list[Json] = []
    wakes: list[int] = []
    for notice in notices:
        at = _ms(notice["ts"]) + route.after_ms
        if _ms(notice["ts"]) <= now - STALE_MS - route.after_ms or over(notice):
            continue
        if at > now:
            wakes.append(at)
        else:
            ready.append(notice)
    loud = [notice for notice in ready if notice["severity"] >= route.loud]
    acts = [_act(route, [notice]) for notice in loud]
    rest = [notice for notice in ready if notice["severity"] < route.loud]
    if rest:
        until = quiet_until(route, now)
        if until:
            wakes.append(until)
        else:
            held, end = _held(route, rest, sends, now)
            acts += held
            wakes += [end] if end else []
    return Plan(acts, min(wakes, default=None))


def _held(
    route: Route, notices: list[Json], sends: Sends, now: int
) -> tuple[list[Act], int | None]:
    """What the window lets through of these, and when it is over, if something waits for that."""
    window = _window(route, sends)
    end = window.begin + route.window_ms if window else 0
    acts, used, kinds = list[Act](), 0, set[str]()
    if window and now < end:
        used, kinds = window.used, set(window.kinds)
    else:
        late = [n for n in notices if _came(route, n) < end or was_quiet(route, n, now)]
        if late:
            acts.append(_act(route, late))
            gone = {notice["id"] for notice in late}
            notices = [notice for notice in notices if notice["id"] not in gone]
            used, end = 1, now + route.window_ms
            kinds = {kind(notice) for notice in late}
    wait = False
    for notice in notices:
        if used < route.most and kind(notice) not in kinds:
            end = end if used else now + route.window_ms
            used += 1
            kinds |= {kind(notice)}
            acts.append(_act(route, [notice]))
        else:
            wait = True
    return acts, end if wait else None


class _Window:
    """The last one: when it began, how many were sent in it, and of which kinds."""

    def __init__(self, begin: int) -> None:
        self.begin, self.used, self.kinds = begin, 0, list[str]()


def _window(route: Route, sends: Sends) -> _Window | None:
    window = None
    for ts, _, kinds, more in sends:
        at = _ms(str(ts))
        if more or not kinds:  # a part of a send, or a loud one
            continue
        if window is None or at >= window.begin + route.window_ms:
            window = _Window(at)
        window.used += 1
        window.kinds += kinds  # type: ignore[arg-type]
    return window


def kind(notice: Json) -> str:
    """Notices of one kind are sent once in a window."""
    if "fingerprint" in notice:
        return f"{notice['fingerprint']} {notice.get('level', '')}".rstrip()
    return str(notice["id"])


def _act(route: Route, notices: list[Json]) -> Act:
    key = f"{route.name}:{notices[0]['id']}"
    return Act("send", key, route=route.name, notices=notices)


def drafts(act: Act, loud: bool, title: str) -> list[Json]:
    """The events of a send: one, or several if it was about very many."""
    notices = act.about["notices"]
    kinds = [] if loud else list(dict.fromkeys(map(kind, notices)))[:100]
    parts = [notices[n : n + MOST] for n in range(0, len(notices), MOST)]
    return [
        {
            "type": "notify.sent",
            "body": {
                "route": act.about["route"],
                "events": [notice["id"] for notice in part],
                "title": title,
                **({"kinds": kinds} if kinds and not n else {}),
                **({"more": True} if n else {}),
            },
            "idempotency_key": f"{act.about['route']}:{part[0]['id']}",
        }
        for n, part in enumerate(parts)
    ]


# ---- quiet hours


def quiet_until(route: Route, now: int) -> int | None:
    """When the quiet hours end in which this time is; None if it is in none."""
    if route.quiet is None:
        return None
    begin, end = route.quiet
    minute = _minute(route, now)
    inside = begin <= minute < end if begin < end else minute >= begin or minute < end
    left = (end - minute) % DAY
    return now - now % MINUTE_MS + left * MINUTE_MS if inside else None


def was_quiet(route: Route, notice: Json, now: int) -> bool:
    """Was it due in quiet hours, which are over?"""
    at = _came(route, notice)
    return at <= now and quiet_until(route, at) is not None


def _came(route: Route, notice: Json) -> int:
    return _ms(notice["ts"]) + route.after_ms


def _minute(route: Route, ms: int) -> int:
    """The minute of the day in the route's zone."""
    from datetime import datetime  # 2 ms
    from zoneinfo import ZoneInfo

    local = datetime.fromtimestamp(ms / 1000, ZoneInfo(route.zone))
    return local.hour * 60 + local.minute


def _ms(ts: str) -> int:
    with suppress(ValueError, OverflowError):
        return world.parse_ts(ts)
    return 0
