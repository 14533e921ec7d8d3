"""A store that is moved while processes have it open: they follow it, and nothing is left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support import ME, Shell, drafts, git, open_journal

from coord_envelope.errors import Unreachable
from coord_kernel.rules import claims
from coord_kernel.views.view import View


def listing(path: Path) -> dict[str, tuple[int, int]]:
    return {
        str(file): (file.stat().st_ino, file.stat().st_mtime_ns)
        for file in path.rglob("*")
        if file.is_file()
    }


@pytest.mark.parametrize("again", [False, True])
def test_journal_views_and_locks_move_with_the_store(shell: Shell, again: bool) -> None:
    old, moved = shell.cwd, shell.cwd.with_name("moved")
    journal = open_journal(old)
    view = View(journal.store, claims)
    journal.append(ME, drafts(1, idempotency_key="a"))
    view.refresh()
    old.rename(moved)
    if again:  # another store at its old place
        old.mkdir()
        git("init", "-q", cwd=old)
        shell("ev init && ev emit x.y && wk ls")
    before = listing(old) if again else {}
    for n in range(3):
        draft = {"type": "test.tick", "body": {"n": n}, "idempotency_key": f"k{n}"}
        journal.append(ME, [draft])
        journal.index.refresh()
        view.refresh()
    with journal.store.lock():
        pass
    assert journal.store.path == str(moved / ".coord")
    assert len(list(journal.replay())) == 4
    assert listing(old) == before if again else not old.exists()
    assert len(Shell(moved)("ev replay").lines) == 4


def test_a_mirror_and_a_wrapper_go_on_where_the_store_is(shell: Shell, tmp_path: Path) -> None:
    hub, moved = tmp_path / "hub.git", shell.cwd.with_name("moved")
    git("init", "-q", "--bare", str(hub), cwd=tmp_path)
    git("remote", "add", "origin", str(hub), cwd=shell.cwd)
    shell("ev emit a.b && ev sync --remote origin")
    mirror = shell.popen("ev sync --watch --interval 100ms", stdout=subprocess.PIPE)
    wrapper = shell.popen(
        "lease with env:a --ttl 1s -- sh -c 'echo held; read x'",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert mirror.stdout and wrapper.stdout and wrapper.stdin
    try:
        assert mirror.stdout.readline() and wrapper.stdout.readline() == b"held\n"
        shell.cwd.rename(moved)
        there = Shell(moved)
        there("ev emit a.b")
        while b'"sent":1' not in (line := mirror.stdout.readline()):
            assert line
        wrapper.stdin.write(b"\n")
        wrapper.stdin.close()
        assert wrapper.wait(60) == 0
        assert there("lease ls").lines == []
    finally:
        for process in (mirror, wrapper):
            process.kill()
            process.wait()
    assert not shell.cwd.exists()


def test_a_store_that_was_removed_is_named_and_not_made_again(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    shutil.rmtree(shell.cwd / ".coord")
    with pytest.raises(Unreachable, match="moved or removed"):
        View(journal.store, claims).refresh()
    assert os.listdir(shell.cwd) == [".git"]
