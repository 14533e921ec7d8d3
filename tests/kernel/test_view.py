"""A view says what a fold of all events says: in whatever order they came, and whatever became of its file."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from histories import BEGIN, History, put
from hypothesis import given, settings
from hypothesis import strategies as st
from support import Json, Shell, open_journal, open_store

from coord_envelope import event, ids
from coord_kernel import Journal, Store
from coord_kernel.views import database, fill, shards
from coord_kernel.views.past import Snapshot
from coord_kernel.views.view import View
from coord_wk import fold

NOW = "2026-06-01T00:00:00Z"
NAMES = ("open", "has", "last", "free", "key", "child", "alias")
PATIENCE_S = 60.0


def check_against_fold(view: View, journal: Journal) -> None:
    found, whole = view.refresh(), Snapshot(fold, journal.replay())
    entities = list(whole.entities())
    assert list(found.entities()) == entities
    assert [found.get(one) for one in entities] == [whole.get(one) for one in entities]
    for name in NAMES:
        everything = list(whole.find(name))
        assert list(found.find(name)) == everything
        for value, _ in everything[:3]:
            assert list(found.find(name, value, value + "\0")) == list(
                whole.find(name, value, value + "\0")
            )
    assert found.get("nowhere") is None


@pytest.mark.parametrize("seed", range(12))
def test_the_order_of_arrival_changes_no_answer(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Kept open, opened anew, or made at the end: with duplicates, late arrivals, and batches of any size."""
    chance = random.Random(seed)
    monkeypatch.setattr(fill, "BATCH", chance.choice([1, 3, 5_000]))
    monkeypatch.setattr(database.Derived, "_is_much", lambda _: chance.random() < 0.5)
    journal, history = open_journal(shell.cwd), History(chance, 80)
    kept = View(journal.store, fold)
    while history.waiting():
        history.arrive(journal.store)
        check_against_fold(chance.choice([kept, View(journal.store, fold)]), journal)
    for path in (shell.cwd / ".coord/local").glob("work.sqlite*"):
        path.unlink()
    check_against_fold(kept, journal)
    check_against_fold(View(journal.store, fold), journal)


@pytest.mark.parametrize("accident", ["none", "a part dies", "the journal grows"])
def test_several_processes_make_what_one_would(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, accident: str
) -> None:
    monkeypatch.setattr(shards, "LONG", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    journal, history = open_journal(shell.cwd), History(random.Random(5), 80)
    history.all(journal.store)
    whole, split, forked = View._part, shards.fork, list[int]()

    def part(view: View, name: str, share: tuple[int, int]) -> None:
        if accident == "a part dies" and share[0] == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        if accident == "the journal grows" and share[0] == 1:
            journal.append({"agent_id": "agent:z"}, [{"type": "a.b", "body": {}}])
        whole(view, name, share)

    def fork(work: Callable[[int], None], number: int) -> list[int]:
        forked.append(number)
        return split(work, number)

    monkeypatch.setattr(View, "_part", part)
    monkeypatch.setattr(shards, "fork", fork)
    view = View(journal.store, fold)
    check_against_fold(view, journal)
    assert forked == [2]
    left = sorted(os.listdir(shell.cwd / ".coord/local"))
    assert [name for name in left if name.startswith("work")] == ["work.lock", "work.sqlite"]
    monkeypatch.setattr(shards, "fork", None)  # what they made is used, not made again
    check_against_fold(View(journal.store, fold), journal)


def test_two_events_with_one_id_both_count_as_in_a_replay(shell: Shell) -> None:
    """A forgery: which of the two came first must not decide what is shown."""
    journal, history = open_journal(shell.cwd), History(random.Random(0), 6, items=1, writers=1)
    history.all(journal.store)
    (lines,) = history.streams.values()
    forged = json.loads(lines[-1]) | {"type": "work.commented", "body": {"text": "forged"}}
    forged |= {"writer": "agent.evil~00000009", "seq": 1, "actor": {"agent_id": "agent:evil"}}
    view = View(journal.store, fold)
    check_against_fold(view, journal)
    put(journal.store, "agent.evil~00000009", json.dumps(forged).encode() + b"\n", 1, True)
    check_against_fold(view, journal)
    (shell.cwd / ".coord/local/work.sqlite").unlink()
    check_against_fold(View(journal.store, fold), journal)


WORDS = st.sampled_from(
    ["", "x", "\0", "a\0b", "\U0010ffff", "z\U0010ffffz", " ", "!", "é", "\ud7ff", "\ue000"]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(WORDS, st.sampled_from("abc")), max_size=12), WORDS, WORDS)
