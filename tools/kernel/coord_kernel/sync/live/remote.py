"""A live remote: what its log has is taken in, what this store has and it lacks is put there.

pull      open the log, look whether the mark is of this log, take in what is new
publish   put what it lacks: the arbiter's lines first, then the rest, then confirmations; each
          subject by compare-and-swap. Beaten: pull again, and everything is seen there
wait      a descriptor that is readable when something may have come
now       the server's clock
"""

from __future__ import annotations

import os
import time

from coord_envelope.errors import Refused
from coord_envelope.platform import suppress
from coord_kernel.store import disk
from coord_kernel.sync import seat as seats
from coord_kernel.sync.live import arbiter, outbox, presence, spans
from coord_kernel.sync.live import state as states
from coord_kernel.sync.live.chunk import pack
from coord_kernel.sync.live.intake import Intake
from coord_kernel.sync.live.log import ARBITER, TOLD_S, Entry, Moved
from coord_kernel.sync.live.pending import Pending
from coord_kernel.sync.live.state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from coord_envelope.codec import Json
    from coord_kernel.store.directory import Store
    from coord_kernel.sync.live.chunk import Chunk
    from coord_kernel.sync.live.log import Birth, Log, Place
    from coord_kernel.sync.live.outbox import Missing
    from coord_kernel.sync.seat import Seat

SETTLED = 1 << 25
"""Bytes that are taken in between two writes to the disk."""
_CLAIMS = b".claimed", b"\\u00"
"""What the line of a claim has one of, whoever wrote it: JSON has escapes and any white space."""
SURE_S = 20.0
"""How long a log is taken to be the same, while every call succeeds."""
TOGETHER = 1_000
"""Most confirmations of one entry."""


