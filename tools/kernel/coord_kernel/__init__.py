"""coord_kernel - the store behind wk, ev, lease, msg and run.

    find() ──▶ Store ──▶ Journal ──transaction──▶ segments on disk ──replay, tail, follow──▶ Event …
                            │
                            └──▶ views: the state of each entity, folded from its events

Rooms, from the top floor down. A module may import from its own room and from those above it,
lazily and for types, too; `tests/test_layout.py` holds the order.

    rules      which event came after which, who holds a claim: pure
    store      the directory: finding, locking, reading and replacing its files
    streams    segments as events in order: read, merged, redacted, followed
    views      what folds make of them, kept in SQLite
    proc       child processes
    journal    writing: one transaction under one lock
    sync       exchange with other stores
    bus        publish, snapshot, subscribe
    controller look, plan, look again, act, sleep
    cli        the face of all commands
"""

from coord_kernel.journal.journal import Journal
from coord_kernel.store.directory import Store
from coord_kernel.store.locate import find

__all__ = ["Journal", "Store", "find"]
