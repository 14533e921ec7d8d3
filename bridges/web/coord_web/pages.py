"""The pages: which parts each has, and what their templates may use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from coord_web import loads, timeline
from coord_web.render import render
from coord_web.view import Asked, Site, View, address

if TYPE_CHECKING:
    from collections.abc import Callable

    from coord_shop import Reader, Shop

    Context = dict[str, Any]
    Load = Callable[[View], Context]

MARKS, SLIDER_MS = 2_000, 5_000
LABELS = {
    "stalled": "Stalled",
    "person": "Waiting",
    "job": "Job",
    "conflict": "Conflict",
    "mail": "Mail",
    "sync": "Sync",
    "stopped": "Stopped",
}
TABS = (
    ("", "Overview"),
    ("board", "Board"),
    ("agents", "Agents"),
    ("mail", "Mail"),
    ("leases", "Leases"),
    ("jobs", "Jobs"),
    ("events", "Events"),
    ("graph", "Graph"),
    ("sync", "Sync"),
)


class Page(NamedTuple):
    """A page: the part of the site that it belongs to, its title, its parts, what is in them."""

    section: str
    title: str
    parts: tuple[str, ...]
    load: Load
    query: tuple[str, ...] = ()
    """Parameters that it knows."""
    sides: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    """Parts that stand side by side: on the left, and on the right."""


def path_of(asked: Asked) -> str:
    """Where a page is, below the base of its store."""
    section = PAGES[asked.page].section
    return f"{section}/{quote(asked.about)}" if asked.about else section


class Drawing:
    """A page, drawn again and again: all parts, but the slider only every SLIDER_MS.

    Its picture differs after every event, and nobody could see that.
    """

    def __init__(self, site: Site, asked: Asked) -> None:
        self._site, self._asked = site, asked
        self._slider, self._since = "", 0

    def __call__(self, reader: Reader, shop: Shop) -> dict[str, str]:
        """The HTML of each part. Raises No if what it is about is not there."""
        view = View(self._site, self._asked, reader, shop)
        page = PAGES[self._asked.page]
        context = common(view) | page.load(view)
        if self._asked.page == ALL:
            self._slider = ""
        elif not self._slider or view.now_ms >= self._since + SLIDER_MS:
            self._slider = render("timeline", context | _timeline(view))
            self._since = view.now_ms
        return {"timeline": self._slider} | {name: render(name, context) for name in page.parts}


def common(view: View) -> Context:
    """What every template may use."""
    site, asked, shop = view.site, view.asked, view.shop
    here = f"{site.base}/{path_of(asked)}"
    query = dict(asked.query)
    return {
        "shop": shop,
        "prefix": f"{site.base[3:]}-" if asked.page == ALL else "",
        "base": site.base,
        "me": site.me or "",
        "csrf": site.csrf,
        "can": bool(site.me) and not asked.at,
        "page": asked.page,
        "at": asked.at,
        "now_ms": view.now_ms,
        "url": view.link,
        "title_of": view.reader.names.title,
        "here": here,
        "back": here,
        "now_url": address(here, {k: v for k, v in query.items() if k != "span"}),
        "at_url": lambda ts: address(here, {**query, "at": ts}),
        "span_url": lambda name: address(here, {**query, "at": asked.at, "span": name}),
        "labels": LABELS,
        "params": {name: asked.param(name) for name in ("type", "agent", "q")},
        "path": shop.path,
    }


def _timeline(view: View) -> Context:
    first, now = view.reader.span()
    at = view.now_ms if view.asked.at else None
    window = timeline.window(first, now, at, view.asked.param("span"))
    marks = view.reader.marks(window.begin, window.end, MARKS)
    before, after = timeline.neighbours(view.now_ms if at else now, marks)
    density = view.reader.density(window.begin, window.end, timeline.PARTS)
    return {
        "window": window,
        "spans": timeline.SPANS,
        "steps": timeline.STEPS,
        "place": timeline.place(window, at or window.end),
        "ticks": timeline.ticks(window, marks),
        "bars": timeline.bars(density),
        "parts_of": len(density),
        "before": before,
        "after": after,
    }


ALL = "all"
"""The page with what matters of each store."""
PAGES: dict[str, Page] = {
    ALL: Page("", "All stores", ("summary", "needs"), loads.overview),
    "overview": Page(
        "",
        "Overview",
        ("summary", "needs", "agents", "recent", "ready", "landed"),
        loads.overview,
        sides=(("needs", "agents", "recent"), ("ready", "landed")),
    ),
    "board": Page("board", "Board", ("board",), loads.board),
    "item": Page("item", "Item", ("item",), loads.item),
    "agents": Page("agents", "Agents", ("agents",), loads.agents),
    "mail": Page("mail", "Mail", ("questions", "mailbox"), loads.mail),
    "thread": Page("mail", "Message", ("thread",), loads.thread),
    "leases": Page("leases", "Leases", ("leases",), loads.leases),
    "jobs": Page("jobs", "Jobs", ("jobs",), loads.jobs),
    "job": Page("jobs", "Job", ("job",), loads.job),
    "events": Page("events", "Events", ("events",), loads.events, ("type", "agent", "q")),
    "graph": Page("graph", "Dependencies", ("graph",), loads.dependencies),
    "sync": Page("sync", "Sync", ("sync",), loads.sync),
}
"""By the name of the page, which is also that of its route."""
