"""Redaction: which events readers print a tombstone for. Their bytes stay in the journal.

A `coord.redacted` event may come by an append, a sync or a copy. So it is looked for in the bytes of the journal
themselves, in what came since the last look: a search for its type, 1 ms in 2 MB, and no database. `local/redacted`
remembers what was found and how far each stream was read; deleted, it is made anew.
"""

from __future__ import annotations

import itertools

from coord_envelope import codec, event, ids
from coord_envelope.event import Event
from coord_envelope.platform import suppress
from coord_kernel.rules import claims
from coord_kernel.store import machine
from coord_kernel.store.disk import IrregularError
from coord_kernel.streams.stream import SUFFIX, Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self

    from coord_envelope.codec import Json
    from coord_kernel.store.directory import Store

TYPE = "coord.redacted"
CHUNK = 1 << 20
MUCH = 1 << 20
"""Bytes after which it is cheaper to remember that they were read than to read them again."""
FEW, MANY = 16, 1024
"""Events between two looks, at first and at last."""
_FILE = ("local", "redacted")
_MARK = TYPE.encode()
_STAYS = (
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
_REFS = ("work_id", "thread_id", "msg_id", "run_id", "lease_id", "artifact_id", "agent_id")


class Redactions:
    """The redactions of a store's durable streams, as of the last `refresh`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.by: dict[str, tuple[str, str]] = {}
        """Of each target the id of the event that redacts it, the first if there are several, and its reason."""
        self._read: dict[str, list[int]] | None = None
        self._unsaved = 0

    def refresh(self) -> Self:
        """Look at what came since. Raises OSError where the disk fails."""
        if self._read is None:
            self._load()
        known = dict(self.by)
        for name in self._store.listdir("journal"):
            if not name.startswith("."):
                with suppress(IrregularError):
                    self._look(name)
        if self._unsaved >= MUCH or self.by != known:
            self._save()
        return self

    def shown(self, one: Event) -> Event:
        """The event, or its tombstone. What the arbiter says holds no text and cannot be redacted."""
        if one.id not in self.by or claims.is_arbiter(one["writer"]):
            return one
        by, reason = self.by[one.id]
        return tombstone(one, by, "" if by in self.by else reason)

    def all(self, events: Iterable[Event]) -> Iterator[Event]:
        """As `shown`, each. Looks after it has read: what comes together with its redaction is never shown."""
        rest, size = iter(events), FEW
        while read := list(itertools.islice(rest, size)):
            yield from map(self.shown, read) if self.refresh().by else read
            size = min(2 * size, MANY)

    def _load(self) -> None:
        self._read = {}
        with suppress(ValueError, KeyError, TypeError, AttributeError, OSError):
            saved = codec.loads(self._store.load(*_FILE, most=1 << 26) or b"{}")
            if (
                saved["boot"] == machine.boot_id()
            ):  # after a power loss the journal may be shorter than what was read
                self.by = {target: (by, reason) for target, (by, reason) in saved["by"].items()}
                self._read = {
                    name: [int(first), int(offset)]
                    for name, (first, offset) in saved["read"].items()
                }

    def _save(self) -> None:
        self._unsaved = 0
        saved = {"boot": machine.boot_id(), "read": self._read, "by": self.by}
        with suppress(OSError):  # a full or read-only disk: it is looked for again
            self._store.save(codec.dumps(saved), *_FILE)

    def _look(self, name: str) -> None:
        assert self._read is not None
        first, offset = self._read.get(name, (0, 0))
        for segment in Stream(self._store, "journal", name).segments():
            if segment >= first:
                offset = self._search(name, segment, offset if segment == first else 0)
                self._read[name] = [segment, offset]

    def _search(self, name: str, segment: int, offset: int) -> int:
        """Search the segment's whole lines from there. Returns where they end."""
        while data := self._store.pread(CHUNK, offset, "journal", name, f"{segment:012d}{SUFFIX}"):
            end = data.rfind(b"\n") + 1
            if not end and len(data) < CHUNK:
                break  # a line that does not exist yet
            at = data.find(_MARK, 0, end)
            while at >= 0:
                stop = data.index(b"\n", at)
                self._note(data[data.rfind(b"\n", 0, at) + 1 : stop], name.partition("!")[0])
                at = data.find(_MARK, stop, end)
            offset += end or len(data)  # longer than any event
            self._unsaved += end or len(data)
        return offset

    def _note(self, line: bytes, writer: str) -> None:
        try:
            found = event.parse(line)
        except ValueError:
            return
        target, reason = found["body"].get("target"), found["body"].get("reason")
        if found["type"] == TYPE and found["writer"] == writer and ids.valid(target):
            told = (found.id, reason if isinstance(reason, str) else "")
            self.by[target] = min(self.by.get(target, told), told)


def tombstone(one: Event, by: str, reason: str) -> Event:
    """What stands in place of an event: who, when, and what it belongs to; nothing that it says.

    A claim that it ends stays ended.
    """
    fields: Json = {name: one[name] for name in _STAYS if name in one}
    refs = one.get("refs")
    if isinstance(refs, dict):
        fields["refs"] = {name: refs[name] for name in _REFS if name in refs}
    claim = one["body"].get("claim")
    kept = {"claim": claim} if ids.valid(claim) else {}
    fields["body"] = {**kept, "redacted": True, "by": by, "reason": reason}
    return Event(codec.dumps(fields), fields, one.stream)


def digest(raw: bytes) -> str:
    """The line's fingerprint: 26 characters of Crockford's base 32, the first 130 bits of its SHA-256."""
    import hashlib

    number = int.from_bytes(hashlib.sha256(raw).digest(), "big") >> 126
    return "".join(ids.CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))
