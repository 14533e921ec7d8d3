"""Append: acked is on the disk, a crash costs at most a torn line, a key has one event."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import ME, Json, Shell, check_invariants, drafts, open_journal, open_store, segment

from coord_envelope import SELF, BadData, ids, world
from coord_envelope.errors import DiskFault, Refused, TryAgain
from coord_kernel.store import disk
from coord_kernel.streams.rows import SEGMENT

DAY = 86_400_000


def test_events_are_numbered_and_ordered(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    first, second = journal.append(ME, drafts(2))
    assert (first["seq"], second["seq"]) == (1, 2)
    assert first.id < second.id
    assert [event.raw for event in journal.replay()] == [first.raw, second.raw]


def test_a_torn_tail_is_ended_and_never_truncated(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    journal.append(ME, drafts(2))
    path = segment(shell.cwd)
    path.write_bytes(path.read_bytes()[:-20])
    torn = path.read_bytes()
    (event,) = journal.append(ME, drafts(1))
    assert event["seq"] == 2
    assert path.read_bytes() == torn + b"\n" + event.raw + b"\n"
    check_invariants(open_store(shell.cwd), bad_at_most=1)


@pytest.mark.parametrize(
    "tail", [b"\0" * 100, b"garbage", b'{"event_id":"', b"\0" * 70_000, b"\xff\n\xfe"]
)
def test_any_tail_leaves_the_next_append_clean(shell: Shell, tail: bytes) -> None:
    journal = open_journal(shell.cwd)
    before = journal.append(ME, drafts(3))
    with segment(shell.cwd).open("ab") as file:
        file.write(tail)
    after = journal.append(ME, drafts(1))
    assert [e.id for e in journal.replay()] == [e.id for e in before + after]
    assert after[0]["seq"] == 4


def test_a_copied_old_line_at_the_end_does_not_set_seq_back(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    first, *_ = journal.append(ME, drafts(5))
    with segment(shell.cwd).open("ab") as file:
        file.write(first.raw + b"\n")
    assert journal.append(ME, drafts(1))[0]["seq"] == 6


def test_segments_roll_at_a_mebibyte_and_are_named_after_their_first_seq(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    events = journal.append(ME, [big(n) for n in range(60)])
    events += journal.append(ME, [big(60)])
    files = sorted(segment(shell.cwd).parent.glob("*.jsonl"))
    firsts = [int(file.stem) for file in files]
    assert len(files) > 1
    assert all(file.stat().st_size < SEGMENT + 65_536 for file in files)
    assert [file.read_bytes().split(b"\n")[0] for file in files] == [
        events[first - 1].raw for first in firsts
    ]
    check_invariants(open_store(shell.cwd))


def big(n: int) -> dict[str, Any]:
    return {"type": "test.big", "body": {"n": n, "x": "x" * 40_000}}


def test_a_torn_tail_in_a_full_segment_is_ended_before_the_next_begins(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    journal.append(ME, [big(n) for n in range(27)])
    path = segment(shell.cwd)
    with path.open("ab") as file:
        file.write(b"torn")
    assert path.stat().st_size >= SEGMENT
    journal.append(ME, drafts(1))
    assert segment(shell.cwd) != path
    assert path.read_bytes().endswith(b"torn\n")
    check_invariants(open_store(shell.cwd), bad_at_most=1)


def test_a_full_disk_keeps_whole_lines_and_says_how_many(shell: Shell) -> None:
    (one,) = open_journal(shell.cwd).append(ME, drafts(1))
    room = segment(shell.cwd).stat().st_size + 10 * len(one.raw)
    lines = "".join(f'{{"type":"test.tick","body":{{"n":{n}}}}}\n' for n in range(40))
    done = shell(f"ulimit -f {room // 1024 + 1}; ev emit", lines, expect=74)
    assert 0 < len(done.lines) < 40
    assert f"{len(done.lines)} of 40 events were written" in done.err
    assert [e["body"]["n"] for e in shell("ev replay").lines[1:]] == list(range(len(done.lines)))
    check_invariants(open_store(shell.cwd))
    assert shell("ev emit a.b").one["seq"] == len(done.lines) + 2


def test_a_failed_fdatasync_is_not_retried_and_ends_the_stream(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_journal(shell.cwd)
    (before,) = journal.append(ME, drafts(1))
    calls = []

    def fail(fd: int) -> None:
        calls.append(fd)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(disk, "fdatasync", fail)
    with pytest.raises(DiskFault, match="may or may not be on the disk") as raised:
        journal.append(ME, drafts(2))
    monkeypatch.undo()
    assert (len(calls), list(raised.value.accepted)) == (1, [])
    (after,) = journal.append(ME, drafts(1))
    assert after["writer"] != before["writer"]
    assert after["seq"] == 1


def test_a_batch_is_all_or_none(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    with pytest.raises(BadData):
        journal.append(ME, [*drafts(2), {"type": "Bad", "body": {}}])
    assert list(journal.replay()) == []


def test_a_refused_draft_leaves_no_hole_in_seq(shell: Shell) -> None:
    with open_journal(shell.cwd).transaction(ME) as t:
        first = t.add(*drafts(1))
        with pytest.raises(BadData):
            t.add({"type": "Bad", "body": {}})
        second = t.add(*drafts(1))
    assert [first["seq"], second["seq"]] == [1, 2]
    assert t.events == [first, second] == list(open_journal(shell.cwd).replay())


@pytest.mark.parametrize(
    "secret", ["ghp_" + "a1" * 18, "AKIA" + "B" * 16, "-----BEGIN RSA PRIVATE KEY-----"]
)
def test_a_credential_is_refused_unless_allowed(shell: Shell, secret: str) -> None:
    journal = open_journal(shell.cwd)
    draft = {"type": "a.b", "body": {"x": secret}}
    with pytest.raises(Refused) as raised:
        journal.append(ME, [draft])
    assert secret[8:] not in str(raised.value)
    assert journal.append(ME, [draft], allow_secret=True)


def test_a_held_lock_names_its_holder(shell: Shell) -> None:
    code = "import coord_kernel as c\nwith c.find().lock(): print('held', flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout and holder.stdout.readline() == "held\n"
    with (
        pytest.raises(TryAgain, match=f"process {holder.pid};"),
        open_store(shell.cwd).lock(wait_s=0.01),
    ):
        pass
    holder.communicate("")
    with open_store(shell.cwd).lock(wait_s=0.01):
        pass


class Clock:
    """The wall clock as a test wants it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def set(self, ms: int) -> None:
        from coord_envelope import world

        self._monkeypatch.setenv("COORD_NOW", world.format_ts(ms))


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


