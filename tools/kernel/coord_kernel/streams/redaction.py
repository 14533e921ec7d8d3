"""Redaction: readers get a tombstone for a redacted event. Its bytes stay in the journal.

A `coord.redacted` event may arrive by an append, a sync or a copy. So the bytes that were added to
the journal since the last look are searched for its type, 1 ms for 2 MB, without a database.
`local/redacted` remembers the redactions (first line) and how far each stream was read (second
line, which is parsed only if something changed); it may be deleted. In a store that knows signers
a redaction that nobody has signed does not count, nor a line that does not join its stream: it has
not the place that it claims (spec/trust.md).
"""

from __future__ import annotations

import itertools
import os

from coord_envelope import codec, ids
from coord_envelope.event import Event, parse_or_reason
from coord_envelope.platform import suppress
from coord_kernel.store import machine
from coord_kernel.store.disk import IrregularError
from coord_kernel.streams import changes
from coord_kernel.streams.stream import SUFFIX, Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Self

    from coord_envelope.codec import Json
    from coord_kernel.store.directory import Store
    from coord_kernel.streams.trusted import Trusted

    _Redaction = tuple[str, str, str, int, str]
    """Its id and reason; its stream, seq and agent."""

TYPE = "coord.redacted"
CHUNK = 1 << 20
MUCH = 1 << 20
"""Bytes from which it is cheaper to remember that they were read than to read them again."""
FEW, MANY = 16, 1024
"""Events between two looks, at first and at most."""
_FILE = ("local", "redacted")
_MARK = TYPE.encode()
_KEPT = (
    "event_id",
    "type",
    "ts",
    "project",
    "writer",
    "seq",
    "actor",
    "to",
    "base",
    "cause",
    "hops",
)
_KEPT_REFS = ("work_id", "thread_id", "msg_id", "run_id", "lease_id", "artifact_id", "agent_id")


