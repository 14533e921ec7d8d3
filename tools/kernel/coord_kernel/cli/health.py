"""How the sessions of a store are, by the times that coord.toml gives."""

from __future__ import annotations

from coord_envelope import world
from coord_envelope.errors import BadData
from coord_kernel.cli import values
from coord_kernel.rules import claims, health
from coord_kernel.store import locate, pins
from coord_kernel.views.look import Look
from coord_kernel.views.presence import Sessions, Stops
from coord_kernel.views.view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_kernel.rules.health import Health, Row, Times
    from coord_kernel.store.directory import Store

SECTION = "patrol"
TIMES = {
    "fresh": "fresh",
    "never": "start",
    "waiting": "waiting",
    "stalled": "stalled",
    "lost": "long",
    "nudge": "nudge",
    "window": "window",
}
"""Name in the table `[patrol]` → attribute of `Times`; a value is a time such as 15m."""


def configured(store: Store, times: Times) -> dict[str, object]:
    """Take the times of coord.toml; the other settings of the table. Raises BadData, Usage."""
    others: dict[str, object] = {}
    for name, value in locate.section(store, SECTION).items():
        if name not in TIMES:
            others[name] = value
        elif isinstance(value, str):
            setattr(times, TIMES[name], values.span(value, f"{SECTION}.{name}"))
        else:
            raise BadData(f"{SECTION}.{name} is not a time", "coord.toml", todo='use "15m"')
    return others


def of_sessions(store: Store) -> Iterator[tuple[Row, Health]]:
    """The sessions of this store that hold work or have started, with how each is."""
    times = health.Times()
    configured(store, times)
    views = (Sessions(store), View(store, claims), Stops(store))
    look = Look(*(view.refresh() for view in views))
    own, now = store.replicas(), world.now_ms()
    for row in look.rows(own, lambda path: pins.dropped(store, *path), lambda _: []):
        yield row, health.judge(row, look.control, now, times)


def of_work(store: Store) -> Iterator[tuple[str, Health]]:
    """Each work item that a session of this store holds, with how the session is."""
    for row, judged in of_sessions(store):
        for claim in row["claims"]:
            yield claim["work_id"], judged
