"""The index may be gone, damaged, held by another or from another time: look-ups say what a scan says."""

from __future__ import annotations

import fcntl
import os
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from support import ME, Json, Shell, drafts, open_journal, open_store

from coord_envelope import Usage
from coord_kernel import Journal
from coord_kernel.views.index import ENDING


def fill(journal: Journal, seed: int, rounds: int = 10) -> None:
    rng = random.Random(seed)
    for _ in range(rounds):
        some: list[Json] = [
            {"type": rng.choice(["a.b", "a.c"]), "body": {}}
            | ({"idempotency_key": f"k{key}"} if key else {})
            for key in rng.choices(range(20), k=rng.randrange(1, 30))
        ]
        journal.append({"agent_id": f"agent:a{rng.randrange(4)}"}, some)


def check_against_scan(journal: Journal) -> None:
    found = journal.index.refresh()
    first: dict[tuple[str, str], str] = {}
    for event in journal.replay():
        stored = found.by_id(event.id)
        assert stored and stored.event.raw == event.raw
        if "idempotency_key" in event:
            first.setdefault((event["type"], event["idempotency_key"]), event.id)
    for kind in ("a.b", "a.c"):
        for key in range(25):
            stored = found.by_key(kind, f"k{key}")
            assert (stored.event.id if stored else None) == first.get((kind, f"k{key}"))
    assert found.by_id("0" * 26) is None


def delete(path: Path) -> None:
    path.unlink()


