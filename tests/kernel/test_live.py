"""Live events: written under the same lock, without a sync, in streams of their own, pruned when they are old."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support import ME, Shell, check_invariants, drafts, open_journal, open_store

from coord_envelope import BadData, Event
from coord_kernel import Journal, Store
from coord_kernel.journal import live
from coord_kernel.store import disk


def big(count: int) -> list[dict[str, object]]:
    """Events of which a segment has no more than 18."""
    return drafts(count, body={"filler": "x" * 60_000})


def append(store: Store, drafts: list[dict[str, object]]) -> list[Event]:
    with Journal(store).transaction(ME, live=True) as t:
        for draft in drafts:
            t.add(draft)
    return t.events


def segments(repo: Path) -> list[Path]:
    return sorted((repo / ".coord/live").glob("*/*"))


def test_live_events_have_a_stream_and_a_seq_of_their_own(shell: Shell) -> None:
    journal, store = open_journal(shell.cwd), open_store(shell.cwd)
    (durable,) = journal.append(ME, drafts(1))
    first = append(store, drafts(2))
    (third,) = append(store, drafts(1))
    assert {one["writer"] for one in (*first, third)} == {f"{durable['writer']}+live"}
    assert [one["seq"] for one in (*first, third)] == [1, 2, 3]
    assert [one.id for one in journal.replay()] == [durable.id]
    assert [one.id for one in journal.replay(live=True)] == [
        durable.id,
        *(one.id for one in first),
        third.id,
    ]
    check_invariants(store)


def test_live_events_are_not_synced(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fd: int) -> None:
        raise AssertionError

    monkeypatch.setattr(disk, "fdatasync", fail)
    assert append(open_store(shell.cwd), drafts(1))


def test_an_exception_in_the_block_writes_nothing(shell: Shell) -> None:
    store = open_store(shell.cwd)
    with pytest.raises(BadData):
        append(store, [*drafts(1), {"type": "No"}])
    assert segments(shell.cwd) == []


def test_a_torn_live_line_is_ended_and_passed_over(shell: Shell) -> None:
    store = open_store(shell.cwd)
    append(store, drafts(2))
    (path,) = segments(shell.cwd)
    os.truncate(path, path.stat().st_size - 9)
    (next_one,) = append(store, drafts(1))
    assert next_one["seq"] == 2
    check_invariants(store, bad_at_most=1)


@pytest.mark.parametrize(("needed", "left"), [(1, 3), (19, 2), (10**6, 1)])
def test_pruning_leaves_what_is_needed_and_the_newest(shell: Shell, needed: int, left: int) -> None:
    store = open_store(shell.cwd)
    made = append(store, big(40))
    paths = segments(shell.cwd)
    assert [int(path.stem) for path in paths] == [1, 19, 37]
    for path in paths:
        os.utime(path, (0, 0))
    live.prune(store, made[0]["writer"], lambda: needed)
    assert segments(shell.cwd) == paths[-left:]
    assert append(store, drafts(1))[0]["seq"] == 41
    check_invariants(store)


def test_what_is_not_old_is_not_pruned(shell: Shell) -> None:
    store = open_store(shell.cwd)
    made = append(store, big(40))
    live.prune(store, made[0]["writer"], lambda: 10**6)
    assert len(segments(shell.cwd)) == 3
