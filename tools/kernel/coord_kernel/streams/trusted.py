"""Who has signed what of this store's streams, as the last sync judged it.

`local/signed/table` is derived: from the streams, and from the allowed_signers file that the user
agreed to (`local/.git/allowed_signers`). A store without that file has no table, and nothing here
is loaded. It is written by `sync.signed.judge`, which alone verifies anything.

    era      another number: what was judged before is judged otherwise now, so views are rebuilt
    ends     stream → seq up to which it was judged. A view takes an event in when it was judged:
             so no event counts for less only because its statement was read a moment later
    ranges   stream → place in `who` → [first seq, last seq] of what its keys have signed
    who      lists of the patterns of those whom a key may write as
    keys     whose lists these are: at each place the key that allowed_signers has

What this store has written itself is not judged. Its former streams are its own up to the seq in
`local/signed/own`: what is behind that came from a remote.

All of this is by seq. A line claims its seq, and whoever can push can claim any; so a seq is that
of an event as `Stream` gives it out. Who searches raw lines asks `joined` which of them are events.
"""

from __future__ import annotations

import bisect
import os

from coord_envelope import codec
from coord_envelope.event import Event
from coord_envelope.platform import suppress
from coord_kernel.rules import claims, trust
from coord_kernel.streams.stream import SUFFIX, Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, Self

    from coord_kernel.store.directory import Store

DIRECTORY = ("local", "signed")
TABLE = (*DIRECTORY, "table")
OWN = (*DIRECTORY, "own")
_MOST = 1 << 26
_MOVED = "coord.arbiter_moved"


class Trusted:
    """The table, as of the last `refresh`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.version: tuple[int, ...] | None = None
        """Which table it is."""
        self.era = ""
        self.ends: dict[str, int] = {}
        self._ranges: dict[str, dict[str, list[list[int]]]] = {}
        self._who: list[list[str]] = []
        self.keys: list[str] = []
        self._own: dict[str, int] = {}
        self._replicas = frozenset[str]()
        self._forked = set[str]()
        """Writers with a fork that is signed."""
        self._matched: dict[tuple[int, str], str | None] = {}
        self.judged = False

    def refresh(self) -> Self:
        """Read the table again, if it is another one."""
        seen = tuple(
            number
            for place in (TABLE, OWN, ("local", "replica"))
            for number in _stamp(self._store, place)
        )
        if seen != self.version:
            table = loaded(self._store, *TABLE)
            self.judged = bool(table)
            self.era = str(table.get("era", "-"))
            self.ends, self._ranges = table.get("ends", {}), table.get("ranges", {})
            self._who, self.keys = table.get("who", []), table.get("keys", [])
            self._matched = {}
            self._forked = {name.partition("!")[0] for name in self._ranges if "!" in name}
            self._own = loaded(self._store, *OWN)
            self._replicas = self._store.all_replicas()
            self.version = seen
        return self

    def own(self, stream: str, seq: int) -> bool:
        """Was this event written in this store?"""
        return _replica(stream) in self._replicas and seq < self._own.get(stream, seq + 1)

    def principal(self, event: Event) -> str | None:
        """The pattern of the key that has signed the event, and may write as its actor."""
        return next((pattern for _, pattern in self._signed(event)), None)

    def key(self, event: Event) -> str | None:
        """The key that has signed the event, and may write as its actor: as allowed_signers has it.

        A key that it was rotated to stands for the same. Of several it is the least. Also of an
        event that was written here.
        """
        known = (self.keys[who] for who, _ in self._signed(event) if who < len(self.keys))
        return min(known, default=None)

    def counts(self, stream: str, seq: int, agent: str) -> bool:
        """May an event at this place do what it says: was it written here, or signed there?"""
        return self.own(stream, seq) or any(self._at(stream, seq, agent))

    def moves(self, stream: str, seq: int) -> bool:
        """May an event at this place of the arbiter's stream move it?

        If a key that may write as somebody has signed it; or before the first line that one has:
        what stands there is from before there were signers.
        """
        first = self.first(stream)
        return first is None or seq < first or any(self._at(stream, seq, "", anyone=True))

    def first(self, stream: str) -> int | None:
        """The seq of the first event that a key has signed which may write as somebody."""
        ranges = self._ranges.get(stream, {}).items()
        return min((rows[0][0] for who, rows in ranges if self._who[int(who)]), default=None)

    def _signed(self, event: Event) -> Iterator[tuple[int, str]]:
        """Place in `who`, and pattern, of each key."""
        found = False
        for pair in self._here(event):
            found = True
            yield pair
        if not found and event["writer"] in self._forked and (same := self._elsewhere(event)):
            yield from self._here(same)

    def _here(self, event: Event) -> Iterator[tuple[int, str]]:
        # Who moves the arbiter acts for all: any of the keys may.
        anyone = event["type"] == _MOVED and claims.is_arbiter(event.stream)
        return self._at(event.stream, event["seq"], event["actor"]["agent_id"], anyone)

    def _at(
        self, stream: str, seq: int, agent: str, anyone: bool = False
    ) -> Iterator[tuple[int, str]]:
        for number, rows in self._ranges.get(stream, {}).items():
            at = bisect.bisect_right(rows, [seq, _MOST]) - 1
            if at < 0 or seq > rows[at][1]:
                continue
            who, patterns = int(number), self._who[int(number)]
            if (who, agent) not in self._matched:
                self._matched[who, agent] = trust.principal(patterns, agent)
            pattern = self._matched[who, agent]
            if anyone and patterns:
                yield who, patterns[0].partition(",")[0]
            elif pattern is not None:
                yield who, pattern

    def unsigned(self, event: Event) -> bool:
        """Is it another store's, and no key that may write as its actor has signed it?"""
        return self.of(event) == trust.UNSIGNED

    def of(self, event: Event) -> str | None:
        """Its `$trust`, if it came from another store: `signed:PRINCIPAL` or `unsigned`."""
        if self.own(event.stream, event["seq"]):
            return None
        name = self.principal(event)
        return trust.UNSIGNED if name is None else f"{trust.SIGNED}{name}"

    def shown(self, event: Event) -> Event:
        """The event as folds see it."""
        return trust.demoted(event) if self.unsigned(event) else event

    def end(self, stream: Stream) -> int | None:
        """The seq up to which a view takes a stream in; None: all of it."""
        judged, own = self.ends.get(stream.name, 0), _replica(stream.name) in self._replicas
        if not self.judged or stream.kind == "live" or (own and stream.name not in self._own):
            return None
        return max(judged, self._own[stream.name] - 1) if own else judged

    def reach(self, stream: str) -> int:
        """The seq up to which it is known who has signed a stream: of an own one what was signed.

        What others have written is judged when it comes; what is written here is signed later.
        """
        if _replica(stream) not in self._replicas:
            return self.ends.get(stream, 0)
        signed = self._ranges.get(stream, {}).values()
        return max((last for rows in signed for _, last in rows), default=0)

    def _elsewhere(self, event: Event) -> Event | None:
        """The same line in another stream of its writer, where a key has signed it.

        Who puts a line into a copy of a stream makes what follows a copy that nobody has signed.
        """
        seq, writer = event["seq"], event["writer"]
        for name, ranges in self._ranges.items():
            if name == event.stream or name.partition("!")[0] != writer:
                continue
            rows = [row for each in ranges.values() for row in each]
            if not any(first <= seq <= last for first, last in rows):
                continue
            for item in Stream(self._store, "journal", name).after(seq - 1).read():
                if isinstance(item, Event) and item["seq"] >= seq:
                    if item.raw == event.raw:
                        return item
                    break
        return None