class Redactions:
    """The redactions in a store's durable streams, as of the last `refresh`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.targets: dict[str, tuple[str, str]] = {}
        """Id of each redacted event: the id of the (first) event that redacts it, its reason."""
        self._known: dict[str, list[_Redaction]] = {}
        """The same with all events that redact it, by id, also those that nobody has signed."""
        self._rows = 0
        """How many these are."""
        self._joined = False
        """Are these only of lines that join their streams? So in a store that knows signers."""
        self._trusted: Trusted | None = None
        self._chosen: tuple[int, tuple[int, ...] | None] = 0, ()
        """By how many of these, and by which judgement, `targets` are."""
        self._read: dict[str, list[int]] = {}
        """Stream: segment and offset up to which it was read. `_unread` may have it still."""
        self._unread: bytes | None = None
        self._count, self._place = 0, ""
        self._unsaved_bytes = 0

    def refresh(self) -> Self:
        """Read what was added since. Raises OSError if the disk fails."""
        joined = self._store.signers()
        if self._unread is None or joined != self._joined:
            self._joined = joined
            self._load()
        since = changes.Changes(self._store, self._place, self._count)
        if since.none():
            self._choose()
            return self
        before = self._rows
        names = since.among(lambda: [f"journal/{name}" for name in self._places()])
        anew = names is None or since.moved
        if names is None:
            names = [f"journal/{name}" for name in self._store.listdir("journal")]
        for kind, _, name in (name.partition("/") for name in names):
            if kind == "journal" and not name.startswith("."):
                with suppress(IrregularError):
                    self._read_stream(name)
        self._place = since.place
        self._count = self._count if self._unread else len(self._read)
        logged = anew and self._count >= changes.MANY
        more = self._rows > before
        if more or self._unsaved_bytes >= MUCH or logged or len(names) > MANY:
            self._save()
        self._choose()
        return self

    def _choose(self) -> None:
        """Of each event the first redaction that counts."""
        judged: Callable[[str, int, str], bool] | None = None
        version: tuple[int, ...] | None = ()
        if self._known and self._store.signers():
            from coord_kernel.streams.trusted import Trusted  # only with signers

            self._trusted = self._trusted or Trusted(self._store)
            judged, version = self._trusted.refresh().counts, self._trusted.version
        if self._chosen == (self._rows, version):
            return
        self._chosen, self.targets = (self._rows, version), {}
        for target, known in self._known.items():
            counting = (each for each in known if judged is None or judged(*each[2:]))
            if first := next(counting, None):
                self.targets[target] = first[:2]

    def apply(self, event: Event) -> Event:
        """The event, or its tombstone. The arbiter's events have no text and cannot be redacted."""
        if event.id not in self.targets:
            return event
        from coord_kernel.rules.claims import is_arbiter

        if is_arbiter(event["writer"]):
            return event
        by, reason = self.targets[event.id]
        return tombstone(event, by, "" if by in self.targets else reason)

    def apply_all(self, events: Iterable[Event]) -> Iterator[Event]:
        """`apply` to each.

        Refreshes after reading, so an event that arrives with its redaction is not given out.
        """
        remaining, size = iter(events), FEW
        while batch := list(itertools.islice(remaining, size)):
            yield from map(self.apply, batch) if self.refresh().targets else batch
            # A look costs as much as there are streams, so after at least as many events.
            size = max(min(2 * size, MANY), self._count)

    def _load(self) -> None:
        self._unread, self._known, self._rows, self._read = b"", {}, 0, {}
        self._count, self._place, self._chosen = 0, "", (0, ())
        self.targets = {}
        with suppress(ValueError, KeyError, TypeError, AttributeError, OSError):
            data = self._store.load(*_FILE, most=1 << 26) or b"{}"
            head, _, read = data.partition(b"\n")
            saved = codec.loads(head)
            # After a power loss the journal may be shorter than what was read of it.
            same = saved.get("joined", False) == self._joined
            if same and saved["boot"] == machine.boot_id():
                known = {
                    target: [
                        (by, reason, stream, int(seq), agent)
                        for by, reason, stream, seq, agent in each
                    ]
                    for target, each in saved["known"].items()
                }
                self._count, self._place = int(saved["streams"]), str(saved["place"])
                self._known, self._unread = known, read
                self._rows = sum(map(len, known.values()))

    def _places(self) -> dict[str, list[int]]:
        if self._unread:
            data, self._unread = self._unread, b""
            with suppress(ValueError, TypeError, AttributeError):
                self._read = {
                    name: [int(segment), int(offset)]
                    for name, (segment, offset) in codec.loads(data).items()
                }
        return self._read

    def _save(self) -> None:
        self._unsaved_bytes = 0
        places = self._places()
        saved = {
            "boot": machine.boot_id(),
            **({"joined": True} if self._joined else {}),
            "known": self._known,
            "streams": len(places),
            "place": self._place,
        }
        with suppress(OSError):  # a full or read-only disk: it is read again
            data = codec.dumps(saved) + b"\n" + codec.dumps(places)
            self._store.save(data, *_FILE)

    def _read_stream(self, name: str) -> None:
        places = self._places()
        reached, offset = places.get(name, (0, 0))
        for segment in Stream(self._store, "journal", name).segments():
            if segment > reached or (segment == reached and self._grown(name, segment, offset)):
                offset = self._search(name, segment, offset if segment == reached else 0)
                places[name] = [segment, offset]

    def _grown(self, name: str, segment: int, offset: int) -> bool:
        """Has the segment more bytes than these? Costs a third of reading none."""
        directory = self._store.directory("journal", name)
        try:
            file = f"{segment:012d}{SUFFIX}"
            return os.stat(file, dir_fd=directory, follow_symlinks=False).st_size > offset
        finally:
            os.close(directory)

    def _search(self, name: str, segment: int, offset: int) -> int:
        """Search the segment's whole lines from an offset on. Returns where they end."""
        found = list[bytes]()
        while data := self._store.pread(CHUNK, offset, "journal", name, f"{segment:012d}{SUFFIX}"):
            end = data.rfind(b"\n") + 1
            if not end and len(data) < CHUNK:
                break  # a torn tail
            at = data.find(_MARK, 0, end)
            while at >= 0:
                stop = data.index(b"\n", at)
                found.append(data[data.rfind(b"\n", 0, at) + 1 : stop])
                at = data.find(_MARK, stop, end)
            offset += end or len(data)  # without a newline: longer than any event
            self._unsaved_bytes += end or len(data)
        if found and self._joined:
            from coord_kernel.streams.trusted import joined  # only with signers

            found = [item.raw for item in joined(self._store, name, segment, found)]
        for line in found:
            self._add(line, name)
        return offset

    def _add(self, line: bytes, stream: str) -> None:
        redacting = parse_or_reason(line)
        if isinstance(redacting, str):
            return
        target, reason = redacting["body"].get("target"), redacting["body"].get("reason")
        ours = redacting["writer"] == stream.partition("!")[0]
        if redacting["type"] == TYPE and ours and ids.valid(target):
            text = reason if isinstance(reason, str) else ""
            agent = redacting["actor"]["agent_id"]
            known = self._known.setdefault(target, [])
            row = (redacting.id, text, stream, redacting["seq"], agent)
            if row not in known:
                from bisect import insort

                insort(known, row)
                self._rows += 1


def tombstone(event: Event, by: str, reason: str) -> Event:
    """What readers get in place of an event: who, when, and what it belongs to; not its content.

    `by` is the id of the event that redacts it. A claim that it ends stays ended.
    """
    fields: Json = {name: event[name] for name in _KEPT if name in event}
    refs = event.get("refs")
    if isinstance(refs, dict):
        fields["refs"] = {name: refs[name] for name in _KEPT_REFS if name in refs}
    claim = event["body"].get("claim")
    kept = {"claim": claim} if ids.valid(claim) else {}
    fields["body"] = {**kept, "redacted": True, "by": by, "reason": reason}
    return Event(codec.dumps(fields), fields, event.stream)


def digest(raw: bytes) -> str:
    """A line's fingerprint: the first 130 bits of its SHA-256, as 26 characters of base 32."""
    import hashlib

    number = int.from_bytes(hashlib.sha256(raw).digest(), "big") >> 126
    return "".join(ids.CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))