def test_any_text_is_found_in_the_same_order(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]], begin: str, end: str
) -> None:
    root = tmp_path_factory.mktemp("store")
    for name in ("journal", "local"):
        (root / ".coord" / name).mkdir(parents=True)
    os.chmod(root / ".coord", 0o700)
    journal = Journal(Store(str(root / ".coord"), "acme"))
    said = [
        {"type": "work.created", "refs": {"work_id": who}, "body": {"parent": text}}
        for text, who in pairs
    ]
    journal.append({"agent_id": "agent:a"}, said)
    view, whole = View(journal.store, fold).refresh(), Snapshot(fold, journal.replay())
    assert list(view.find("child")) == list(whole.find("child"))
    assert list(view.find("child", begin, end)) == list(whole.find("child", begin, end))


def delete(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def scribble(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[: len(data) // 2] = os.urandom(len(data) // 2)
    path.write_bytes(data)


def scribble_behind(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[5 * 4096 :] = os.urandom(len(data) - 5 * 4096)
    path.write_bytes(data)


def other_version(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE meta SET version = 'other'")
        db.execute("DELETE FROM state")


def other_boot(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE meta SET boot = 'before'")
        db.execute("DELETE FROM secondary")


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


HARMS = [delete, cut, empty, scribble, scribble_behind, other_version, other_boot, a_directory]


def shown(shell: Shell, *at: str) -> list[str]:
    """What wk prints of everything."""
    ids = shell("ev replay --type work.created").lines[:3]
    which = " ".join(one["event_id"] for one in ids)
    lines = ("wk ls --all", f"wk show {which}", "wk ready --explain")
    return [shell(" ".join((line, *at)), COORD_NOW=NOW).out for line in lines]


def check_output(shell: Shell) -> None:
    """Time travel to now reads no view: it is the full fold."""
    assert shown(shell) == shown(shell, "--at", NOW)


def furnish(shell: Shell, seed: int, count: int = 150, items: int = 25) -> None:
    History(random.Random(seed), count, items).all(open_store(shell.cwd))


@pytest.fixture
def filled(shell: Shell) -> Shell:
    shell.env["COORD_NOW"] = NOW
    furnish(shell, 1)
    check_output(shell)
    return shell


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_a_harmed_view_changes_no_output(filled: Shell, harm: Callable[[Path], None]) -> None:
    harm(filled.cwd / ".coord/local/work.sqlite")
    check_output(filled)
    filled("wk new another")
    check_output(filled)


@pytest.mark.parametrize(
    "harm",
    [delete, cut, empty, scribble, scribble_behind, a_directory],
    ids=lambda harm: harm.__name__,
)
def test_a_view_that_is_open_while_it_is_harmed_changes_no_answer(
    filled: Shell, harm: Callable[[Path], None]
) -> None:
    journal = open_journal(filled.cwd)
    view = View(journal.store, fold)
    check_against_fold(view, journal)
    harm(filled.cwd / ".coord/local/work.sqlite")
    check_against_fold(view, journal)
    filled("wk new another")
    check_against_fold(view, journal)
    check_output(filled)


def test_output_is_right_while_another_holds_the_database(filled: Shell) -> None:
    other = sqlite3.connect(filled.cwd / ".coord/local/work.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    check_output(filled)
    filled("wk new another")
    check_output(filled)
    other.close()
    check_output(filled)


def test_output_is_right_while_another_holds_the_lock_of_the_view(filled: Shell) -> None:
    fd = os.open(filled.cwd / ".coord/local/work.lock", os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    check_output(filled)
    item = filled("wk new another -o id").out.strip()
    check_output(filled)
    filled(f"wk claim {item} | wk close")
    check_output(filled)
    delete(filled.cwd / ".coord/local/work.sqlite")
    check_output(filled)
    os.close(fd)
    check_output(filled)


def test_output_is_right_while_another_reads_the_database_for_long(filled: Shell) -> None:
    other = sqlite3.connect(filled.cwd / ".coord/local/work.sqlite", isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT * FROM state").fetchone()
    filled("wk new another")
    check_output(filled)
    other.close()


def test_output_is_right_after_rebuilds_that_were_killed(shell: Shell) -> None:
    furnish(shell, 2, 6_000, 200)
    whole = shown(shell, "--at", NOW)
    database, hits = shell.cwd / ".coord/local/work.sqlite", 0
    for part in (1, 4, 10, 40, 80):
        for path in database.parent.glob("work.sqlite*"):
            path.unlink()
        victim = shell.popen("wk ready", stdout=subprocess.DEVNULL)
        hits += has_grown(database, part * 20_480, victim)
        victim.send_signal(signal.SIGKILL)
        victim.wait(PATIENCE_S)
        assert shown(shell) == whole
    assert hits


def grown(database: Path) -> int:
    """How much of it, or of what it would take back, was written."""
    size = 0
    for path in database, Path(f"{database}-journal"):
        with contextlib.suppress(FileNotFoundError):
            size += path.stat().st_size
    return size


def has_grown(database: Path, size: int, by: subprocess.Popen[bytes]) -> bool:
    """Wait until it has, or who writes it has ended. Does it still run?"""
    end = time.monotonic() + PATIENCE_S
    while grown(database) < size and by.poll() is None:
        assert time.monotonic() < end, "it never grew"
    return by.poll() is None


def children(shell: Shell, lines: list[str]) -> Iterator[tuple[int, bytes]]:
    """What these command lines end with and print, all run at once."""
    argvs = [["bash", "-eo", "pipefail", "-c", line] for line in lines]
    env = shell.env | {"COORD_NOW": NOW}
    running = [
        subprocess.Popen(argv, cwd=shell.cwd, env=env, stdout=subprocess.PIPE) for argv in argvs
    ]
    for child in running:
        out, _ = child.communicate(timeout=2 * PATIENCE_S)
        yield child.returncode, out


WRITER = """export COORD_AGENT=w{n}
for n in 1 2 3 4; do wk new $n | wk claim | wk close; done"""
READER = "for n in 1 2 3 4; do wk ls --all; wk ready; done"


def test_eight_readers_and_four_writers_at_once_see_what_is_there(filled: Shell) -> None:
    before = {one["work_id"] for one in filled("wk ls --all").lines}
    ended = list(children(filled, [WRITER.replace("{n}", str(n)) for n in range(4)] + [READER] * 8))
    assert [status for status, _ in ended] == [0] * 12
    closed = [
        json.loads(line)["refs"]["work_id"] for _, out in ended[:4] for line in out.splitlines()
    ]
    assert len(closed) == len(set(closed)) == 16
    for _, out in ended[4:]:
        rows = [json.loads(line) for line in out.splitlines()]
        assert before <= {row["work_id"] for row in rows}
    after = {one["work_id"]: one["status"] for one in filled("wk ls --all").lines}
    assert set(closed) == after.keys() - before
    assert {after[one] for one in closed} == {"done"}
    check_output(filled)


def test_eight_who_find_no_view_at_once_all_see_what_is_there(filled: Shell) -> None:
    for harm in (delete, scribble):
        harm(filled.cwd / ".coord/local/work.sqlite")
        ended = list(children(filled, ["wk ls --all"] * 8))
        assert {status for status, _ in ended} == {0}
        assert {out.decode() for _, out in ended} == {shown(filled, "--at", NOW)[0]}


def test_a_value_as_deep_as_a_line_may_have_is_no_failure(filled: Shell) -> None:
    """What is read of an event must be written to the view, and printed."""
    item, parts = filled("wk ls --all -o id").out.split()[0], list[tuple[str, Json]]()
    for depth in range(120, 127):
        value = json.loads("[" * depth + "]" * depth)
        body = {"set": {"title": value if depth < 126 else 1}, "note": value, "text": value}
        parts += [(kind, body) for kind in ("updated", "commented", "closed")]
    store, lines = open_store(filled.cwd), []
    for seq, (kind, body) in enumerate(parts, 1):
        draft = {"type": f"work.{kind}", "refs": {"work_id": item}, "base": [], "body": body}
        event_id = ids.mint(ids.tick(0, BEGIN + 10**7 + seq), b"\1" * 8)
        one = event.build(
            draft, event_id, BEGIN, ("acme", "agent.deep~00000007", seq), {"agent_id": "agent:deep"}
        )
        lines.append(one.raw + b"\n")
    put(store, "agent.deep~00000007", b"".join(lines), 1, True)
    assert "deep" in filled("ev tail -n 1").out
    check_output(filled)
    filled(f"wk show {item}")
