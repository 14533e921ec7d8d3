"""Replay as stored lines: whatever the streams hold, the lines are those of the events of `replay`."""

from __future__ import annotations

import json
import os
import random
import sqlite3
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from support import ME, Shell, drafts, open_journal, open_store, segment

from coord_envelope import Filter, codec, event, ids, world
from coord_kernel import Journal, Store
from coord_kernel.streams import lines
from coord_kernel.views import bulk
from coord_kernel.views.index import Index

LATER = "2100-01-01T00:00:00Z"
"""So late that no file changed recently."""
TYPES = ("test.tick", "test.tock", 'test."quoted"')


@pytest.fixture
def store(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("COORD_NOW", LATER)
    monkeypatch.setattr(lines, "CHUNK", 8192)
    monkeypatch.setattr(codec, "MANY", 0)
    monkeypatch.setattr(codec, "_fast", None)
    return open_store(shell.cwd)


def replayed(store: Store, types: Collection[str] = ()) -> list[bytes]:
    return [line for rows in Journal(store).lines(types) for line in rows]


def check(store: Store) -> None:
    """All ways to read it agree, with no segment known and with all known."""
    for types in ((), TYPES[:1], TYPES):
        expected = [item.raw for item in Journal(store).replay(Filter(types))]
        for _ in range(2):
            assert replayed(store, types) == expected


def known(store: Store) -> list[str]:
    return sorted(json.loads(Path(store.path, "local/plain").read_bytes())["segments"])


class Writers:
    """Streams of a few writers who write in turns, with damaged and foreign lines in between."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store, self.chance, self._stamp = store, random.Random(seed), 1_760_000_000_000 << 16
        self.names = [
            f"agent.w{number}~0000000{number}" for number in range(self.chance.randint(1, 3))
        ]
        self.seqs = dict.fromkeys(self.names, 0)
        self._ids = ["01KAJ3Q8ZK0001V7M2C4D9T6RX"]

    def write(self, harm: float) -> None:
        """Write some more segments for each."""
        chance = self.chance
        parts: dict[str, list[tuple[int, list[bytes]]]] = {name: [] for name in self.names}
        for _ in range(chance.choice((3, 40, 200, 400))):
            name = chance.choice(self.names)
            if not parts[name] or chance.random() < 0.02:
                parts[name].append((self.seqs[name] + 1, []))
            parts[name][-1][1].extend(self._lines(name, harm))
        for name, segments in parts.items():
            directory = Path(self.store.path, "journal", name)
            directory.mkdir(parents=True, exist_ok=True)
            for first, rows in segments:
                end = b"" if chance.random() < harm else b"\n"
                (directory / f"{first:012d}.jsonl").write_bytes(b"\n".join(rows) + end)

    def damage_one(self) -> None:
        """Replace one line by another of its stream, or by an empty one."""
        path = self.chance.choice(sorted(Path(self.store.path, "journal").glob("*/*")))
        rows = path.read_bytes().split(b"\n")
        segments = sorted(path.parent.glob("*"))
        others = b"\n".join(segment.read_bytes() for segment in segments).split(b"\n")
        rows[self.chance.choice((self.chance.randrange(len(rows)), -2, -1))] = self.chance.choice(
            [*others, b""]
        )
        path.write_bytes(b"\n".join(rows))

    def copy_one(self) -> None:
        """Copy a stream as a fork, as sync does if it does not continue what the store holds."""
        name = self.chance.choice(self.names)
        for path in Path(self.store.path, "journal", name).glob("*"):
            copy = path.parent.with_name(f"{name}!0badcafe") / path.name
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(path.read_bytes())

    def _lines(self, name: str, harm: float) -> list[bytes]:
        chance = self.chance
        self._stamp += 1 + chance.getrandbits(17) * (chance.random() < 0.1)
        self.seqs[name] += 1
        kind = TYPES[2] if chance.random() < harm / 4 else chance.choice(TYPES[:2])
        draft = {
            "type": kind,
            "body": {
                "n": self.seqs[name],
                "pad": "é" * chance.choice((0, 0, 9, 9 if harm else 300)),
            },
        }
        if chance.random() < 0.1:
            draft["body"] = {"a": "", "type": TYPES[0], "ts": ""}
        if chance.random() < 0.03:
            draft = {
                "type": "coord.redacted",
                "body": {"target": chance.choice(self._ids), "reason": "x"},
            }
        event_id = ids.mint(self._stamp, chance.randbytes(8))
        if chance.random() < harm:
            event_id = chance.choice(self._ids)  # used by another event, or not increasing
        self._ids = [*self._ids[-50:], event_id]
        head = ("acme", name, self.seqs[name])
        line = event.build(draft, event_id, self._stamp >> 16, head, ME).raw
        return self._harmed(line) if chance.random() < harm else [line]

    def _harmed(self, line: bytes) -> list[bytes]:
        chance, fields = self.chance, json.loads(line)
        at = chance.randrange(len(line))
        turned = codec.dumps(dict(reversed(fields.items())))
        far = codec.dumps(fields | {"seq": fields["seq"] + 1000})
        return chance.choice([
            [], [line, line], [line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :]], [line[:at]], [turned], [far],
            [json.dumps(fields).encode()], [line.replace(b'"test.tick"', b'"test\\u002etick"')], [line + b"\r"],
            [line[:-1] + b',"type":"test.tock"}'], [line[:-1] + b',"$note":1}'], [b""], [b"\0" * 50],
            [codec.dumps(fields | {"body": {"pad": "x" * 9_000}})],
            [codec.dumps(fields | {"writer": self.names[0]})], [line[:at] + b"\n" + line[at:]],
        ])  # fmt: skip


@pytest.mark.parametrize("seed", range(60))
def test_the_lines_are_those_of_the_events(store: Store, seed: int) -> None:
    writers = Writers(store, seed)
    for _ in range(3):
        writers.write(harm=(0, 0.003, 0.01, 0.05)[seed % 4])
        check(store)
        for _ in range(2):
            writers.damage_one()
            check(store)
    writers.copy_one()
    check(store)


def test_a_known_segment_is_not_parsed_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    Writers(store, 0).write(harm=0)
    expected = replayed(store)
    assert len(known(store)) == sum(1 for _ in Path(store.path, "journal").glob("*/*"))
    monkeypatch.setattr(event, "fields_of_all", None)
    assert replayed(store) == expected


def test_a_changed_segment_is_parsed_again(store: Store) -> None:
    journal = Journal(store)
    journal.append(ME, drafts(40))
    assert len(replayed(store)) == 40
    path = segment(Path(store.path).parent)
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"n":7}}', b'"n":7}!'))
    assert len(replayed(store)) == 39
    assert known(store) == []


def test_a_segment_that_changed_just_now_is_not_known(shell: Shell) -> None:
    Journal(open_store(shell.cwd)).append(ME, drafts(40))
    now = world.format_ts(segment(shell.cwd).stat().st_ctime_ns // 1_000_000)
    assert len(shell("ev replay", COORD_NOW=now).lines) == 40
    assert not (shell.cwd / ".coord/local/plain").exists()
    assert lines.is_settled(5_000_000_001, 5_021_000_000)
    assert not lines.is_settled(5_000_000_001, 5_019_000_000)
    assert not lines.is_settled(5_000_000_000, 6_999_000_000), "the file system keeps seconds"


def test_what_was_checked_is_known_to_the_next_replay(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(store)
    journal.append(ME, drafts(40))
    journal.append({"agent_id": "agent:other"}, drafts(20))
    own, other = sorted(path.name for path in Path(store.path, "journal").iterdir())[::-1]
    lines.check(store, {own})
    assert known(store) == [f"journal/{own}/000000000001.jsonl"]
    lines.check(store, {other})
    assert len(known(store)) == 2
    monkeypatch.setattr(event, "fields_of_all", None)
    assert len(replayed(store)) == 60


@pytest.mark.parametrize("saved", [b"", b"[]", b"{}", b'{"boot":1}', b"\xff"])
def test_an_invalid_cache_is_ignored(store: Store, saved: bytes) -> None:
    Journal(store).append(ME, drafts(40))
    Path(store.path, "local/plain").write_bytes(saved)
    assert len(replayed(store)) == 40


def test_after_a_reboot_every_segment_is_parsed_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    Journal(store).append(ME, drafts(40))
    replayed(store)
    saved = json.loads(Path(store.path, "local/plain").read_bytes())
    Path(store.path, "local/plain").write_bytes(codec.dumps(saved | {"boot": "another"}))
    monkeypatch.setattr(event, "fields_of_all", None)
    with pytest.raises(TypeError):
        replayed(store)


def test_a_command_prints_the_same_from_lines_and_from_events(shell: Shell) -> None:
    open_journal(shell.cwd).append(ME, [*drafts(3), {"type": "test.tock", "body": {}}])
    for fast, slow in (
        ("", "--type 'test.*'"),
        ("--type test.tock", "--type '*.tock'"),
        ("", "--until 2100-01-01"),
    ):
        assert shell(f"ev replay {fast}").out == shell(f"ev replay {slow}").out != ""


@pytest.mark.parametrize("line", ["replay", "agents"])
def test_many_streams_cost_their_number_and_not_its_square(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    """Each step of the merge, and each look for redactions, went through all streams."""
    real = os.open
    opened = dict.fromkeys((100, 400), 0)
    for count in opened:
        place = tmp_path / str(count)
        place.mkdir()
        found = Store(str(place), "acme", new=True)
        for number in range(count):
            writer = f"agent.w{number}~{number:08d}"
            actor = {"agent_id": f"agent:w{number}"}
            rows = [
                event.build(
                    {"type": "a.b", "body": {}},
                    ids.mint(ids.tick(0, 10**12 + turn * count + number), b"\0" * 8),
                    10**12,
                    ("acme", writer, turn + 1),
                    actor,
                ).raw
                for turn in range(3)
            ]
            found.save(b"\n".join(rows) + b"\n", "journal", writer, "000000000001.jsonl")
        journal = Journal(found)

        def counted(*args: Any, count: int = count, **more: Any) -> int:
            opened[count] += 1
            return real(*args, **more)

        monkeypatch.setattr(os, "open", counted)
        if line == "replay":
            assert len([raw for rows in journal.lines(()) for raw in rows]) == 3 * count
        else:
            assert len(list(journal.replay(live=True))) == 3 * count
        monkeypatch.setattr(os, "open", real)
    # From 256 streams on the first replay also packs them; the square would be 16 times as much.
    assert opened[400] < 8 * opened[100]


def index_rows(store: Store) -> list[tuple[object, ...]]:
    with sqlite3.connect(Path(store.path, "local/index.sqlite")) as db:
        events = "SELECT id, stream, first, offset FROM event JOIN segment ON no = segment"
        return [
            *db.execute(f"{events} ORDER BY 1"),
            *db.execute("SELECT * FROM key ORDER BY 1, 2"),
            *db.execute("SELECT * FROM position ORDER BY 1"),
        ]


def index_of(store: Store, monkeypatch: pytest.MonkeyPatch, many: int) -> list[tuple[object, ...]]:
    """What an index has that is made from nothing, of lines or of events."""
    with monkeypatch.context() as context:
        context.setattr(bulk, "BATCH", 300)
        context.setattr(codec, "MANY", many)
        Index(store).refresh()
    return index_rows(store)


def delete_index(store: Store) -> None:
    for path in Path(store.path, "local").glob("index.*"):
        path.unlink()


@pytest.mark.parametrize("seed", range(6))
def test_an_index_of_lines_has_the_rows_of_one_of_events(
    store: Store, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    writers = Writers(store, seed)
    for harm in (0, 0, 0.02 if seed % 2 else 0):
        writers.write(harm)
        grown = index_of(store, monkeypatch, 0)
        delete_index(store)
        assert index_of(store, monkeypatch, 1 << 40) == grown
        delete_index(store)
        assert index_of(store, monkeypatch, 0) == grown, "of segments that are known now"


def test_keys_are_found_however_they_are_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, chance = Journal(store), random.Random(3)
    for number in range(40):
        draft = {
            "type": "a.b",
            "body": {"text": 'idempotency_key"\\'},
            "idempotency_key": f"k{number}",
        }
        plain = {"type": "a.b", "body": {"idempotency_key": "inner"}}
        journal.append({"agent_id": f"agent:w{chance.randrange(3)}"}, [draft, plain])
    for path in Path(store.path, "journal").glob("*/*"):
        data = path.read_bytes().replace(b'"idempotency_key":"k7"', b'"idempotency\\u005fkey":"k7"')
        path.write_bytes(data)
    delete_index(store)
    by_events = index_of(store, monkeypatch, 1 << 40)
    delete_index(store)
    assert index_of(store, monkeypatch, 0) == by_events
    index = Index(store).refresh()
    assert all(index.by_key("a.b", f"k{number}") for number in range(40))
    assert index.has_any([("a.b", "k7")]) and index.has_any([("a.c", "k1"), ("a.b", "k1")])
    assert not index.has_any([("a.b", "inner"), ("a.c", "k7"), ("a.b", "k77")])
