"""The file of routes: what goes where, how often, and when not.

[routes.phone]
url = "$NTFY_URL"             # where, in the form of apprise; $NAME is of the environment
to = ["human:ada"]            # mail to one of these
type = ["alert.*"]            # events of these types
severity = "high"             # at least
after = "15m"                 # only what nobody has acknowledged for so long
most = 5                      # in a window one by one; the rest is one summary at its end
window = "1h"
quiet = "22:00-07:00"         # held until then, and a summary
zone = "Europe/Berlin"        # of `quiet`; UTC by default
loud = "critical"             # from this severity on `quiet` and `most` do not count
"""

from __future__ import annotations

import hashlib
import re

from coord_envelope import BadData, Usage, codec
from coord_envelope.event import address, name_ok
from coord_envelope.filter import Filter
from coord_envelope.platform import suppress
from coord_kernel.cli import values
from coord_kernel.rules import escalation
from coord_kernel.store import private, toml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope import Event
    from coord_envelope.codec import Json

MOST = 100
_URL = re.compile(r"[A-Za-z0-9+.-]+:/")
LONGEST_WINDOW_MS = 86_400_000
FIELDS = (*("url", "to", "type", "severity", "after", "most", "window", "quiet", "zone", "loud"),)


class Route:
    """One of them. Which events it sends is decided by `matches`; when, by the plan."""

    def __init__(self, name: str) -> None:
        self.name, self.url = name, ""
        self.to: list[str] = []
        self.types: list[str] = []
        self.wanted = Filter()
        self.severity, self.loud = -1, 4
        self.after_ms, self.most, self.window_ms = 0, 10, 3_600_000
        self.quiet: tuple[int, int] | None = None
        """Minutes of the day: from, to."""
        self.zone = "UTC"

    def pattern(self) -> Json:
        """What decides which events match: the fold's version."""
        return {"to": self.to, "type": self.types, "severity": self.severity}

    def matches(self, event: Event) -> bool:
        """Does it send this event?"""
        to = event.get("to")
        to = to if isinstance(to, list) else []
        return (
            not event["type"].startswith("notify.")
            and (not self.to or any(who in to for who in self.to))
            and self.wanted(event)
            and severity(event) >= self.severity
        )


class Routes:
    """The routes of a file."""

    def __init__(self, routes: list[Route], path: str) -> None:
        self._routes, self._path = {route.name: route for route in routes}, path
        text = codec.dumps({route.name: route.pattern() for route in routes})
        self.digest = hashlib.blake2b(text, digest_size=8).hexdigest()

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes.values())

    def __getitem__(self, name: str) -> Route:
        return self._routes[name]

    def url(self, route: Route) -> str:
        """Where the route sends. Raises Usage, Refused."""
        return private.secret(route.url, self._path)

    def where(self, route: Route) -> str:
        """The place of the route, for a failure."""
        return f"{self._path}: routes.{route.name}"


def severity(event: Event) -> int:
    """How severe an event says that it is: 0 to 3; -1 if it does not say."""
    said = [event["body"].get(name) for name in ("severity", "level", "sev")]
    return max(escalation.rank(text) if isinstance(text, str) else -1 for text in said)


def load(path: str) -> Routes:
    """The routes of a file. Raises BadData, Usage."""
    tables = toml.load(path)
    if tables is None:
        raise BadData("no such file", where=path)
    if set(tables) - {"routes"} or not _is_tables(tables.get("routes")):
        raise BadData("not a file of routes", where=path, todo="use tables: [routes.NAME]")
    return Routes([_route(name, table, path) for name, table in tables["routes"].items()], path)


def _is_tables(value: object) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(table, dict) for table in value.values())
    )


def _route(name: str, table: Json, path: str) -> Route:
    where = f"{path}: routes.{name}"
    if not name_ok(name):
        raise BadData("not a valid name", where=where, todo="use up to 63 of a-z 0-9 . _ -")
    for field in set(table) - set(FIELDS):
        raise BadData(f"unknown field {field!r}", where=where, todo=f"use {', '.join(FIELDS)}")
    route = Route(name)
    fields = _Fields(table, where)
    route.url = fields.text("url")
    if not route.url:
        raise BadData("url is missing", where=where, todo='url = "$NTFY_URL"')
    if route.url.startswith("$"):
        private.variable(route.url, where)
    elif not _URL.match(route.url):
        # It may hold a credential all the same.
        raise BadData("not a valid url", where=where, todo='url = "$NTFY_URL"')
    route.to = [_address(text, where) for text in fields.texts("to")]
    route.types = fields.texts("type")
    route.wanted = Filter(types=route.types)
    route.severity, route.loud = fields.rank("severity", -1), fields.rank("loud", 4)
    if not (route.to or route.types or route.severity >= 0):
        raise BadData("would send every event", where=where, todo="give to, type or severity")
    route.after_ms = fields.span("after", 0, 0)
    route.window_ms = fields.span("window", route.window_ms, LONGEST_WINDOW_MS)
    route.most = fields.count("most", route.most)
    route.quiet, route.zone = fields.hours("quiet"), fields.zone("zone")
    return route


def _address(text: str, where: str) -> str:
    try:
        return text if text.startswith(("chan:", "queue:")) else address(text)
    except ValueError as reason:
        raise BadData(str(reason), where=where) from None


class _Fields:
    """A table, read with its faults as BadData."""

    def __init__(self, table: Json, where: str) -> None:
        self._table, self._where = table, where

    def _bad(self, name: str, todo: str) -> BadData:
        return BadData(f"not a valid {name}", where=self._where, todo=todo)

    def text(self, name: str) -> str:
        value = self._table.get(name, "")
        if not isinstance(value, str):
            raise self._bad(name, f'{name} = "TEXT"')
        return value

    def texts(self, name: str) -> list[str]:
        value = self._table.get(name, [])
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise self._bad(name, f'{name} = ["TEXT", …]')
        return value

    def rank(self, name: str, default: int) -> int:
        text = self.text(name)
        if text and escalation.rank(text) < 0:
            raise self._bad(name, f"use {', '.join(escalation.SEVERITIES)}")
        return escalation.rank(text) if text else default

    def span(self, name: str, default: int, most: int) -> int:
        text = self.text(name)
        if not text:
            return default
        try:
            return values.span(text, name, most=most or LONGEST_WINDOW_MS)
        except Usage as fault:
            what = f"not a valid {name}: {text[:80]}"
            raise BadData(what, where=self._where, todo=fault.todo) from None

    def count(self, name: str, default: int) -> int:
        value = self._table.get(name, default)
        if type(value) is not int or not 1 <= value <= MOST:
            raise self._bad(name, f"use 1 to {MOST}")
        return value

    def hours(self, name: str) -> tuple[int, int] | None:
        """`22:00-07:00` as minutes of the day."""
        text = self.text(name)
        if not text:
            return None
        with suppress(ValueError):
            begin, end = (_minute(part) for part in text.split("-"))
            if begin != end:
                return begin, end
        raise self._bad(name, 'quiet = "22:00-07:00"')

    def zone(self, name: str) -> str:
        text = self.text(name) or "UTC"
        from zoneinfo import ZoneInfo  # 8 ms

        try:
            ZoneInfo(text)
        except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
            raise self._bad(name, 'zone = "Europe/Berlin"') from None
        return text


def _minute(text: str) -> int:
    hour, minute = text.strip().split(":")
    if not (hour.isdigit() and minute.isdigit() and int(hour) < 24 and int(minute) < 60):
        raise ValueError(text)
    return int(hour) * 60 + int(minute)
