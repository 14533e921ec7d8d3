"""Reading: every byte is in an event, a reported bad line, or the torn tail; there is one order."""

from __future__ import annotations

import os
import random

import pytest
from support import ME, Shell, drafts, open_journal, open_store, segment

from coord_envelope import Cursor, Event
from coord_kernel.streams import stream
from coord_kernel.streams.stream import BadLine, Stream


def read(shell: Shell) -> list[Event | BadLine]:
    return [item for each in stream.streams(open_store(shell.cwd)) for item in each.read()]


def reasons(shell: Shell) -> list[str]:
    return [item.reason for item in read(shell) if isinstance(item, BadLine)]


def numbers(shell: Shell) -> list[int]:
    return [event["body"]["n"] for event in open_journal(shell.cwd).replay()]


def rewrite(shell: Shell, change: dict[int, bytes]) -> None:
    """Ten events, and some of their lines replaced."""
    open_journal(shell.cwd).append(ME, drafts(10))
    path = segment(shell.cwd)
    lines = path.read_bytes().split(b"\n")
    for place, line in change.items():
        lines[place] = line
    path.write_bytes(b"\n".join(lines))


@pytest.mark.parametrize(
    "line",
    [
        b"\0" * 50,
        b"half a li",
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b"x" * 10_000_000,
        b'{"event_id":"' + b"[" * 9000,
    ],
)
def test_a_damaged_line_is_reported_once_and_costs_only_itself(shell: Shell, line: bytes) -> None:
    rewrite(shell, {4: line})
    assert numbers(shell) == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert len(reasons(shell)) == 1


def test_a_bad_line_is_reported_with_file_and_offset(shell: Shell) -> None:
    rewrite(shell, {4: b"bad"})
    (bad,) = [item for item in read(shell) if isinstance(item, BadLine)]
    content = (shell.cwd / ".coord" / bad.file).read_bytes()
    assert content[bad.offset :].startswith(b"bad\n")


def test_crlf_and_u2028_are_not_damage(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    journal.append(ME, [{"type": "a.b", "body": {"n": 0, "x": "a\u2028b\u0085c"}}, *drafts(1)])
    path = segment(shell.cwd)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert numbers(shell) == [0, 0]
    assert reasons(shell) == []


def test_a_hole_in_seq_is_reported_and_hides_nothing(shell: Shell) -> None:
    rewrite(shell, {})
    path = segment(shell.cwd)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join(lines[:3] + lines[6:]))
    assert numbers(shell) == [0, 1, 2, 6, 7, 8, 9]
    assert reasons(shell) == ["seq 7 follows 3: 3 missing before it"]


def test_copies_and_other_writers_lines_do_not_join(shell: Shell) -> None:
    rewrite(shell, {})
    (foreign,) = open_journal(shell.cwd).append({"agent_id": "agent:other"}, drafts(1))
    path = segment(shell.cwd)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*lines[:-1], lines[2], foreign.raw, b""]))
    assert numbers(shell) == [*range(10), 0]
    assert len(reasons(shell)) == 2


def test_a_fork_is_a_stream_of_its_own(shell: Shell) -> None:
    rewrite(shell, {})
    path = segment(shell.cwd)
    fork = path.parent.with_name(path.parent.name + "!0123abcd")
    fork.mkdir()
    (other,) = open_journal(shell.cwd).append(ME, drafts(1))
    (fork / "000000000011.jsonl").write_bytes(other.raw + b"\n")
    path.write_bytes(path.read_bytes().replace(other.raw + b"\n", b""))
    assert numbers(shell) == [*range(10), 0]
    assert reasons(shell) == []


@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
def test_a_segment_that_is_not_a_regular_file_is_reported_not_read(shell: Shell, kind: str) -> None:
    open_journal(shell.cwd).append(ME, drafts(2))
    path = segment(shell.cwd).with_name("000000000003.jsonl")
    if kind == "link":
        path.symlink_to("/etc/passwd")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    assert numbers(shell) == [0, 1]
    assert shell("ev verify", expect=1).lines[0]["reason"] == "not a regular file"


def test_a_linked_stream_directory_is_not_followed(shell: Shell) -> None:
    open_journal(shell.cwd).append(ME, drafts(2))
    path = segment(shell.cwd).parent
    moved = shell.cwd / "elsewhere"
    path.rename(moved)
    path.symlink_to(moved)
    assert numbers(shell) == []


