"""What a page is asked for, and what it may ask: the store, the shop, links, events in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlencode

from coord_envelope import world
from coord_kernel.cli.words import MALFORMED
from coord_kernel.cli.words import happened as said
from coord_web.render import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_shop import Reader, Shop


class Asked(NamedTuple):
    """What a request asks for."""

    page: str
    about: str
    """The id in the path; empty if the page has none."""
    at: str
    """A stamp; empty for now."""
    query: tuple[tuple[str, str], ...]
    """Other parameters that a page knows, sorted."""

    def param(self, name: str) -> str:
        """A parameter, or nothing."""
        return dict(self.query).get(name, "")


class Site(NamedTuple):
    """What all pages of a store have in common."""

    base: str
    csrf: str
    me: str | None
    """Who acts; None if nobody may."""


class View(NamedTuple):
    """One page to be shown: of which store, as of when."""

    site: Site
    asked: Asked
    reader: Reader
    shop: Shop

    @property
    def at(self) -> str | None:
        """The time of the views; None for now."""
        return self.asked.at or None

    @property
    def now_ms(self) -> int:
        """The moment that is shown."""
        return world.parse_ts(self.shop.at)

    def link(self, path: str, **more: str) -> str:
        """Another page at the same moment."""
        kept = {"at": self.asked.at, "span": self.asked.param("span") if self.asked.at else ""}
        return address(f"{self.site.base}/{path}", {**kept, **more})


def address(path: str, query: Mapping[str, str]) -> str:
    """A URL with the parameters that are not empty."""
    text = urlencode({name: value for name, value in query.items() if value})
    return f"{path}?{text}" if text else path


def told(
    view: View, events: Iterable[Event], whole: bool = False, brief: bool = False
) -> list[Json]:
    """Events as pages show them: `whole` with their JSON, `brief` on the page of their entity."""
    return [
        {
            "id": event.id,
            "ts": event["ts"],
            "type": event["type"],
            "space": plain(event["type"].partition(".")[0])[:20],
            "text": happened(event) if brief else view.reader.sentence(event),
            "url": about(view, event),
            "json": json.dumps(event, ensure_ascii=False, indent=2) if whole else "",
        }
        for event in events
    ]


def about(view: View, event: Event) -> str:
    """The page of what an event is about."""
    refs = event.get("refs")
    refs = refs if isinstance(refs, dict) else {}
    space = event["type"].partition(".")[0]
    work, run = refs.get("work_id"), refs.get("run_id")
    if space in ("work", "artifact"):
        work = event.id if event["type"] == "work.created" and work is None else work
    if event["type"] == "run.requested":
        run = event.id
    if space == "run" and isinstance(run, str):
        return view.link(f"jobs/{quote(run)}")
    if space == "msg":
        msg = event.id if event["type"] == "msg.sent" else refs.get("msg_id")
        return view.link(f"mail/{quote(msg)}") if isinstance(msg, str) else view.link("mail")
    if isinstance(work, str):
        return view.link(f"item/{quote(work)}")
    return view.link({"lease": "leases"}.get(space, "agents"))


def happened(event: Event) -> str:
    """What happened to an entity, without naming it."""
    try:
        return said(event)
    except MALFORMED:
        return f"{plain(event['type'])} {event.id}"