NOW = 1_800_000_000_000


def test_ids_go_on_when_the_clock_is_set_back_a_little(shell: Shell, wall: Clock) -> None:
    journal = open_journal(shell.cwd)
    wall.set(NOW)
    (before,) = journal.append(ME, drafts(1))
    wall.set(NOW - 60_000)
    (after,) = journal.append(ME, drafts(1))
    assert after.id > before.id
    assert after["writer"] == before["writer"]
    assert ids.stamp_of(after.id) == ids.stamp_of(before.id) + 1


def test_a_clock_that_ran_a_day_ahead_and_was_mended_does_not_hold_ids_back(
    shell: Shell, wall: Clock
) -> None:
    journal = open_journal(shell.cwd)
    wall.set(NOW + DAY)
    (ahead,) = journal.append(ME, drafts(1))
    wall.set(NOW)
    (mended,) = journal.append(ME, drafts(1))
    assert ids.stamp_of(mended.id) >> 16 == NOW
    assert mended["writer"] != ahead["writer"]
    assert journal.append(ME, drafts(1))[0]["writer"] == mended["writer"]


@pytest.mark.parametrize("content", [None, b"", b"garbage", b"\0" * 21])
def test_a_lost_clock_file_is_made_from_the_streams(
    shell: Shell, wall: Clock, content: bytes | None
) -> None:
    journal = open_journal(shell.cwd)
    wall.set(NOW)
    (other,) = journal.append({"agent_id": "agent:other"}, drafts(1))
    path = shell.cwd / ".coord/local/clock"
    path.unlink() if content is None else path.write_bytes(content)
    wall.set(NOW - 1000)
    assert journal.append(ME, drafts(1))[0].id > other.id


