"""A long history folded by several processes: each reads all of it, and keeps its share of the entities.

The parts are made beside the database and copied into it. Until that is done the database is of no version, so
whoever is killed on the way leaves one that is made anew.
"""

from __future__ import annotations

import os

from coord_kernel.streams.stream import streams
from coord_kernel.views import fill
from coord_kernel.views.database import discard

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from coord_kernel.store.directory import Store

MOST = 4
LONG = 1 << 25
"""Bytes of a journal from which it is worth a process more."""


def count(store: Store, db: sqlite3.Connection) -> int:
    """How many processes are to fill this database: one, unless it is empty and the history long."""
    if not hasattr(os, "sched_getaffinity") or db.execute("SELECT 1 FROM place").fetchone():
        return 1
    return (
        min(len(os.sched_getaffinity(0)), MOST)
        if sum(one.size() for one in streams(store)) >= LONG
        else 1
    )


def fork(work: Callable[[int], None], number: int) -> list[int]:
    """So many processes that each do their part, from 0 on; their pids."""
    pids = []
    for part in range(number):
        pid = os.fork()
        if not pid:
            status = 1
            try:
                os.close(2)  # one tells how far it is, and that is enough
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
    """Copy the parts into `db` when they are done. Raises fill.StaleError if one failed, or read another journal."""
    ends = [os.waitpid(pid, 0)[1] for pid in pids]
    failed = any(ends)
    try:
        for name in names:
            failed = failed or not _taken(db, os.path.join(store.path, "local", name), tables)
    finally:
        for name in names:
            discard(store, name)
    if failed:
        raise fill.StaleError


def _taken(db: sqlite3.Connection, path: str, tables: Sequence[str]) -> bool:
    db.execute("ATTACH ? AS part", (path,))
    try:
        read = [
            [
                db.execute(f"SELECT * FROM {which}.{table} ORDER BY 1").fetchall()
                for table in ("place", "segment")
            ]
            for which in ("main", "part")
        ]
        if read[0] != read[1]:
            return False
        db.execute("BEGIN")
        for table in tables:
            db.execute(f"INSERT INTO main.{table} SELECT * FROM part.{table}")
        db.execute("COMMIT")
        return True
    finally:
        db.execute("DETACH part")
