"""A replay of many small streams from one file prints what a replay of each of them prints."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from support import Shell, open_store

from coord_envelope import Filter, codec
from coord_kernel import Journal, Store
from coord_kernel.streams import changes, lines, pack

MANY = 4


@pytest.fixture
def store(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("COORD_BOOT", "a:1000")
    monkeypatch.setattr(lines, "is_settled", lambda *_: True)
    monkeypatch.setattr(lines, "CHUNK", 4096)
    monkeypatch.setattr(changes, "MANY", MANY)
    monkeypatch.setattr(codec, "MANY", 0)
    monkeypatch.setattr(codec, "_fast", None)
    return open_store(shell.cwd)


def append(store: Store, agent: str, count: int = 1, **fields: Any) -> list[str]:
    some = [{"type": "test.tick", "body": {"n": n}} | fields for n in range(count)]
    return [event.id for event in Journal(store).append({"agent_id": f"agent:{agent}"}, some)]


def check(store: Store) -> int:
    """Compare, for all types and for one. Returns how many streams were opened for it."""
    opened = 0
    for types in ((), ("test.tock",)):
        expected = [item.raw for item in Journal(store).replay(Filter(types))]
        with pack.Pack(store) as there:
            opened = len(there.beside)
        assert [raw for rows in Journal(store).lines(types) for raw in rows] == expected
    return opened


def packed(store: Store) -> Path:
    return Path(store.path, "local/packed")


def fill(store: Store) -> None:
    for number in range(2 * MANY):
        append(store, f"w{number}", count=number + 1)
    check(store)
    assert packed(store).exists() and check(store) == 0


def test_what_was_added_is_read_besides(store: Store) -> None:
    fill(store)
    append(store, "w3", count=2, type="test.tock")
    assert check(store) == 1
    append(store, "new")
    assert 1 <= check(store) <= 2
    (target,) = append(store, "w1")
    append(store, "w2", type="coord.redacted", body={"target": target, "reason": "x"})
    assert b'"redacted":true' in b"".join(raw for rows in Journal(store).lines(()) for raw in rows)
    check(store)


def test_it_is_made_anew_when_much_is_read_besides(store: Store) -> None:
    fill(store)
    before = packed(store).read_bytes()
    for number in range(MANY):
        append(store, f"w{number}")
    check(store)
    assert packed(store).read_bytes() != before and check(store) <= 1


@pytest.mark.parametrize("harm", ["removed", "cut", "scribbled", "empty", "of another boot", "log"])
def test_a_bad_pack_is_none(store: Store, harm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store)
    data = packed(store).read_bytes()
    if harm == "removed":
        packed(store).unlink()
    elif harm == "of another boot":
        monkeypatch.setenv("COORD_BOOT", "b:1000")
    elif harm == "log":
        Path(store.path, "local/changes").unlink()
    else:
        packed(store).write_bytes(
            {"cut": data[:-10], "scribbled": b"\xff" * 100, "empty": b""}[harm]
        )
    append(store, "w1")
    check(store)


def test_streams_that_are_not_plain_or_large_are_read_besides(store: Store) -> None:
    for number in range(2 * MANY):
        append(store, f"w{number}", count=3)
    (odd,) = Path(store.path, "journal").glob("agent.w1~*/*")
    odd.write_bytes(odd.read_bytes().replace(b'","type"', b'", "type"', 1))
    (bad,) = Path(store.path, "journal").glob("agent.w2~*/*")
    bad.write_bytes(bad.read_bytes() + b"not an event\n")
    large = Path(store.path, "journal").glob("agent.w3~*/*")
    append(store, "w3", count=800, body={"text": "x" * 200})
    assert next(large).stat().st_size > pack.SMALL
    fork = Path(
        store.path,
        "journal",
        f"{next(iter(Path(store.path, 'journal').glob('agent.w4~*'))).name}!abcdef12",
    )
    fork.mkdir()
    (source,) = Path(store.path, "journal").glob("agent.w4~????????/*")
    (fork / source.name).write_bytes(source.read_bytes())
    check(store)
    assert 3 <= check(store) <= 5
    append(store, "w4")
    check(store)


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_writing_and_reading(store: Store, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(25):
        for _ in range(chance.randrange(6)):
            kind = chance.choice(("test.tick", "test.tock"))
            append(store, f"w{chance.randrange(12)}", count=chance.randint(1, 20), type=kind)
        if chance.random() < 0.1:
            Path(store.path, "local/changes").unlink(missing_ok=True)
        check(store)