def test_a_key_is_written_once_for_ever(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    one = {
        "type": "a.b",
        "body": {"n": 1},
        "idempotency_key": "k",
        "to": ["agent:x"],
        "refs": {"a": "b"},
    }
    first, again = journal.append(ME, [one, one])
    (later,) = open_journal(shell.cwd).append({"agent_id": "agent:other"}, [one])
    assert again.raw == later.raw == first.annotated(dup=True).raw
    assert len(list(journal.replay())) == 1
    (other_type,) = journal.append(ME, [one | {"type": "a.c"}])
    assert "$dup" not in other_type


@pytest.mark.parametrize("change", [{"body": {"n": 2}}, {"to": ["agent:y"]}, {"refs": {}}])
def test_a_key_with_another_content_is_bad_data(shell: Shell, change: dict[str, Any]) -> None:
    journal = open_journal(shell.cwd)
    one = {
        "type": "a.b",
        "body": {"n": 1},
        "idempotency_key": "k",
        "to": ["agent:x"],
        "refs": {"a": "b"},
    }
    journal.append(ME, [one])
    with pytest.raises(BadData, match="'k' was used for another"):
        journal.append(ME, [one | change])


def test_of_times_from_now_the_first_event_with_the_key_decides(shell: Shell) -> None:
    def draft(until: str) -> Json:
        body = {"a": 1, "set": {"until": until}}
        return {"type": "a.b", "idempotency_key": "k", "body": body}

    journal = open_journal(shell.cwd)
    (first,) = journal.append(ME, [draft(world.later(60_000))])
    (again,) = journal.append(ME, [draft(world.Relative("2036-01-17T12:00:00.000Z"))])
    assert again == first.annotated(dup=True)
    with pytest.raises(BadData, match="used for another"):
        journal.append(ME, [draft("2036-01-17T12:00:00.000Z")])
    with pytest.raises(BadData, match="used for another"):
        journal.append(ME, [{**draft(world.later(60_000)), "body": {"a": 1}}])


def test_a_message_that_expires_in_an_hour_is_the_same_when_it_is_repeated(shell: Shell) -> None:
    words = "msg send --to bob --force --key k --expires 1h --subject s --body b"
    first = shell(words, COORD_NOW="2036-01-17T12:00:00Z").one
    assert shell(words, COORD_NOW="2036-01-17T12:10:00Z").one == first | {"$dup": True}


def test_a_transaction_holds_the_lock_from_its_look_ups_to_its_write(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    (first,) = journal.append(ME, [{"type": "a.b", "body": {}, "idempotency_key": "k"}])
    with journal.transaction(ME) as t:
        place = journal.index.refresh().by_key("a.b", "k")
        assert place
        with pytest.raises(TryAgain), open_store(shell.cwd).lock(wait_s=0):
            pass
        t.add({"type": "a.c", "body": {"after": place.event.id}})
    assert t.events[0]["body"] == {"after": first.id}
    with open_store(shell.cwd).lock(wait_s=0):
        pass


def test_an_event_can_name_the_ones_added_before_it(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    with journal.transaction(ME) as t:
        first = t.add({"type": "a.b", "refs": {"self_id": SELF}, "body": {}})
        t.add({"type": "a.c", "base": [first.id], "body": {"to": first.id}})
    stored = list(journal.replay())
    assert stored == t.events
    assert stored[0]["refs"]["self_id"] == stored[1]["body"]["to"] == first.id


def test_an_exception_in_the_block_writes_nothing_and_frees_the_lock(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    with pytest.raises(KeyError), journal.transaction(ME) as t:
        t.add(*drafts(1))
        raise KeyError
    assert list(journal.replay()) == []
    assert journal.append(ME, drafts(1))[0]["seq"] == 1


def test_a_repeated_event_is_marked_and_not_written_again(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    (first,) = journal.append(ME, drafts(1))
    with journal.transaction(ME) as t:
        t.repeat(first)
    assert t.events == [first.annotated(dup=True)]
    assert list(journal.replay()) == [first]


def test_a_new_inode_of_local_is_a_new_replica(shell: Shell, tmp_path: Path) -> None:
    (before,) = open_journal(shell.cwd).append(ME, drafts(1))
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", shell.cwd, copy], check=True)
    (copied,) = open_journal(copy).append(ME, drafts(1))
    (original,) = open_journal(shell.cwd).append(ME, drafts(1))
    assert copied["writer"] != before["writer"] == original["writer"]


def test_a_tail_that_lost_only_its_newline_is_an_event_after_all(shell: Shell) -> None:
    """History: its seq was given again; the newline then made it valid, and the new, acked event was refused."""
    journal = open_journal(shell.cwd)
    first, second = journal.append(ME, drafts(2, idempotency_key="k")[:1] + drafts(1))
    path = segment(shell.cwd)
    path.write_bytes(path.read_bytes()[:-1])
    (third,) = journal.append(ME, drafts(1))
    assert third["seq"] == 3
    assert [e.id for e in journal.replay()] == [first.id, second.id, third.id]
    check_invariants(open_store(shell.cwd))


@pytest.mark.parametrize("copied", [1, 2, 4])
def test_copied_lines_that_fit_each_other_do_not_set_seq_back(shell: Shell, copied: int) -> None:
    """History: two lines that followed each other at the end were taken for the newest."""
    journal = open_journal(shell.cwd)
    journal.append(ME, drafts(5))
    path = segment(shell.cwd)
    path.write_bytes(
        path.read_bytes() + b"\n".join(path.read_bytes().split(b"\n")[:copied]) + b"\n"
    )
    assert journal.append(ME, drafts(1))[0]["seq"] == 6
    assert len(list(journal.replay())) == 6


def test_a_lock_file_deleted_under_its_holder_still_lets_one_in(shell: Shell) -> None:
    """History: whoever waited on the deleted file, and whoever made a new one, both went in."""
    store = open_store(shell.cwd)
    with store.lock(wait_s=0.01):
        (shell.cwd / ".coord/local/lock").unlink()
        with store.lock(wait_s=0.01):
            pass  # a new file is a new lock; the test is that the next one is not let in by the old file
    fd = store._lock_file()
    (shell.cwd / ".coord/local/lock").unlink()
    assert not store._is_lock_file(fd)
    os.close(fd)


def test_a_dup_after_a_failed_fdatasync_is_written_again_before_it_is_vouched_for(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """History: a second fdatasync of the same clean page said nothing, and $dup vouched for a lost line."""
    journal = open_journal(shell.cwd)
    one = {"type": "a.b", "body": {}, "idempotency_key": "k"}

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(disk, "fdatasync", fail)
    with pytest.raises(DiskFault):
        journal.append(ME, [one])
    monkeypatch.undo()
    written = []
    pwrite = os.pwrite

    def record(fd: int, data: bytes, offset: int) -> int:
        written.append(data)
        return pwrite(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", record)
    (again,) = journal.append(ME, [one])
    assert again["$dup"]
    assert next(journal.replay()).raw in written


@pytest.mark.parametrize("content", [b"1" * 5000, b"x" * 500])
def test_an_overlong_clock_file_is_mended_by_the_next_append(shell: Shell, content: bytes) -> None:
    path = shell.cwd / ".coord/local/clock"
    path.write_bytes(content)
    open_journal(shell.cwd).append(ME, drafts(1))
    assert len(path.read_bytes()) == 21


def test_a_pipe_in_place_of_a_small_file_does_not_hang(shell: Shell) -> None:
    path = shell.cwd / ".coord/local/clock"
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    assert shell("ev emit a.b", expect=74).err == (
        "ev: .coord/local/clock: not a regular file; move it away\n"
    )


def test_a_small_file_is_saved_whole_or_not_at_all(shell: Shell) -> None:
    """History: a short write left half a cursor behind, with status 0."""
    shell("ev emit a.b; ev tail --cursor c")
    before = (shell.cwd / ".coord/local/cursors/c.json").read_bytes()
    shell("ev emit a.b --as another-agent-with-a-long-name; ev replay >/dev/null")
    limit = "import resource as r, os, sys; r.setrlimit(r.RLIMIT_FSIZE, (20, 20)); os.execvp('ev', sys.argv[1:])"
    done = shell(f'{sys.executable} -c "{limit}" ev tail --cursor c | cat', expect=74)
    assert len(done.lines) == 1
    assert [p.name for p in (shell.cwd / ".coord/local/cursors").iterdir()] == ["c.json"]
    assert (shell.cwd / ".coord/local/cursors/c.json").read_bytes() == before
