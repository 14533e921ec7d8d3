"""In a store with many streams a reader looks at those that changed, and sees what a look at all of them shows."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from support import ME, Shell, drafts, open_journal, open_store

from coord_kernel import Journal, Store
from coord_kernel.streams import changes
from coord_kernel.streams.redaction import Redactions
from coord_kernel.streams.stream import Stream
from coord_kernel.views.index import Index

STREAMS = 6


@pytest.fixture
def store(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with so many streams that changes are logged; it has been read."""
    monkeypatch.setattr(changes, "MANY", STREAMS)
    monkeypatch.setenv("COORD_BOOT", "a:1000")
    journal = open_journal(shell.cwd)
    for number in range(STREAMS):
        append(journal, f"agent:w{number}")
    read_twice(journal.store)
    assert log(journal.store).exists()
    return journal.store


def append(journal: Journal, agent: str = ME["agent_id"], count: int = 1) -> list[str]:
    return [event.id for event in journal.append({"agent_id": agent}, drafts(count))]


def log(store: Store) -> Path:
    return Path(store.path, "local/changes")


def read_twice(store: Store) -> None:
    for _ in range(3):  # reads; counts the streams and makes the log; knows its place
        Index(store).refresh()
        Redactions(store).refresh()


def has(store: Store, event_id: str) -> bool:
    return Index(store).refresh().by_id(event_id) is not None


def looked_at(store: Store, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The streams that an index and the redactions look at now."""
    names = set[str]()
    before = Stream.segments

    def segments(stream: Stream) -> list[int]:
        names.add(stream.name)
        return before(stream)

    with monkeypatch.context() as context:
        context.setattr(Stream, "segments", segments)
        Index(store).refresh()
        Redactions(store).refresh()
    return names


def test_only_what_changed_is_looked_at(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert looked_at(store, monkeypatch) == set()
    (new,) = append(Journal(store), "agent:w1")
    assert {name.partition("~")[0] for name in looked_at(store, monkeypatch)} == {"agent.w1"}
    assert has(store, new)
    (other,) = append(Journal(store), "agent:new")
    assert {name.partition("~")[0] for name in looked_at(store, monkeypatch)} <= {
        "agent.w1",
        "agent.new",
    }
    assert has(store, other)


def test_a_redaction_is_seen(store: Store) -> None:
    (target,) = append(Journal(store), "agent:w2")
    read_twice(store)
    body = {"target": target, "reason": "a password"}
    Journal(store).append({"agent_id": "agent:w3"}, [{"type": "coord.redacted", "body": body}])
    assert target in Redactions(store).refresh().targets


def by_hand(store: Store, name: str) -> str:
    """A stream that a program wrote which knows neither the lock nor the log."""
    directory = Path(store.path, "journal", f"agent.{name}~00000000")
    directory.mkdir()
    (source,) = Path(store.path, "journal").glob("agent.w0~*/*")
    line = source.read_bytes().partition(b"\n")[0] + b"\n"
    line = line.replace(source.parent.name.encode(), directory.name.encode())
    line = line.replace(
        line[13:39], f"7ZZZZZZZZZZZZZZZZZZZZZZZ{random.Random(name).randrange(10, 99)}".encode()
    )
    (directory / source.name).write_bytes(line)
    return line[13:39].decode()


def test_a_directory_that_another_program_made_is_seen_at_once(store: Store) -> None:
    assert has(store, by_hand(store, "stranger"))


def test_bytes_that_another_program_added_are_seen_within_five_minutes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    event_id = by_hand(store, "stranger")
    read_twice(store)
    path = Path(store.path, "journal/agent.stranger~00000000/000000000001.jsonl")
    later = event_id[:-1] + "Z"
    line = path.read_bytes()
    more = line.replace(event_id.encode(), later.encode()).replace(b'"seq":1,', b'"seq":2,')
    path.write_bytes(line + more)
    monkeypatch.setenv("COORD_BOOT", f"a:{1000 * (changes.FULL_S + 2)}")
    assert has(store, later)


def test_a_writer_without_the_log_is_noticed_by_the_clock(store: Store) -> None:
    before = log(store).read_bytes()
    (new,) = append(Journal(store), "agent:w4")
    log(store).write_bytes(before)  # as if it had not been told
    assert has(store, new)


def test_an_entry_comes_before_its_lines(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader between the two looks at that stream again."""
    seen = []
    before = changes.add

    def add(there: Store, name: str) -> None:
        before(there, name)
        seen.append(looked_at(store, monkeypatch))

    monkeypatch.setattr(changes, "add", add)
    (new,) = append(Journal(store), "agent:w5")
    monkeypatch.undo()
    assert seen and has(open_store(Path(store.path).parent), new)


@pytest.mark.parametrize("harm", ["removed", "emptied", "torn", "of another boot"])
def test_without_a_good_log_all_are_looked_at(
    store: Store, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (new,) = append(Journal(store), "agent:w1")
    if harm == "removed":
        log(store).unlink()
    elif harm == "emptied":
        log(store).write_bytes(b"")
    elif harm == "torn":
        log(store).write_bytes(log(store).read_bytes()[:-1])
    else:
        monkeypatch.setenv("COORD_BOOT", "b:1000")
    assert has(store, new)


def test_a_torn_line_that_is_ended_becomes_an_event(store: Store) -> None:
    journal = Journal(store)
    (new,) = append(journal, "agent:w1")
    read_twice(store)
    (path,) = Path(store.path, "journal").glob("agent.w1~*/*")
    data = path.read_bytes()
    path.write_bytes(data.rstrip(b"\n"))
    log(store).unlink()
    for file in Path(store.path, "local").glob("index.*"):
        file.unlink()
    read_twice(store)
    assert not has(store, new)
    with journal.transaction({"agent_id": "agent:w1"}):
        pass  # ends the line, and writes nothing
    assert has(store, new)


def test_a_full_log_begins_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "LONGEST", 100)
    made = [append(Journal(store), f"agent:w{number % STREAMS}")[0] for number in range(10)]
    assert all(has(store, event_id) for event_id in made)
    assert os.path.getsize(log(store)) <= 200 if log(store).exists() else True


def test_any_order_of_writing_and_reading(store: Store) -> None:
    chance, made = random.Random(7), list[str]()
    for number in range(60):
        what = chance.random()
        if what < 0.5:
            made += append(Journal(store), f"agent:w{chance.randrange(2 * STREAMS)}")
        elif what < 0.6:
            made.append(by_hand(store, f"hand{number}"))
        elif what < 0.7:
            log(store).unlink(missing_ok=True)
        else:
            index = Index(store).refresh()
            assert [event_id for event_id in made if not index.by_id(event_id)] == []
