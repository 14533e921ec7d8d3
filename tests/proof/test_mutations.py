"""Broken builds: each takes away what one of the proofs is about, and that proof must notice.

Tried: no lock, the ack before the sync, the cursor before the print, a claim that the arbiter never saw, a short
write that is acked. The tools are not touched: Python runs a `sitecustomize` in
each process before them. Each check is made of the true build too.

A failure with the broken build would mean that the proof proves nothing; with the true one, what its own module says.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from proof.hub import Hub
from proof.scenes import Emit, Tail
from proof.strace import Strace
from proof.test_calls import struck
from proof.test_contention import contend
from proof.test_durable import check_durable
from proof.test_sync_claims import race
from proof.test_torn import check_room
from proof.test_writers import check_writers
from support import Shell

Check = Callable[[Shell, Path], object]


def writers(shell: Shell, _: Path) -> None:
    check_writers(shell, ["one"] * 4, 400)


def durable(shell: Shell, place: Path) -> None:
    check_durable(Strace(shell, place / "strace"), Emit)


def cursor(shell: Shell, place: Path) -> None:
    struck(Strace(shell, place / "strace"), Tail)


def claims(shell: Shell, place: Path) -> None:
    hub = Hub(place, 2)
    for clone in hub.clones:
        clone.env["PYTHONPATH"] = shell.env.get("PYTHONPATH", "")
    item = hub.clones[0]("wk new raced -o id").out.strip()
    hub.settle()
    race(hub, item)


def contention(shell: Shell, _: Path) -> None:
    contend(shell, members=8, commands=6)


def room(shell: Shell, _: Path) -> None:
    check_room(shell, lambda rooms: [rooms[-20]])


LOCK = """
from contextlib import nullcontext
from coord_kernel.store.directory import Store
Store.lock = lambda self, wait_s=0: nullcontext()
"""
SLOWLY = """
import time
from coord_kernel.store import stamp
save = stamp.save
stamp.save = lambda *what: (time.sleep(0.2), save(*what))  # between the look and the write
"""
SYNC = """
import atexit, os, sys
from coord_kernel.cli import process
process.leave = sys.exit  # which runs what waits for the end
from coord_kernel.journal.tail import Tail
sync = Tail._sync
Tail._sync = lambda self, fd, new: atexit.register(sync, self, os.dup(fd), new)
"""
PRINT = """
import atexit, sys
from coord_kernel.cli import process
process.leave = sys.exit
from coord_kernel.cli.output import Output
flush, begin = Output.flush, Output.__init__
def later(self, form):
    begin(self, form)
    atexit.register(flush, self)
Output.__init__, Output.flush = later, lambda self: None
"""
ARBITER = """
from coord_wk.confirm import Confirm
Confirm.settle = lambda self, claim, where: claim.annotated(level="confirmed", token=1)
"""
TAKING_BACK = """
from coord_kernel.journal import tail
tail._give_back = lambda fd, begin, group: group
"""
MUTATIONS: dict[str, tuple[str, Check, str]] = {
    "the lock is removed": (
        LOCK,
        writers,
        "not what is stored|has a hole|not in strictly ascending order",
    ),
    "no lock, among those who contend": (LOCK + SLOWLY, contention, "no order explains"),
    "the ack comes before the fdatasync": (SYNC, durable, "printed before it was on the disk"),
    "the cursor is saved before the print": (
        PRINT,
        cursor,
        "neither printed before the crash nor after it",
    ),
    "a claim is made without the arbiter": (ARBITER, claims, r"assert 2 == 1"),
    "a short write is acked": (TAKING_BACK, room, "2 acked"),
}
"""What is broken, how, which proof must notice, and in which words."""


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_broken_build_is_noticed(
    shell: Shell, tmp_path: Path, mutation: str, say: Callable[[str], None]
) -> None:
    source, check, words = MUTATIONS[mutation]
    (tmp_path / "sitecustomize.py").write_text(source)
    shell.env["PYTHONPATH"] = str(tmp_path)
    with pytest.raises(AssertionError, match=words):
        check(shell, tmp_path)
    say(f"broken build: {mutation}: noticed")


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_the_true_build_passes_the_same_check(shell: Shell, tmp_path: Path, mutation: str) -> None:
    MUTATIONS[mutation][1](shell, tmp_path)
