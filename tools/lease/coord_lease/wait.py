"""Waiting for a lease: woken by an event, by the end of the holder's time, or by its death."""

from __future__ import annotations

import os

from coord_kernel.store import machine
from coord_lease import pin
from coord_lease.scope import TakenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope import Event
    from coord_kernel import Store
    from coord_kernel.cli.call import Call
    from coord_lease.scope import Scope, Wanted


def acquired(call: Call, scope: Scope, wanted: Wanted, wait_ms: int) -> Event:
    """The lease, as soon as it is free within `wait_ms`. There is no queue: any waiter may be next.

    Raises the last TakenError.
    """
    until = machine.boot_ns() + wait_ms * 1_000_000
    try:
        return scope.acquire(wanted)
    except TakenError as taken:
        last = taken
    if not wait_ms:
        raise last
    watcher = _Deaths(call.journal.store)

    def within() -> float:
        return max(0.0, (min(until, last.until) - machine.boot_ns()) / 1e6 + 1)

    follower = call.journal.follow(call.journal.end())
    from contextlib import closing  # 3 ms

    with closing(follower.batches(also=watcher.fd, within=within)) as batches:
        for number, batch in enumerate(batches):
            news = any(_concerns(event, scope) for event in batch)
            now = machine.boot_ns()
            if not (news or watcher.woken() or now >= min(until, last.until)) and number:
                continue
            try:
                return scope.acquire(wanted)
            except TakenError as taken:
                last = taken
            if now >= until:
                break
            watcher.watch(last.pins)
    raise last


def _concerns(event: Event, scope: Scope) -> bool:
    ours = event["body"].get("scope", "local") == scope.name
    return bool(event["type"].startswith("lease.") and ours)


class _Deaths:
    """A descriptor that becomes readable when a holder dies.

    A thread for each pin waits in the kernel, and ends with the process.
    """

    def __init__(self, store: Store) -> None:
        self._store, self._watched = store, set[str]()
        self.fd, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def watch(self, pins: list[str]) -> None:
        for name in pins:
            if name in self._watched:
                continue
            self._watched.add(name)
            from threading import Thread

            Thread(target=pin.await_drop, args=(self._store, name, self._wake), daemon=True).start()

    def woken(self) -> bool:
        try:
            return bool(os.read(self.fd, 4096))
        except BlockingIOError:
            return False