def limited(store: Store, streams: list[Stream]) -> list[Stream]:
    """The streams, each up to where it was judged."""
    trusted = Trusted(store).refresh()
    for stream in streams:
        stream.end = trusted.end(stream)
    return streams


def joined(store: Store, stream: str, segment: int, rows: Iterable[bytes]) -> list[Event]:
    """Those of these lines of a segment that join the stream, in order. (`stream`, 2. and 3.)"""
    wanted, found = set(rows), list[Event]()
    for item in _read(store, stream, segment) if wanted else ():
        if item.raw in wanted:
            found.append(item)
            wanted.remove(item.raw)
            if not wanted:
                break  # often the first line of a long segment
    return found


def begin_of_others(store: Store, stream: str, segment: int) -> None:
    """What follows in this segment comes from a remote, though the stream was this store's own.

    Before it is there. Under the store's lock. The seq from which on events are not the store's is
    by what it holds, and not by what the others' lines claim.
    """
    known = loaded(store, *OWN)
    if stream not in known:  # else what is held is theirs, too
        store.save(codec.dumps(known | {stream: _free(store, stream, segment)}), *OWN)


def _free(store: Store, stream: str, segment: int) -> int:
    """A seq that no line has, nor one below it, that readers give out of what is added."""
    data = store.load("journal", stream, f"{segment:012d}{SUFFIX}", most=_MOST)
    if not data:
        return segment
    seqs = [segment - 1, *(int(item["seq"]) for item in _read(store, stream, segment))]
    # Behind a hole in seq the next line can refute the last one, and take a place in the hole.
    end = seqs[-1] if len(seqs) < 2 or seqs[-1] == seqs[-2] + 1 else seqs[-2]
    # Backwards a line can have the seq of its number in the segment.
    return min(end, segment - 1 + data.count(b"\n")) + 1


def _read(store: Store, stream: str, segment: int) -> Iterator[Event]:
    part = Stream(store, "journal", stream, segment)
    part.seq = segment - 1
    return (item for item in part.read_segment(sealed=True) if isinstance(item, Event))


def loaded(store: Store, *place: str) -> Any:
    """The JSON object on the first line of a file; empty if there is none."""
    with suppress(ValueError):
        value = codec.loads((store.load(*place, most=_MOST) or b"{}").partition(b"\n")[0])
        if isinstance(value, dict):
            return value
    return {}


def _stamp(store: Store, place: tuple[str, ...]) -> tuple[int, ...]:
    try:
        info = os.stat(os.path.join(store.path, *place))
    except FileNotFoundError:
        return (0, 0, 0)
    return info.st_ino, info.st_size, info.st_mtime_ns


def _replica(stream: str) -> str:
    """The replica that writes it; "": a fork, which nobody writes."""
    return "" if "!" in stream else stream.rpartition("~")[2].partition("+")[0]
