"""Requests and the queue as rows: how each is, by the journal alone."""

from __future__ import annotations

from coord_envelope import ids, world
from coord_land import fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope.codec import Json
    from coord_kernel.views.view import Source
    from coord_land.fold import Base, Request

_HOW = {"land.landed": "landed", "land.rejected": "rejected", "land.withdrawn": "withdrawn"}


class Listing:
    """The queue of a target at a time."""

    def __init__(self, source: Source, target: str, now: int) -> None:
        self._source, self._target, self._now = source, target, now
        base = fold.last_base(source, target)
        self._base, self._batch = base, _batch(base, source)
        self._holds = fold.holds(fold.queue_of(source, target))

    def opened(self) -> Iterator[Json]:
        """The open requests, in the order in which they are to land."""
        return map(self.row, fold.opened(self._source, self._target))

    def everything(self) -> Iterator[Json]:
        """Those that are over by their end, then the open ones."""
        ended = self._source.find("ended", f"{self._target} ", f"{self._target}!")
        yield from (self.row(self._source.get(entity)) for _, entity in ended)
        yield from self.opened()

    def row(self, request: Request) -> Json:
        """A request in a line."""
        end = fold.ended(request)
        row: Json = {
            "id": ids.short("land", request["id"]),
            "status": self._status(request),
            "branch": request["branch"],
            "title": request["title"],
            "priority": request["priority"],
            "sha": request["sha"],
            "target": request["target"],
            "by": request["by"],
            "ts": request["ts"],
            "request_id": request["id"],
        }
        row |= {"work_id": request["work"]} if "work" in request else {}
        if end is None:
            return row | {"waited_ms": max(0, self._now - _ms(request["ts"], self._now))}
        _, _, ts, body = end
        return row | {"ended": ts} | {n: body[n] for n in ("why", "name", "commit") if n in body}

    def shown(self, request: Request) -> Json:
        """All there is to know of it: its tests, oldest first, and how it ended."""
        row, end = self.row(request), fold.ended(request)
        tests = [
            {name: test[name] for name in _TEST if test.get(name) is not None}
            | {"with": [ids.short("land", each) for each in test["requests"]]}
            for base in fold.bases(self._source, request["id"])
            for test in sorted(base["tested"].values(), key=lambda each: str(each["id"]))
            if request["id"] in test["requests"]
        ]
        row |= {"tests": tests} if tests else {}
        row |= {"close": True} if request["close"] else {}
        return row | ({"end": {"event": end[0], **end[3]}} if end else {})

    def status(self) -> Json:
        """The queue in a line: how many wait, what is tested, what holds it, since when."""
        requests = list(fold.opened(self._source, self._target))
        ages = [self._now - _ms(request["ts"], self._now) for request in requests]
        row: Json = {
            "target": self._target,
            "open": len(requests),
            "oldest_ms": max(ages, default=0),
        }
        if self._base and self._batch:
            tested = sorted(self._base["tested"].values(), key=lambda each: str(each["id"]))
            names = [ids.short("land", each) for each in self._batch]
            row |= {"base": self._base["base"], "batch": names, "tests": len(tested)}
            row |= {"last": tested[-1].get("outcome")} if tested else {}
        if self._holds:
            row["held"] = [
                {"event": at, **{name: hold[name] for name in _HOLD if name in hold}}
                for at, hold in self._holds.items()
            ]
        return row

    def _status(self, request: Request) -> str:
        end = fold.ended(request)
        if end:
            return _HOW[end[1]]
        if self._holds and request["target"] == self._target:
            return "held"
        return "testing" if request["id"] in self._batch else "waiting"


_TEST = ("outcome", "name", "why", "code", "commit", "base", "attempt", "run", "event")
_HOLD = ("base", "name", "outcomes", "ts")


def _batch(base: Base | None, source: Source) -> list[str]:
    """The open members of the batch that is tested."""
    batches = sorted(base["batches"].items()) if base else ()
    for _, requests in batches:
        found = [fold.named(source, each) for each in requests]
        members = [each["id"] for each in found if each and fold.ended(each) is None]
        if members:
            return members
    return []


def _ms(ts: str, default: int) -> int:
    try:
        return world.parse_ts(ts)
    except ValueError:
        return default