def test_reading_goes_on_where_it_stopped(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    journal.append(ME, drafts(3))
    (reader,) = stream.streams(open_store(shell.cwd))
    assert len(list(reader.read())) == 3
    assert list(reader.read()) == []
    with segment(shell.cwd).open("ab") as file:
        file.write(b'{"event_id"')
    assert list(reader.read()) == []
    assert reader.torn()
    journal.append(ME, drafts(2))
    assert [type(item) for item in reader.read()] == [BadLine, Event, Event]


def test_events_are_in_the_order_of_ids_each_once(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    rng = random.Random(7)
    for _ in range(40):
        journal.append({"agent_id": f"agent:a{rng.randrange(5)}"}, drafts(rng.randrange(1, 4)))
    ids = [event.id for event in journal.replay()]
    assert ids == sorted(set(ids))
    assert [event.id for event in journal.tail(7)] == ids[-7:]
    assert [event.id for event in journal.tail(10_000)] == ids


def test_the_events_up_to_a_cursor_and_after_it_are_all_events(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    rng = random.Random(8)
    everything: list[str] = []
    seen: list[str] = []
    cursor = Cursor()
    for _ in range(30):
        written = journal.append(
            {"agent_id": f"agent:a{rng.randrange(4)}"}, drafts(rng.randrange(1, 300))
        )
        everything += [event.id for event in written]
        if rng.random() < 0.5:
            fresh = list(journal.replay(after=cursor))
            seen += [event.id for event in fresh]
            cursor = Cursor(
                cursor
                | {event.stream: event["seq"] for event in sorted(fresh, key=lambda e: e["seq"])}
            )
    seen += [event.id for event in journal.replay(after=cursor)]
    assert seen == everything


def test_a_cursor_without_pending_events_is_before_each_of_them() -> None:
    pending = Event(b"", {"event_id": "x", "seq": 4}, "w")
    assert Cursor({"w": 9, "v": 2}).without([pending]) == {"w": 3, "v": 2}


def test_a_stream_read_after_a_seq_begins_in_its_segment(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    journal.append(ME, [{"type": "a.b", "body": {"n": n, "x": "x" * 30_000}} for n in range(80)])
    (reader,) = stream.streams(open_store(shell.cwd))
    firsts = reader.segments()
    after = Stream(reader.store, reader.kind, reader.name).after(firsts[1])
    assert after.segment == firsts[1]
    assert [event["seq"] for event in stream.events(after)] == list(range(firsts[1] + 1, 81))


def test_a_journal_that_is_a_link_is_an_error_and_a_stream_that_is_one_is_reported(
    shell: Shell,
) -> None:
    """History: both were silently empty, and verify reported nothing."""
    rewrite(shell, {})
    stream_dir = segment(shell.cwd).parent
    stream_dir.rename(shell.cwd / "elsewhere")
    stream_dir.symlink_to(shell.cwd / "elsewhere")
    assert shell("ev verify", expect=1).one["reason"] == "not a directory"
    journal = shell.cwd / ".coord/journal"
    journal.rename(shell.cwd / "moved")
    journal.symlink_to(shell.cwd / "moved")
    assert "not a directory" in shell("ev verify", expect=74).err


def test_a_seq_beyond_all_segments_is_bad(shell: Shell) -> None:
    """History: a seq over 64 bits came out of SQLite as a traceback, in every command that uses the index."""
    rewrite(shell, {})
    path = segment(shell.cwd)
    path.write_bytes(path.read_bytes().replace(b'"seq":5,', b'"seq":%d,' % 10**29))
    assert len(numbers(shell)) == 9
    shell("ev emit a.b --key k")


def test_a_line_with_a_forged_annotation_is_bad(shell: Shell) -> None:
    rewrite(shell, {})
    path = segment(shell.cwd)
    path.write_bytes(path.read_bytes().replace(b'{"n":3}}', b'{"n":3},"$trust":"self"}'))
    assert 3 not in numbers(shell)


def test_the_newest_events_of_many_streams_are_read_from_their_ends(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """History: 40 streams of 5,000 events took 2.4 s, for each was parsed whole. Counted here, not timed."""
    from coord_envelope import event

    journal = open_journal(shell.cwd)
    for n in range(5):
        journal.append({"agent_id": f"agent:a{n}"}, drafts(200))
    end = journal.end()
    calls = []
    parse = event.parse

    def counted(raw: bytes) -> Event:
        calls.append(raw)
        return parse(raw)

    monkeypatch.setattr(event, "parse", counted)
    assert len(journal.tail(3)) == 3
    assert list(journal.replay(after=end)) == []
    assert len(calls) < 40


def test_a_forged_event_with_the_id_of_another_hides_nothing(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    (real,) = journal.append(ME, drafts(1))
    (forged,) = journal.append({"agent_id": "agent:mallory"}, drafts(1))
    path = segment(shell.cwd, "agent.mallory")
    path.write_bytes(path.read_bytes().replace(forged.id.encode(), real.id.encode()))
    both = sorted(
        segment(shell.cwd, writer).read_bytes().rstrip()
        for writer in ("agent.mallory", "agent.tester")
    )
    assert [event.raw for event in journal.replay()] == both


def test_a_segment_larger_than_ours_is_read_to_its_end(shell: Shell) -> None:
    """Other programs may write larger segments: one that does not fit in memory is read from its start."""
    journal = open_journal(shell.cwd)
    events = journal.append(
        ME, [{"type": "a.b", "body": {"n": n, "x": "x" * 60_000}} for n in range(90)]
    )
    files = sorted(segment(shell.cwd).parent.iterdir())
    files[0].write_bytes(b"".join(file.read_bytes() for file in files))
    for file in files[1:]:
        file.unlink()
    assert [event.id for event in journal.tail(3)] == [event.id for event in events[-3:]]
    assert journal.append(ME, drafts(1))[0]["seq"] == 91


@pytest.mark.parametrize("seq", [b"92", b"4", b"3"])
@pytest.mark.parametrize("place", [1, 4])
def test_a_damaged_seq_costs_only_its_own_line(shell: Shell, seq: bytes, place: int) -> None:
    """History: believed, a seq of 92 hid every later event of its writer, acked ones too."""
    rewrite(shell, {})
    path = segment(shell.cwd)
    path.write_bytes(path.read_bytes().replace(b'"seq":%d,' % (place + 1), b'"seq":%s,' % seq))
    (after,) = open_journal(shell.cwd).append(ME, [{"type": "test.tick", "body": {"n": 10}}])
    expected = [n for n in range(11) if n != place or seq == b"%d" % (place + 1)]
    assert numbers(shell) == expected
    assert [event["body"]["n"] for event in open_journal(shell.cwd).tail(99)] == expected
    assert after["seq"] == 11


def test_a_damaged_id_costs_only_its_own_line(shell: Shell) -> None:
    rewrite(shell, {})
    path = segment(shell.cwd)
    ids = [event.id for event in open_journal(shell.cwd).replay()]
    path.write_bytes(path.read_bytes().replace(ids[3].encode(), b"7" + ids[3].encode()[1:]))
    open_journal(shell.cwd).append(ME, drafts(1))
    assert numbers(shell) == [0, 1, 2, 4, 5, 6, 7, 8, 9, 0]


@pytest.mark.parametrize("first", [b"7", b"0"], ids=["later", "earlier"])
@pytest.mark.parametrize(
    "behind", [[], [b"bad"], [b"bad", b"worse"]], ids=["alone", "one bad line", "two"]
)
def test_a_damaged_id_costs_only_its_own_line_whatever_follows_it(
    shell: Shell, first: bytes, behind: list[bytes]
) -> None:
    """History: followed by a bad line it hid every later event; too small, every earlier one from `ev tail`."""
    rewrite(shell, {4 + place: line for place, line in enumerate(behind)})
    path = segment(shell.cwd)
    lines = path.read_bytes().split(b"\n")
    lines[3] = lines[3].replace(b'{"event_id":"0', b'{"event_id":"' + first)
    lines[3] = lines[3].replace(b'"event_id":"01', b'"event_id":"00')
    path.write_bytes(b"\n".join(lines))
    open_journal(shell.cwd).append(ME, drafts(1))
    expected = [n for n in [*range(10), 0] if n == 0 or n not in range(3, 4 + len(behind))]
    assert numbers(shell) == expected
    assert [event["body"]["n"] for event in open_journal(shell.cwd).tail(99)] == expected
    assert len(reasons(shell)) == 1 + len(behind)
