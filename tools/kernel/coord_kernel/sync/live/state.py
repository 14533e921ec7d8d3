"""What a store remembers of a live remote: a mark, and what the log is known to have.

    epoch, first    of the log's birth, and its first entry's position: a log that was deleted, or
                    cut at its beginning, differs
    at, check       the last entry that was taken in: its position, and a digest of it. A log that
                    was put back to an older state may use the position again for another entry.
    ends            subject → the position of its last entry, of the subjects that this store writes
    former          epochs of logs that were at this URL before: kept when the rest is forgotten
    unseen          position → digest of what this store put and has not read back. If it is not
                    found there, the log was put back to an older state
    has             file → the ranges of its bytes that the log has. Bytes of this store's file:
                    others that the log has under its name (a fork) do not count.
    times           claim of a lease → when the server added its confirmation, by its clock
    diverted        `SUBJECT PATH` → the file to which that source's bytes go, and the offset where
                    it begins: a source whose stream is a fork here still uses the plain name

All of it is a cache. It is lost as a whole, and then the log is read once more from its beginning:
what is held is recognised. It is never newer than what was taken in.
"""

from __future__ import annotations

import hashlib

from coord_envelope import codec
from coord_envelope.event import parse_or_reason
from coord_envelope.platform import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.store.directory import Store
    from coord_kernel.sync.live.log import Birth, Entry
    from coord_kernel.sync.live.spans import Spans

DIRECTORY = ("local", "live")
_FORMER = 16
_TIMES = 1_000
_TIMED = b'"clock"'


def name(url: str) -> str:
    """The name of a remote's files in `local/live/`."""
    return hashlib.sha256(url.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def check(entry: Entry) -> str:
    """The digest of an entry in a mark."""
    digest = hashlib.sha256(f"{entry.at} {entry.subject}\n".encode())
    digest.update(entry.payload)
    return digest.hexdigest()[:32]


class State:
    """The state of one remote, as of the last `load` and what was noted since."""

    def __init__(self, store: Store, url: str) -> None:
        self._store, self._url, self._place = store, url, (*DIRECTORY, name(url))
        self._saved = b""
        self._mark: tuple[int, ...] = (0,)
        self.former: list[str] = []
        self.forget()
        self.load()

    def forget(self) -> None:
        """The log is to be read from its beginning."""
        self.epoch, self.first, self.at, self.check, self.ts = "", "", "", "", ""
        self.ends: dict[str, str] = {}
        self.unseen: dict[str, str] = {}
        self.times: dict[str, int] = {}
        self.has: dict[str, Spans] = {}
        self.diverted: dict[str, list[str | int]] = {}

    def load(self) -> bool:
        """Take over what another process has saved. Was there anything?"""
        mark = self._store.mark(*self._place)
        if mark == self._mark:
            return False
        self._mark = mark
        data = self._store.load(*self._place, most=1 << 26) or b""
        if data == self._saved:
            return False
        self._saved = data
        self.forget()
        with suppress(ValueError, KeyError, TypeError, AttributeError):
            saved = codec.loads(data)
            has = {path: [[*span] for span in spans] for path, spans in saved["has"].items()}
            ends, diverted = dict(saved["ends"]), dict(saved["diverted"])
            unseen, times = dict(saved["unseen"]), dict(saved.get("times", {}))
            if saved["url"] == self._url:
                self.has, self.ends, self.diverted = has, ends, diverted
                self.times = times
                self.unseen, self.former = unseen, [str(epoch) for epoch in saved["former"]]
                self.epoch, self.first = str(saved["epoch"]), str(saved["first"])
                self.at, self.check = str(saved["at"]), str(saved["check"])
                self.ts = str(saved["ts"])
        return True

    def save(self) -> None:
        """Save it, when everything that it speaks of is durable. Losing it costs one reading."""
        data = codec.dumps(
            {
                "url": self._url,
                "epoch": self.epoch,
                "former": self.former,
                "first": self.first,
                "at": self.at,
                "check": self.check,
                "ts": self.ts,
                "ends": self.ends,
                "unseen": self.unseen,
                "times": self.times,
                "has": self.has,
                "diverted": self.diverted,
            }
        )
        if data != self._saved:
            self._store.save(data, *self._place, durable=False)
            self._saved, self._mark = data, self._store.mark(*self._place)

    def born(self, birth: Birth) -> bool:
        """Is it still the log of this state? Otherwise the state is forgotten."""
        same = birth.epoch == self.epoch and birth.first == (self.first or birth.first)
        if not same:
            former = [*self.former, self.epoch]
            self.former = [each for each in former if each not in ("", birth.epoch)][-_FORMER:]
            self.forget()
        self.epoch, self.first = birth.epoch, birth.first
        return same

    def marked(self, entry: Entry) -> bool:
        """Is this the entry of the mark?"""
        return entry.at == self.at and check(entry) == self.check

    def mark(self, entry: Entry) -> None:
        """Everything up to this entry was taken in."""
        self.at, self.check = entry.at, check(entry)

    def confirmed(self, entry: Entry) -> None:
        """Note when the server added the confirmations of an entry. The last time counts."""
        for line in entry.payload.partition(b"\n")[2].split(b"\n"):
            event = parse_or_reason(line) if _TIMED in line else ""
            if isinstance(event, str) or event["body"].get("clock") != "arbiter":
                continue
            if isinstance(claim := event["body"].get("claim"), str):
                self.times.pop(claim, None)
                self.times[claim] = entry.ms
        for claim in [*self.times][:-_TIMES]:
            del self.times[claim]

    def put(self, entry: Entry) -> None:
        """This store has put an entry: its subject's last one."""
        self.ends[entry.subject] = entry.at
        self.unseen[entry.at] = check(entry)

    def see(self, entry: Entry) -> bool:
        """An entry was read: what this store has put is there. Is it that?"""
        own = bool(self.unseen) and self.unseen.get(entry.at) == check(entry)
        if own:
            del self.unseen[entry.at]
        return own
