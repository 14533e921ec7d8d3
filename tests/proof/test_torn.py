"""Power loss and full disks, byte by byte: what a journal is cut to, what then stands there, and what follows.

Tried: a journal cut at each of its bytes, and nothing, NULs, garbage or half an object behind the cut, read and
appended to; and an append for which the disk has room for each number of its bytes. The short form takes a sample.

A failure would mean that an event before the cut is lost, that one is read which nobody wrote, that bytes are in no
event, no reported line and no torn tail, that the append after it is lost or gives a seq a second time, or that a
short write is acked.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from support import ME, Shell, check_invariants, drafts, open_store, segment

from coord_envelope import Event
from coord_kernel import Journal
from coord_kernel.streams.stream import streams

TAILS = {
    "nothing": b"",
    "NULs": b"\0" * 4_096,
    "garbage": bytes(random.Random(2).choices(range(256), k=700)),
    "half an object": b'{"event_id":"01KAJ3Q8ZK0001V7M2C4D9T6RX","type":"proof.torn","ts":"2026-',
}
ROOM = "import os, resource as r, sys as s; r.setrlimit(r.RLIMIT_FSIZE, [int(s.argv[1])] * 2); os.execlp(*s.argv[2:])"


class Cut:
    """A journal of two segments that ends after some byte, and what stands there instead of the rest."""

    def __init__(self, shell: Shell) -> None:
        self.store = open_store(shell.cwd)
        self.events = Journal(self.store).append(ME, drafts(6))
        self.first = segment(shell.cwd)
        self.second = self.first.with_name(f"{self.events[3]['seq']:012d}.jsonl")
        self.whole = self.first.read_bytes()
        self.border = self.whole.index(self.events[3].raw)

    def check(self, cut: int, tail: bytes) -> None:
        """Lay it, read it, append to it, read it again."""
        files = {self.first: self.whole[: min(cut, self.border)]}
        if cut > self.border:
            files[self.second] = self.whole[self.border : cut]
        files[max(files)] += tail
        self.second.unlink(missing_ok=True)
        for path, data in files.items():
            path.write_bytes(data)
        kept = self.lines(files.values())
        self.reads(kept)
        ended = self.lines(
            data if not data or data.endswith(b"\n") else data + b"\n" for data in files.values()
        )
        (after,) = Journal(self.store).append(ME, drafts(1))
        assert after["seq"] == len(ended) + 1, "a seq is given a second time, or one is left out"
        self.reads([*ended, after.raw])

    def lines(self, files: Iterable[bytes]) -> list[bytes]:
        """Of the lines that are whole, those that were written as they stand there."""
        found = [line for data in files for line in data.split(b"\n")[:-1]]
        return [event.raw for event in self.events if event.raw in found]

    def reads(self, expected: Sequence[bytes]) -> None:
        """These events and no others; and each byte is in one, in a line that is reported, or in the torn tail."""
        assert [one.raw for one in Journal(self.store).replay()] == expected
        for stream in streams(self.store):
            seen: dict[str, list[tuple[int, int]]] = {}
            found = [
                (stream.file, stream.start, stream.offset, isinstance(item, Event))
                for item in stream.read()
            ]
            for file, start, end, _ in found:
                seen.setdefault(file, []).append((start, end))
            for first in stream.segments():
                file = f"{stream.kind}/{stream.name}/{first:012d}.jsonl"
                data = Path(self.store.path, file).read_bytes()
                spans = sorted(set(seen.get(file, [])))
                assert [start for start, _ in spans] == [0, *(end for _, end in spans)][
                    : len(spans)
                ], "a gap"
                assert sum(end - start for start, end in spans) == data.rfind(b"\n") + 1, (
                    "bytes are in nothing"
                )
            assert stream.torn() == (not data.endswith(b"\n") and bool(data)), (
                "a torn tail is not told of"
            )
        check_invariants(self.store, bad_at_most=sum(not is_event for *_, is_event in found))


def test_a_journal_cut_anywhere_with_anything_behind_it_reads_and_goes_on(
    shell: Shell, long: bool, say: Callable[[str], None]
) -> None:
    journal = Cut(shell)
    cuts = [(cut, name) for cut in range(len(journal.whole) + 1) for name in TAILS]
    tried = cuts if long else random.Random(3).sample(cuts, 150)
    for cut, name in tried:
        try:
            journal.check(cut, TAILS[name])
        except AssertionError as error:
            raise AssertionError(f"cut at {cut}, then {name}: {error}") from error
    say(
        f"torn journal: {len(tried):,} of {len(cuts):,} cuts and tails: what is before and after is read"
    )


def check_room(shell: Shell, chosen: Callable[[range], Iterable[int]]) -> tuple[int, int]:
    """A batch of two lines, and room for some of the numbers of its bytes: how many were tried, of how many."""
    lines = "".join(f'{{"type":"proof.full","body":{{"n":{n}}}}}\n' for n in range(2))
    before = shell("ev emit proof.full").out + shell("ev emit", lines).out
    path = segment(shell.cwd)
    begin, size, store = len(before), len(before) - before.index("\n") - 1, open_store(shell.cwd)
    rooms = [*chosen(range(begin, begin + size))]
    for room in rooms:
        path.write_text(before)
        done = shell(f'{sys.executable} -c "{ROOM}" {room} ev ev emit  # limit', lines, expect=74)
        fit = int(room >= begin + size // 2)
        assert len(done.lines) == fit, f"{room - begin} bytes of room: {len(done.lines)} acked"
        assert (
            f": {fit} of 2 events were written; make room" in done.err
            and len(done.err.splitlines()) == 1
        )
        assert shell("ev replay").out == before + done.out
        shell("ev emit proof.after")
        check_invariants(store)
    return len(rooms), size


def test_a_disk_with_room_for_any_part_of_a_batch_keeps_whole_lines_and_says_how_many(
    shell: Shell, long: bool, say: Callable[[str], None]
) -> None:
    tried, size = check_room(
        shell, lambda rooms: rooms if long else random.Random(4).sample(rooms, 6)
    )
    say(
        f"full disk: room for {tried} of {size} of a batch's bytes: whole lines kept and acked, the rest told"
    )
