"""Hostile bytes: whatever stands in a journal is read without an exception, and each byte of it is accounted for.

Tried: events of every kernel type with anything in any place; bits flipped, lines spliced and cut, NULs, CRLF, BOM,
U+2028, deep nesting, numbers of 5,000 digits, duplicate keys, forged annotations. Both parsers, the streams, the
merge, the tail, every tool's fold in one go and through its index; and now and then the commands that print views.

A failure would mean that one bad line, which anybody who can push may write, stops a reader, hides an event, or
makes two readers of the same bytes disagree.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from proof.hostile import WRITER, Hostile
from support import Shell, open_store

from coord_envelope import Event, codec, event
from coord_ev import fold as ev_fold
from coord_kernel import Journal, Store
from coord_kernel.rules import claims
from coord_kernel.streams.stream import streams
from coord_kernel.views.past import Snapshot
from coord_kernel.views.view import View
from coord_lease import confirmed
from coord_lease import fold as lease_fold
from coord_msg import fold as mail_fold
from coord_run import fold as run_fold
from coord_wk import fold as work_fold

LINES = 2_000
"""Fewer than the bad lines behind which a reader passes over the rest of a segment."""
FOLDS: tuple[Any, ...] = (claims, work_fold, mail_fold, run_fold, confirmed)
COMMANDS = (
    "wk ls --all", "wk ready", "wk tree", "wk status", "msg recv", "msg ls --all", "msg dead", "run ls --all",
    "run poll", "lease ls", "ev agents", "ev stats", "ev tail -o table", "wk ls --conflicts", "wk ls -o table",
    "msg recv -o table", "run ls --all -o table", "wk export --to md",
)  # fmt: skip


def accounted(store: Store) -> tuple[list[Event], int]:
    """Read the stream; each byte is in an event, in a line that is reported or in the torn tail. Events, bad lines."""
    (stream,) = streams(store)
    spans, found = set[tuple[int, int]](), list[Event]()
    for item in stream.read():
        spans.add((stream.start, stream.offset))
        if isinstance(item, Event):
            found.append(item)
    ordered = sorted(spans)
    assert [start for start, _ in ordered] == [0, *(end for _, end in ordered)][:-1], (
        "bytes are in nothing, or twice"
    )
    data = Path(store.path, stream.file).read_bytes()
    assert ordered[-1][1] == data.rfind(b"\n") + 1 and stream.torn() == (not data.endswith(b"\n"))
    return found, len(spans) - len(found)


def outcome(raw: bytes) -> str:
    try:
        return repr(event.parse(raw))
    except ValueError:
        return "no event"


def check_parsers(lines: list[bytes]) -> None:
    plain = [outcome(one) for one in lines]
    codec.bulk()
    try:
        for line, slow in zip(lines, plain, strict=True):
            assert outcome(line) == slow, f"the parsers disagree: {line[:2000]!r}"
    finally:
        codec._fast = None


def check_readers(store: Store, data: bytes) -> tuple[int, int]:
    """All that reads a journal takes these bytes, and agrees. How many events and how many bad lines there are."""
    found, bad = accounted(store)
    journal = Journal(store)
    shown = list(journal.replay())
    assert [one.id for one in shown] == [one.id for one in found]
    assert all(one.id < other.id for one, other in itertools.pairwise(found))
    assert [raw for rows in journal.lines(()) for raw in rows] == [one.raw for one in shown]
    rows = data.split(b"\n")
    ends = (
        [one.id for one in some if rows[one["seq"] - 1] == one.raw]
        for some in (shown[-60:], journal.tail(60))
    )
    assert len({tuple(ids[-50:]) for ids in ends}) == 1, "the tail is another than the replay's"
    list(ev_fold.agents(shown))
    ev_fold.stats(shown)
    for one in shown:
        lease_fold.about(one)
    return len(found), bad


def check_views(store: Store) -> None:
    """Each tool's states are the same from memory and through its index, taken in at once or not."""
    events = list(Journal(store).replay())
    for fold in FOLDS:
        whole, view = Snapshot(fold, events), View(store, fold).refresh()
        entities = sorted({entity for one in events for entity in fold.entities(one)})
        for entity in entities:
            assert codec.dumps(view.get(entity)) == codec.dumps(whole.get(entity)), (
                f"{fold.name} {entity}"
            )
        view.close()


def test_whatever_stands_in_a_journal_is_read_and_accounted_for(
    shell: Shell, long: bool, say: Callable[[str], None]
) -> None:
    rounds, events, bad = 500 if long else 6, 0, 0
    store = open_store(shell.cwd)
    path = shell.cwd / ".coord/journal" / WRITER / "000000000001.jsonl"
    path.parent.mkdir(parents=True)
    for seed in range(rounds):
        hostile = Hostile(seed)
        data = b"\n".join(hostile.lines(LINES))
        path.write_bytes(data)
        try:
            check_parsers(data.split(b"\n"))
            counts = check_readers(store, data)
            if seed % 10 == 0:
                check_views(store)
                for command in COMMANDS:
                    assert shell(command, expect=None).status in (0, 1, 2, 75), command
        except Exception as error:
            raise AssertionError(f"with Hostile({seed}): {error!r}") from error
        events, bad = events + counts[0], bad + counts[1]
    say(
        f"hostile: {rounds * LINES:,} lines: {events:,} read as events, {bad:,} reported, no reader raised, all agree"
    )
    assert events > rounds * LINES / 4 and bad > rounds * LINES / 10
