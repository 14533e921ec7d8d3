"""The pure parts of live remotes: ranges, chunks, where the arbiter lives."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from support import Json

from coord_envelope import Event, event, world
from coord_kernel.store.directory import Store
from coord_kernel.sync import seat, settle
from coord_kernel.sync.live import chunk, presence, spans
from coord_kernel.sync.live.chunk import Chunk

PATH = "journal/agent.ada~k3f9x2ab/000000000001.jsonl"


@pytest.mark.parametrize(
    ("have", "new", "expected"),
    [
        ([], (0, 5), [[0, 5]]),
        ([], (5, 5), []),
        ([[0, 5]], (5, 9), [[0, 9]]),
        ([[0, 5]], (6, 9), [[0, 5], [6, 9]]),
        ([[0, 5], [6, 9]], (5, 6), [[0, 9]]),
        ([[0, 5], [8, 9]], (2, 20), [[0, 20]]),
        ([[3, 5]], (0, 1), [[0, 1], [3, 5]]),
        ([[0, 9]], (2, 3), [[0, 9]]),
    ],
)
def test_ranges_that_touch_are_one(
    have: list[list[int]], new: tuple[int, int], expected: list[list[int]]
) -> None:
    assert spans.added(have, *new) == expected


@pytest.mark.parametrize(
    ("have", "size", "expected"),
    [
        ([], 0, []),
        ([], 4, [(0, 4)]),
        ([[0, 4]], 4, []),
        ([[0, 9]], 4, []),
        ([[1, 2], [3, 4]], 6, [(0, 1), (2, 3), (4, 6)]),
        ([[5, 9]], 4, [(0, 4)]),
    ],
)
def test_holes_are_what_no_range_covers(
    have: list[list[int]], size: int, expected: list[tuple[int, int]]
) -> None:
    assert list(spans.holes(have, size)) == expected


def test_a_chunk_comes_back_from_its_payload() -> None:
    blob = f"blobs/sha256/{'0' * 2}/{'1' * 62}"
    for made in (
        Chunk(PATH, 7, 0, "k3f9x2ab", b"a\n\nb"),
        Chunk(blob, 0, 3, "k3f9x2ab", b"\n\xff "),
    ):
        assert chunk.unpack(chunk.pack(made)) == made
    assert Chunk(PATH, 7, 0, "k3f9x2ab", b"abc").end == 10
    assert Chunk(PATH, 0, 0, "k3f9x2ab", b"x").stream == "agent.ada~k3f9x2ab"
    assert Chunk(blob, 0, 1, "k3f9x2ab", b"x").stream == "blobs"


@pytest.mark.parametrize(
    "head",
    [
        f"{PATH} 0 0",
        f"{PATH} 0 0 k3f9x2ab more",
        f"{PATH} 0 1 k3f9x2ab",
        f"{PATH} 1e3 0 k3f9x2ab",
        f"{PATH} ٣ 0 k3f9x2ab",
        f"{PATH} {1 << 26} 0 k3f9x2ab",
        f"{PATH} 0 0 K3F9X2AB",
        f"{PATH} 0 0 k3f9x2a",
        f"../{PATH} 0 0 k3f9x2ab",
        "local/lock 0 0 k3f9x2ab",
        f"blobs/sha256/00/{'1' * 62} 0 0 k3f9x2ab",
        f"blobs/sha256/00/{'1' * 62} 0 {(1 << 20) + 1} k3f9x2ab",
    ],
)
def test_a_payload_of_another_form_is_refused(head: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        chunk.unpack(head.encode() + b"\nx\n")


def test_pieces_end_at_lines_where_there_are_any() -> None:
    line = b"x" * 99 + b"\n"
    data = line * (3 * chunk.MOST // 100)
    pieces = list(chunk.cut(data))
    assert b"".join(pieces) == data
    assert all(piece.endswith(b"\n") and len(piece) <= chunk.MOST for piece in pieces)
    assert [len(piece) for piece in chunk.cut(b"y" * (chunk.MOST + 1))] == [chunk.MOST, 1]


CLOCK = itertools.count(1_767_000_000_000)


def arbiter(path: Path, *streams: tuple[str, list[tuple[str, bool] | None]]) -> Store:
    """A store with arbiter streams: of each its name, and its moves (None: a confirmation)."""
    (path / "journal").mkdir()
    store = Store(str(path), "acme")
    for name, moves in streams:
        last = None
        for move in moves:
            draft = (
                seat.moved(move[0], "agent:ada", move[1])
                if move
                else {"type": "work.confirmed", "body": {"agent_id": "agent:ada"}}
            )
            now = world.format_ts(next(CLOCK))  # each later than all before, in any stream
            with mock.patch.dict(os.environ, COORD_NOW=now):
                last = settle.entry(store, name.partition("!")[0], last, draft)
            file = path / "journal" / name / "000000000001.jsonl"
            file.parent.mkdir(exist_ok=True)
            with open(file, "ab") as lines:
                lines.write(last.raw + b"\n")
    return store


ONE, TWO = "arbiter.main~aaaaaaaa", "arbiter.main~bbbbbbbb"


@pytest.mark.parametrize(
    ("streams", "expected"),
    [
        ([], ("", "", False)),
        ([(ONE, [None])], (ONE, "git", False)),
        ([(ONE, [("e1", False), None])], (ONE, "e1", False)),
        ([(ONE, [None, ("e1", False), None, ("git", False)])], (ONE, "git", False)),
        ([(ONE, [None]), (TWO, [None])], ("", "git", False)),
        ([(ONE, [("e1", False)]), (TWO, [None])], ("", "", True)),
        ([(ONE, [("e1", False)]), (TWO, [("e2", True), None])], (TWO, "e2", False)),
        ([(ONE, [("e1", True), None]), (TWO, [("e2", True)])], (TWO, "e2", False)),
        ([(ONE, [("e1", True), ("git", False)]), (TWO, [None])], (ONE, "git", False)),
        ([(ONE, [("e1", False)]), (f"{ONE}!{'0' * 64}", [None])], (ONE, "e1", True)),
    ],
)
def test_the_last_move_says_where_the_arbiter_lives(
    tmp_path: Path,
    streams: list[tuple[str, list[tuple[str, bool] | None]]],
    expected: tuple[str, str, bool],
) -> None:
    assert seat.seat(arbiter(tmp_path, *streams)) == expected


def test_a_move_in_another_stream_or_in_a_text_does_not_count(tmp_path: Path) -> None:
    store = arbiter(tmp_path, (ONE, [None]))
    forged = seat.moved("e1", "agent:ada")
    forged["body"]["text"] = f'"type":"{seat.MOVED}"'
    other = settle.entry(store, "agent.eve~aaaaaaaa", None, forged)
    with open(tmp_path / "journal" / ONE / "000000000001.jsonl", "ab") as lines:
        lines.write(other.raw + b"\n")
        lines.write(f'{{"type":"{seat.MOVED}"}}\n'.encode())
    assert seat.seat(store).place == "git"
    assert event.parse(other.raw)["type"] == seat.MOVED


def live(kind: str, ms: int, session: str = "", **body: object) -> Event:
    fields: Json = {
        "event_id": f"{ms:026d}",
        "type": kind,
        "ts": world.format_ts(ms),
        "writer": "agent.a~aaaaaaaa+live",
        "actor": {"agent_id": "agent:a", "session_id": session},
        "refs": {"lease_id": body.pop("lease", None)},
        "body": body,
    }
    return Event(b"", fields, "")


MIN = 60_000


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([("agent.seen", 1, "s"), ("agent.seen", 2, "s")], [2]),
        ([("agent.seen", 1, "s"), ("agent.seen", 2, "t")], [1, 2]),
        ([("agent.seen", 1, "s"), ("agent.seen", -11 * MIN, "s")], [1]),
        ([("agent.seen", -11 * MIN, "s")], []),
        ([("lease.acquired", 1, "L", 60_000)], [1]),
        ([("lease.acquired", -2 * MIN, "L", 60_000)], []),
        ([("lease.acquired", -2 * MIN, "L", 60_000), ("lease.renewed", 1, "L", 60_000)], [-2 * MIN, 1]),
        ([("lease.acquired", 1, "L", 60_000), ("lease.released", 2, "L", None)], [1, 2]),
        ([("lease.acquired", -11 * MIN, "L", 60_000), ("lease.released", -11 * MIN, "L", None)], []),
        ([("lease.acquired", 1, None, 60_000)], []),
        ([("lease.acquired", -9 * 24 * 60 * MIN, "L", 1 << 39)], []),
        ([("ci.done", 1, "s")], []),
    ],
)  # fmt: skip
def test_what_matters_now_is_told(events: list[Any], told: list[int]) -> None:
    zero = 2_000_000_000_000
    lines = [
        live(kind, zero + ms, who)
        if kind == "agent.seen" or kind.startswith("ci.")
        else live(kind, zero + ms, lease=who, **({"ttl_ms": ttl[0]} if ttl[0] else {}))
        for kind, ms, who, *ttl in events
    ]
    chosen = presence.matter(lines, zero + 10)
    assert sorted(int(line.id) - zero for line in chosen) == told