def scribble(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[: len(data) // 2] = os.urandom(len(data) // 2)
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def other_version(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE meta SET version = 'other'")


def other_boot(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE meta SET boot = 'before'")


def wrong_place(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE position SET start = start + 1")
        db.execute("DELETE FROM key")


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "harm",
    [delete, scribble, empty, cut, other_version, other_boot, wrong_place, a_directory],
    ids=lambda f: f.__name__,
)
def test_a_harmed_index_changes_no_answer(shell: Shell, harm: Callable[[Path], None]) -> None:
    fill(open_journal(shell.cwd), 1)
    harm(shell.cwd / ".coord/local/index.sqlite")
    journal = open_journal(shell.cwd)
    check_against_scan(journal)
    fill(journal, 2)
    check_against_scan(journal)


def test_answers_are_right_while_another_holds_the_index(shell: Shell) -> None:
    fill(open_journal(shell.cwd), 3)
    fd = os.open(shell.cwd / ".coord/local/index.lock", os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    journal = open_journal(shell.cwd)
    fill(journal, 4)
    check_against_scan(journal)
    os.close(fd)
    check_against_scan(journal)


def test_answers_are_right_while_another_writes_in_the_database(shell: Shell) -> None:
    fill(open_journal(shell.cwd), 5)
    other = sqlite3.connect(shell.cwd / ".coord/local/index.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    journal = open_journal(shell.cwd)
    fill(journal, 6, rounds=2)
    check_against_scan(journal)
    other.close()


def test_an_index_kept_open_sees_what_others_wrote_and_survives_their_deleting_it(
    shell: Shell,
) -> None:
    mine, other = open_journal(shell.cwd), open_journal(shell.cwd)
    for seed in range(4):
        fill(other, seed)
        check_against_scan(mine)
    delete(shell.cwd / ".coord/local/index.sqlite")
    fill(other, 9)
    check_against_scan(mine)
    check_against_scan(open_journal(shell.cwd))


def test_a_journal_that_lost_its_newest_lines_is_indexed_anew(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    journal.append(ME, drafts(5, idempotency_key="k")[:1] + drafts(4))
    journal.index.refresh()
    (path,) = (shell.cwd / ".coord/journal").glob("*/*.jsonl")
    path.write_bytes(b"\n".join(path.read_bytes().split(b"\n")[:2]) + b"\n")
    check_against_scan(open_journal(shell.cwd))


def test_many_events_are_indexed_in_batches(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coord_kernel.views.fill.BATCH", 7)
    journal = open_journal(shell.cwd)
    fill(journal, 10, rounds=20)
    check_against_scan(journal)


def test_short_ids_resolve_only_if_they_can_mean_one_event(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    events = journal.append(ME, drafts(3))
    index = journal.index.refresh()
    for event in events:
        assert index.resolve(event.id) == index.resolve(event.id.lower()) == event.id
        short = f"msg-{event.id[-8:].lower()}"
        assert index.resolve(short) == index.resolve(event.id[-8:]) == event.id
        assert all(index.resolve(event.id[-length:]) == event.id for length in range(6, 26))
    for text in ("0" * 26, "abc", "%", f"moon-{events[0].id[-8:]}", "ß" * 4, "", "-"):
        assert index.resolve(text) is None, text


def test_an_ambiguous_short_id_lists_its_candidates(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coord_envelope import world

    monkeypatch.setattr(world, "entropy", lambda n: b"\1" * n)
    journal = open_journal(shell.cwd)
    one, two = journal.append(ME, drafts(2))
    with pytest.raises(Usage, match=f"ambiguous: {one.id} {two.id}"):
        journal.index.refresh().resolve(one.id[-6:])


def test_an_ending_is_searched_by_an_index_and_never_by_a_scan(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    (event,) = journal.append(ME, drafts(1))
    journal.index.refresh().resolve(event.id[-8:])
    question = (event.id[-4:], -8, event.id[-8:])
    plan = [row[3] for row in journal.index.query(f"EXPLAIN QUERY PLAN {ENDING}", *question)]
    assert len(plan) == 1 and plan[0].startswith("SEARCH event USING")
    assert " INDEX ending (" in plan[0]


def test_an_ending_is_found_in_a_file_that_cannot_be_written(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    events = journal.append(ME, drafts(20))
    journal.index.refresh().close()
    other = sqlite3.connect(shell.cwd / ".coord/local/index.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    index = open_journal(shell.cwd).index.refresh()
    assert [index.resolve(event.id[-8:]) for event in events] == [event.id for event in events]
    other.close()
    (late,) = journal.append(ME, drafts(1))
    assert index.refresh().resolve(late.id[-8:]) == late.id


def test_the_index_is_private(shell: Shell) -> None:
    open_journal(shell.cwd).index.refresh()
    assert (shell.cwd / ".coord/local/index.sqlite").stat().st_mode & 0o777 == 0o600
    names = [name for name in open_store(shell.cwd).listdir("local") if "index" in name]
    assert names == ["index.lock", "index.sqlite"]


def test_a_database_damaged_where_nothing_was_read_yet_is_no_error(shell: Shell) -> None:
    """History: damage behind the first pages came out of a look-up as a traceback."""
    journal = open_journal(shell.cwd)
    for seed in range(8):
        fill(journal, seed, rounds=20)
    journal.index.refresh()
    path = shell.cwd / ".coord/local/index.sqlite"
    data = bytearray(path.read_bytes())
    data[6 * 4096 :] = os.urandom(len(data) - 6 * 4096)
    path.write_bytes(data)
    check_against_scan(open_journal(shell.cwd))


def test_a_line_damaged_after_it_was_indexed_is_not_there(shell: Shell) -> None:
    """History: show gave the line that stood at the old place, or a parser's traceback."""
    events = open_journal(shell.cwd).append(ME, drafts(5))
    journal = open_journal(shell.cwd)
    journal.index.refresh()
    (path,) = (shell.cwd / ".coord/journal").glob("*/*.jsonl")
    path.write_bytes(path.read_bytes().replace(events[1].raw, b"x" * len(events[1].raw)))
    found = open_journal(shell.cwd).index.refresh()
    assert found.by_id(events[1].id) is None
    stored = found.by_id(events[2].id)
    assert stored and stored.event.raw == events[2].raw


def test_an_index_deleted_under_its_user_is_opened_anew(shell: Shell) -> None:
    """History: a process that kept the deleted file open rebuilt the whole history at every keyed append."""
    mine = open_journal(shell.cwd)
    fill(mine, 1)
    path = shell.cwd / ".coord/local/index.sqlite"
    path.unlink()
    fill(open_journal(shell.cwd), 2)
    inode = path.stat().st_ino
    fill(mine, 3)
    assert path.stat().st_ino == inode
    assert mine.index._file and mine.index._file.st_ino == inode


def test_no_room_for_the_index_is_no_error(shell: Shell) -> None:
    """History: the connection was closed after the failed rebuild, and then asked."""
    shell("ev emit", "".join(f'{{"type":"a.b","idempotency_key":"k{n}"}}\n' for n in range(300)))
    (shell.cwd / ".coord/local/index.sqlite").unlink()
    event = shell("ev tail -n 1").one
    done = shell(f"ulimit -f 8; ev show {event['event_id']}")
    assert done.one == event


def test_a_linked_index_is_not_followed(shell: Shell, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    path = shell.cwd / ".coord/local/index.sqlite"
    path.symlink_to(outside)
    fill(open_journal(shell.cwd), 1)
    assert not outside.exists()
    check_against_scan(open_journal(shell.cwd))