class Live:
    """One live remote of a store. It may be used for one sync, or by a mirror for all of them."""

    _pipe = -1, -1

    def __init__(self, store: Store, place: Place, log: Log) -> None:
        self._store, self.place, self._log = store, place, log
        self.state = State(store, place.url)
        self._begin()
        self._looked = False
        self._tails, self._giver = outbox.Tails(store), ""
        """What is given at once, and as whom: as of the last look at everything."""
        self._birth: Birth | None = None
        """Of the log, while nothing has failed since it was asked; `_sure`: until when."""
        self._sure = 0.0
        self._shares, self._heard = True, dict[str, bytes]()
        self._told, self._tell_again = b"", 0.0
        self._told_state: object = None
        self.stirred = True
        """May there be a claim to judge? One was given or is open, or nobody has looked yet."""
        self.later = False
        """Was something of others' left for later?"""
        self.sent = 0
        """Lines that this store gave and the log did not have."""

    def _begin(self) -> None:
        self._pending = Pending(self._store, states.name(self.place.url))
        self.intake = Intake(self._store, self.state, self._pending)

    @property
    def epoch(self) -> str:
        """Which log it is; "": it was never opened."""
        return self.state.epoch

    def load(self) -> None:
        """Take over what another process of this store has saved. Under the remote's lock."""
        if self.state.load():
            self._begin()
            self.stirred = True

    # ---- in

    def look(self) -> Birth:
        """Connect. Raises Unreachable; Refused if it is another project's log."""
        birth = self._log.open()
        if birth.project != self._store.project:
            raise Refused(
                f"is the log of project {birth.project}, and this store is of "
                f"{self._store.project}; nothing was sent",
                where=self.place.public,
                todo="name another log, or set `project` in coord.toml",
            )
        return birth

    def pull(self) -> None:
        """Take in what is new. Raises as `look`.

        Whether it is still the same log is asked again after a failure, if the mark is not found,
        and after SURE_S: a question less for each entry that comes.
        """
        try:
            self._pull()
        except BaseException:
            self._birth = None
            raise

    def hear(self) -> int | None:
        """Take in what the engine received since, without a request; how many entries that was.

        None: `pull`. A log that was deleted meanwhile is found by the next `look`: until then what
        comes is recognised or waits, as everything that is taken in.
        """
        if not self._birth or not self.state.at:
            return None
        heard = getattr(self._log, "heard", None)  # an engine may lack it
        entries = heard(self.state.at) if heard else None
        if entries:
            self._take(iter(entries))
        return None if entries is None else len(entries)

    def _pull(self) -> None:
        birth = self._birth if time.monotonic() < self._sure else None
        if birth is None or not self.state.at or not (entries := self._behind_mark()):
            self._birth = birth = self.look()
            self._sure = time.monotonic() + SURE_S
            if not self._looked:
                self._looked = True
                if outbox.lost(self._store, self.state.has):
                    self.state.forget()
            if not self.state.born(birth):
                self._pending.clear()
            entries = self._new(birth)
        self._take(entries)
        if self.state.unseen:  # what was put is not there: the log was put back to an older state
            self._forget(birth)
            self._take(self._log.read(""))
            self.state.unseen.clear()

    def _forget(self, birth: Birth) -> None:
        self.state.forget()
        self.state.born(birth)
        self._pending.clear()

    def _new(self, birth: Birth) -> Iterator[Entry]:
        """The entries behind the mark; all of them if the log has another history than the mark."""
        if self.state.at:
            if entries := self._behind_mark():
                return entries
            self._forget(birth)
        return iter(self._log.read(""))

    def _behind_mark(self) -> Iterator[Entry] | None:
        entries = iter(self._log.read(self.state.at))
        first = next(entries, None)
        return entries if first and self.state.marked(first) else None

    def _take(self, entries: Iterator[Entry]) -> None:
        self.intake.full = False
        last: Entry | None = None
        size, mine = 0, ""
        try:
            for entry in entries:
                self.intake.take(entry)
                own = self.state.see(entry)
                self.stirred = self.stirred or (not own and _claims(entry.payload))
                if entry.subject == ARBITER:
                    self.state.confirmed(entry)
                mine = mine or self._mine()  # known once something was taken in
                if entry.subject == ARBITER or entry.subject.startswith(mine):
                    self.state.ends[entry.subject] = entry.at
                if not self.intake.full:
                    last = entry
                size += len(entry.payload)
                if size > SETTLED:
                    size = 0
                    self.intake.settle()
        finally:
            self.intake.settle()
            if last:
                self.state.mark(last)

    def waits(self) -> bool:
        """Is something of the arbiter's stream missing here?"""
        return self.intake.waits()

    # ---- out

    def publish(self, seat: Seat, foreign: bool = True) -> bool:
        """Put everything that the log lacks; `foreign`: also what others have written.

        False: others were faster. Raises Unreachable, Refused.
        """
        self._giver, replica = "", self._replica()
        files = outbox.missing(self._store, self.state.has)
        of_arbiter = [row for row in files if seat.stream == row[0].split("/")[1]]
        mine = [row for row in files if outbox.written_here(row[0], replica)]
        mine.sort(key=outbox.order)
        others = [row for row in files if row not in of_arbiter and row not in mine]
        others.sort(key=outbox.order)
        self._make_durable(mine)
        self.later = bool(others) and not foreign
        if not self._put_all(of_arbiter, replica, ARBITER) or not self._put_all(mine, replica):
            return False
        for path, _, _ in mine:
            self._tails.note(path)
        if not seat.stream or self.lives_here(seat):  # nobody else adds to the arbiter's stream
            self._giver = replica
        return not foreign or self._put_all(others, replica)

    def hasten(self, directories: Iterable[str]) -> bool:
        """Put what was appended to this store's newest segments in these directories.

        False: that is not all, or others were faster. Raises as `publish`.
        """
        for directory in directories:
            chunk = self._giver and self._tails.grown(directory, self.state.has, self._giver)
            if not chunk or (chunk.data and not self._put_chunk(chunk, self._giver)):
                return False
        return True

    def confirm(self, seat: Seat, drafts: Sequence[Json]) -> bool:
        """Add these events to the arbiter's stream, and take them in. False: others were faster."""
        for begin in range(0, len(drafts), TOGETHER):
            chunk = self.continued(seat, drafts[begin : begin + TOGETHER])
            if not self.add(chunk):
                return False
            seat = seat._replace(stream=chunk.stream, place=self.epoch)
        return True

    def continued(self, seat: Seat, drafts: Sequence[Json]) -> Chunk:
        """The chunk that adds these events to the arbiter's stream, as it is in the journal."""
        if seat.place != self.epoch:
            drafts = [seats.moved(self.epoch, "agent:arbiter"), *drafts]
        return arbiter.lines(self._store, seat.stream, drafts, self._replica())

    def added(self, chunk: Chunk) -> tuple[str, int, bytes]:
        """The chunk as the file, where it begins in it, and all the file's bytes."""
        before = self._store.load(*chunk.path.split("/"), most=chunk.offset) or b""
        return chunk.path, chunk.offset, before[: chunk.offset] + chunk.data

    def begun(self, agent_id: str) -> Chunk:
        """The chunk that begins a new arbiter's stream here, by force."""
        move = seats.moved(self.epoch, agent_id, forced=True)
        return arbiter.lines(self._store, "", [move], self._replica())

    def add(self, chunk: Chunk) -> bool:
        """Put a chunk of the arbiter's stream, and take it in. False: others were faster."""
        at = self._put(ARBITER, chunk)
        if at is None:
            return False
        self.intake.take(Entry(at, ARBITER, pack(chunk), 0))
        self.intake.settle()
        return True

    def lives_here(self, seat: Seat) -> bool:
        """Does the arbiter live in this log, or in a former log at this URL?

        A log that was deleted and made again gets the arbiter's lines again, and then a line that
        says that it is another log.
        """
        return bool(seat.place) and seat.place in (self.epoch, *self.state.former)

    def _put_all(self, files: Missing, replica: str, subject: str = "") -> bool:
        chunks = outbox.read(self._store, files, replica)
        return all(self._put_chunk(chunk, replica, subject) for chunk in chunks)

    def _put_chunk(self, chunk: Chunk, replica: str, subject: str = "") -> bool:
        if self._put(subject or outbox.subject(chunk.path, replica), chunk) is None:
            return False
        self.stirred = self.stirred or _claims(chunk.data)
        has = self.state.has
        has[chunk.path] = spans.added(has.get(chunk.path, []), chunk.offset, chunk.end)
        self.sent += 0 if chunk.size else chunk.data.count(b"\n")
        return True

    def _put(self, subject: str, chunk: Chunk) -> str | None:
        payload = pack(chunk)
        try:
            at = self._log.put(subject, self.state.ends.get(subject, ""), payload)
        except Moved:
            return None
        except BaseException:
            self._birth = None
            raise
        self.state.put(Entry(at, subject, payload, 0))
        return at

    def _make_durable(self, files: Missing) -> None:
        """A store that gave away what a power loss takes from it has a fork of its own stream."""
        for path, _, _ in files:
            fd = self._store.open(*path.split("/"))
            try:
                disk.fdatasync(fd)
            finally:
                os.close(fd)

    def _mine(self) -> str:
        return f"{(self._store.replicas() or [''])[-1]}/"

    def _replica(self) -> str:
        with self._store.lock():
            return self._store.replica()

    # ---- what comes

    def wait(self) -> int:
        """A descriptor that is readable when something may have come, or the connection changed."""
        if self._pipe[0] < 0:
            self._pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            self._log.follow(self._wake)
        return self._pipe[0]

    def _wake(self) -> None:
        with suppress(OSError):  # full: it is readable
            os.write(self._pipe[1], b"x")

    def woken(self) -> None:
        """Take note: what comes from now on wakes again."""
        with suppress(BlockingIOError):
            while len(os.read(self._pipe[0], 4096)) == 4096:
                pass

    def now(self) -> int:
        """The server's clock, Unix milliseconds."""
        return self._log.now()

    def elapsed(self, claims: Sequence[str]) -> dict[str, int]:
        """Ms since the server added the confirmations of these claims, as far as is known."""
        if not claims:
            return {}
        if any(claim not in self.state.times for claim in claims):
            self.pull()  # what this store put itself is not read back before the next pull
        now, times = self.now(), self.state.times
        return {claim: now - times[claim] for claim in claims if claim in times}

    # ---- live events

    def share(self, hear: bool = True) -> int:
        """Tell this store's live events if they have changed or are soon forgotten there.

        And `hear` those of others: how many. A server that has no room or permission for them is
        asked no more.
        """
        if not self._shares:
            return 0
        try:
            self._tell()
            count = 0
            if not hear:
                return count
            for replica, data in self._log.told().items():
                if self._heard.get(replica) != data:
                    count += presence.take(self._store, replica, data)
                    self._heard[replica] = data
        except (Refused, AttributeError):  # an engine may lack it
            self._shares = False
            return 0
        return count

    def _tell(self) -> None:
        now, state = time.monotonic(), presence.state(self._store)
        if state == self._told_state and now < self._tell_again:
            return
        data = presence.own(self._store)
        if data or self._told:
            self._log.tell(self._replica(), data)
        self._told, self._told_state, self._tell_again = data, state, now + TOLD_S / 3

    def close(self) -> None:
        """Let go of the connection."""
        self._log.close()

    def __del__(self) -> None:
        # Not in `close`: an engine's thread may be about to wake, and holds this object until then.
        for fd in filter(lambda fd: fd >= 0, self._pipe):
            os.close(fd)


def _claims(data: bytes) -> bool:
    """May there be a claim in these lines?"""
    return any(mark in data for mark in _CLAIMS)
