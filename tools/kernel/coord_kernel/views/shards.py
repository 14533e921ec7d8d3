"""A long history folded by several processes: each reads all, and keeps its share of entities.

The parts are made beside the database and copied into it. Until that is done the database has no
version: if its writer is killed on the way, it is rebuilt.
"""

from __future__ import annotations

import os

from coord_kernel.views import fill
from coord_kernel.views.database import discard

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from coord_kernel.store.directory import Store

MOST = 4
LONG = 1 << 25
"""Bytes of a journal from which another process is worth its start."""


def count(db: sqlite3.Connection, size: Callable[[], int]) -> int:
    """How many processes are to fill this database with so many bytes of events.

    One, unless it is empty and the history long.
    """
    if not hasattr(os, "sched_getaffinity") or db.execute("SELECT 1 FROM position").fetchone():
        return 1
    return min(len(os.sched_getaffinity(0)), MOST) if size() >= LONG else 1


def fork(work: Callable[[int], None], number: int) -> list[int]:
    """So many processes that each do their part, from 0 on; their pids."""
    pids = []
    for part in range(number):
        pid = os.fork()
        if not pid:
            status = 1
            try:
                os.close(2)  # the first process shows the progress of all
                work(part)
                status = 0
            finally:
                os._exit(status)
        pids.append(pid)
    return pids


def join(
    store: Store,
    db: sqlite3.Connection,
    pids: Sequence[int],
    names: Sequence[str],
    tables: Sequence[str],
) -> None:
    """Copy the parts into `db` when they are done.

    Raises fill.StaleError if one failed, or read another journal.
    """
    ends = [os.waitpid(pid, 0)[1] for pid in pids]
    failed = any(ends)
    try:
        for name in names:
            failed = failed or not _copied(db, os.path.join(store.path, "local", name), tables)
    finally:
        for name in names:
            discard(store, name)
    if failed:
        raise fill.StaleError


def _copied(db: sqlite3.Connection, path: str, tables: Sequence[str]) -> bool:
    """Copy one part's tables. False if it read something else than `db` did."""
    db.execute("ATTACH ? AS part", (path,))
    try:
        for table in ("position", "segment"):
            ours, parts = (
                db.execute(f"SELECT * FROM {which}.{table} ORDER BY 1").fetchall()
                for which in ("main", "part")
            )
            if ours != parts:
                return False
        with fill.writing(db):
            for table in tables:
                db.execute(f"INSERT INTO main.{table} SELECT * FROM part.{table}")
        return True
    finally:
        db.execute("DETACH part")
