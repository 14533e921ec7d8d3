"""The only place that writes events: one lock, one write, one fdatasync, and only then an answer.

    with journal.transaction(actor) as t:
        claim = t.add(claimed)
        t.add(started(claim.id))
    print(t.events)

The order of the steps is the guarantee:

    1. take the store's lock
    2. read the own stream's tail, and end a line that a crash tore
    3. run the block: what it reads still holds when its events are written;
       `add` looks up the key, then mints the id and the seq
    4. make durable what `$dup` answers stand for
    5. write the clock file; if readers keep a log of changes, add the stream to it
    6. write the lines
    7. fdatasync (a live stream: not)
    8. release the lock; only now may an event be acknowledged

So check-then-append is atomic on a store, an event that is printed is on the disk, and a crash at
any point leaves at most one torn line, which the next append ends with a newline and never
truncates. An exception in the block writes nothing.

The block must not wait: not for input, the network, another lock, or code of the user's. Every
other writer of the store waits for it.
"""

from __future__ import annotations

from coord_envelope import event, ids, world
from coord_envelope.errors import BadData, Fault
from coord_envelope.secrets import refuse_secret
from coord_kernel.journal.tail import Tail
from coord_kernel.store import stamp
from coord_kernel.streams import changes
from coord_kernel.streams.stream import streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from coord_envelope.codec import Json
    from coord_envelope.event import Event
    from coord_kernel.journal.columns import Drafts
    from coord_kernel.journal.keys import Keys
    from coord_kernel.store.directory import Store

    Add = Callable[["Transaction", Json], Event]


class Transaction:
    """Events of one actor, written all or none when the block ends."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        actor: Json,
        *,
        live: bool = False,
        allow_secret: bool = False,
        wait_s: float | None = None,
    ) -> None:
        """`live`: into the stream that need not outlive a reboot; its drafts have no keys.

        The lock is waited for at most `wait_s`, by default as long as `Store.lock` says.
        """
        self.events: list[Event] = []
        """The answer to each `add` and `repeat`, in order. Acknowledge them after the block."""
        self.whole = False
        """Are its events to be all there or none, whatever ends the process? Costs a segment.

        Otherwise a kill or a crash while they are written may leave the first of them."""
        self._store, self._keys, self._actor = store, keys, actor
        self._live, self._allow_secret = live, allow_secret
        self._lock = store.lock() if wait_s is None else store.lock(wait_s)
        self._fresh: list[bytes] = []

    def __enter__(self) -> Self:
        """Take the lock. Raises TryAgain if another process holds it all the time."""
        self._lock.__enter__()
        try:
            self._now = world.now_ms()
            agent = event.file_form(self._actor["agent_id"])
            self._tail = Tail(self._store, agent, self._now, self._live)
            self._seq, self._stamp = self._tail.seq, self._last_stamp()
            self._keys.begin(self._tail.name, self._seq)
        except BaseException as error:
            self._lock.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        """Write, unless the block raised, and release the lock.

        Raises DiskFault: its `accepted` were written; the rest was not, or after a failed
        fdatasync cannot be known.
        """
        try:
            if error is None:
                self._keys.make_durable(self._store)
                if self._fresh:
                    stamp.save(self._store, self._stamp)
                    changes.add(self._store, self._tail.name)
                    whole = self.whole and len(self._fresh) > 1
                    write = self._tail.write_whole if whole else self._tail.write
                    write(self._fresh, self._seq - len(self._fresh) + 1)
                self._keys.end(self._tail.name, self._seq)
            else:
                self._keys.forget()
        except BaseException:
            self._keys.forget()
            raise
        finally:
            self._lock.__exit__(None, None, None)

    def add(self, draft: Json) -> Event:
        """The event of a draft, which is written when the block ends.

        If its (type, idempotency_key) is taken, the first event with it, marked `$dup`; nothing is
        written then. Raises BadData (the draft is bad, or its key was used for something else) or
        Refused (it holds a credential); the transaction goes on as if it had not been added.
        """
        try:
            event.check(draft)
            first = None if self._live else self._keys.first(draft)
            answer = first.annotated(dup=True) if first else self._new(draft)
        except ValueError as reason:
            raise BadData(str(reason)) from None
        self.events.append(answer)
        return answer

    def attempt(self, draft: Json | Fault, add: Add | None = None) -> Event | Fault:
        """The answer of `add` (or of another function like it), or the fault that it raised.

        The transaction goes on without a draft that was refused, or that was a fault already.
        """
        if isinstance(draft, Fault):
            return draft
        try:
            return (add or Transaction.add)(self, draft)
        except Fault as fault:
            return fault

    def repeat(self, known: Event) -> Event:
        """Answer with a stored event, marked `$dup`: it is durable when the block ends."""
        self._keys.vouch(known)
        self.events.append(known.annotated(dup=True))
        return self.events[-1]

    def _new(self, draft: Json) -> Event:
        if "gen" in draft.get("body", ()) and len(self._store.all_replicas()) > 1:
            # The store is a copy or was put back, and nobody knows how many tokens the former store
            # has given since. They are given more slowly than the time in ms rises.
            from coord_kernel.rules import claims

            draft = claims.raised(draft, self._now)
        after = ids.tick(self._stamp, self._now)
        event_id = ids.mint(after, world.entropy(8))
        filled, head = (
            event.filled(draft, event_id),
            (self._store.project, self._tail.writer, self._seq + 1),
        )
        new = event.build(filled, event_id, self._now, head, self._actor)
        if not self._allow_secret:
            refuse_secret(new.raw)
        self._stamp, self._seq = after, self._seq + 1
        self._keys.remember(new)
        self._fresh.append(new.raw)
        return new

    def add_block(self, drafts: Drafts) -> list[bytes] | None:
        """The lines of the events of these drafts, as `add` of each, but they are not in `events`.

        None if any is in doubt: then nothing was added.
        """
        from coord_kernel.journal import columns

        keyed = list(zip(drafts.types, drafts.keys or (), strict=False))
        if keyed and not self._keys.free(keyed):
            return None
        head = (self._store.project, self._tail.writer, self._seq + 1)
        first = ids.tick(self._stamp, self._now)
        rows = columns.lines(drafts, first, self._now, head, self._actor)
        if not rows or (not self._allow_secret and columns.suspicious(drafts, rows)):
            return None
        self._stamp, self._seq = first + len(rows) - 1, self._seq + len(rows)
        self._fresh += rows
        if keyed:
            self._keys.remember_all(keyed, rows)
        return rows

    def _last_stamp(self) -> int:
        """The greatest stamp this store accepted. Without a clock file, of the streams' tails."""
        saved, own = stamp.load(self._store), 0
        if self._tail.last_id:
            own = ids.stamp_of(self._tail.last_id)
        if saved is None:
            tails = (stream.last() for stream in streams(self._store, live=True))
            known = [own, *(ids.stamp_of(last.id) for last in tails if last)]
        else:
            known = [own, saved]
        return max((one for one in known if not ids.ahead(one, self._now)), default=0)
