"""The relay's log: a put counts once or not at all, whatever a crash leaves in the file."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from coord_envelope import BadData, Fault
from coord_envelope.errors import DiskFault, Refused, TryAgain
from coord_relay import frames
from coord_relay import log as relay_log
from coord_relay.log import Entry, Log, Put
from coord_relay.projects import Project, Projects

A, B = "aaaaaaaa/agent.a~aaaaaaaa", "bbbbbbbb/agent.b~bbbbbbbb"


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return str(tmp_path / "acme")


def opened(directory: str) -> Log:
    return Log(directory, "github.com/acme/shop")


def filled(directory: str) -> tuple[bytes, list[int]]:
    """The bytes of a log of three writes, of one, two and one entries, and where each ends."""
    log, ends = opened(directory), []
    size = os.path.getsize(log.path)
    for puts in (
        [Put(A, 0, b"one\n")],
        [Put(A, 1, b"two\n"), Put(B, 0, b"three")],
        [Put(B, 3, b"\0four\n" * 9)],
    ):
        assert None not in log.append(puts)
        ends.append(os.path.getsize(log.path))
    log.close()
    return Path(log.path).read_bytes(), [size, *ends]


def test_a_put_counts_only_behind_the_last_one_of_its_subject(directory: str) -> None:
    log = opened(directory)
    puts = [Put(A, 0, b"x"), Put(A, 0, b"y"), Put(B, 0, b"z"), Put(A, 1, b"w"), Put(B, 9, b"v")]
    assert log.append(puts) == [1, None, 2, 3, None]
    assert log.append([Put(A, 3, b"u"), Put(B, 3, b"t")]) == [4, None]
    assert (log.place(A), log.place(B), log.place("arbiter"), log.end) == (4, 2, 0, 4)
    assert [(entry.at, entry.subject, entry.payload) for entry in log.read(1)] == [
        (1, A, b"x"),
        (2, B, b"z"),
        (3, A, b"w"),
        (4, A, b"u"),
    ]
    assert [entry.at for entry in log.read(3, 0)] == [3]
    assert log.read(5) == []


def test_what_was_put_is_there_after_a_restart_and_so_is_its_birth(directory: str) -> None:
    filled(directory)
    log = Log(directory)
    epoch = log.epoch
    assert log.project == "github.com/acme/shop"
    assert [entry.payload for entry in log.read(1)] == [
        b"one\n",
        b"two\n",
        b"three",
        b"\0four\n" * 9,
    ]
    assert (log.place(A), log.place(B)) == (2, 4)
    log.close()
    assert Log(directory).epoch == epoch


def test_two_logs_have_two_epochs(tmp_path: Path) -> None:
    assert Log(str(tmp_path / "a"), "acme").epoch != Log(str(tmp_path / "b"), "acme").epoch


def test_an_end_that_a_crash_left_is_cut_at_every_byte(directory: str) -> None:
    data, ends = filled(directory)
    path = Path(directory) / "log"
    for size in range(ends[0], len(data)):
        path.write_bytes(data[:size])
        log = Log(directory)
        whole = [entry.payload for entry in log.read(1)]
        assert whole == [b"one\n", b"two\n", b"three"][: len(whole)]
        assert len(whole) >= sum(end <= size for end in ends[1:2]) + 2 * (ends[2] <= size)
        assert log.append([Put("arbiter", 0, b"next")]) == [len(whole) + 1]
        log.close()
        log = Log(directory)
        assert [entry.payload for entry in log.read(1)] == [*whole, b"next"]
        log.close()


@pytest.mark.parametrize("left", [b"\0", b"\0" * 5000, b"9 9 9 00000000 1 x\n!\n", b"\xff\n" * 99])
def test_garbage_of_a_crash_is_cut(directory: str, left: bytes) -> None:
    data, _ = filled(directory)
    (Path(directory) / "log").write_bytes(data + left)
    log = Log(directory)
    assert (log.end, os.path.getsize(log.path)) == (4, len(data))


def test_the_last_write_may_lack_its_beginning(directory: str) -> None:
    """Pages reach the disk in any order: the second entry of a write may be there without the first."""
    data, ends = filled(directory)
    begin, end = ends[1:3]
    torn = data[:begin] + b"\0" * 20 + data[begin + 20 : end]
    (Path(directory) / "log").write_bytes(torn)
    assert [entry.payload for entry in Log(directory).read(1)] == [b"one\n"]


@pytest.mark.parametrize("write", [0, 1])
def test_what_was_acknowledged_and_is_damaged_is_not_cut(directory: str, write: int) -> None:
    data, ends = filled(directory)
    path = Path(directory) / "log"
    for at in range(ends[write], ends[write + 1]):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(BadData, match="damaged at byte"):
            Log(directory)
        assert path.stat().st_size == len(data)


def test_a_payload_cannot_pass_for_an_entry(directory: str) -> None:
    data, _ = filled(directory)
    hostile = data.partition(b"\n")[2].replace(b"\n4 4 ", b"\n9 9 ")
    log = opened(directory)
    log.append([Put("arbiter", 0, hostile)])
    log.close()
    path = Path(directory) / "log"
    path.write_bytes(path.read_bytes()[:-1])
    log = Log(directory)
    assert log.end == 4


@pytest.mark.parametrize("header", [b"", b"coord-relay 2 x\n", b"\0" * 100])
def test_a_file_that_is_no_log_is_left_alone(directory: str, header: bytes) -> None:
    os.makedirs(directory)
    (Path(directory) / "log").write_bytes(header)
    with pytest.raises(BadData, match="not the log of a relay"):
        opened(directory)
    assert (Path(directory) / "log").read_bytes() == header


def test_one_relay_has_it(directory: str) -> None:
    log = opened(directory)
    with pytest.raises(TryAgain):
        Log(directory)
    log.close()
    assert Log(directory).end == 0


def test_a_failed_write_appends_nothing_and_the_next_one_succeeds(
    directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened(directory)
    size = os.path.getsize(log.path)

    def full(fd: int, data: bytes) -> None:
        os.write(fd, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(relay_log, "write_all", full)
        with pytest.raises(DiskFault, match="make room"):
            log.append([Put(A, 0, b"x" * 100)])
    assert (log.end, log.place(A), os.path.getsize(log.path)) == (0, 0, size)
    assert log.append([Put(A, 0, b"y")]) == [1]


def test_after_a_failed_fdatasync_nothing_is_written(
    directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened(directory)

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(relay_log, "fdatasync", fail)
        with pytest.raises(DiskFault):
            log.append([Put(A, 0, b"x")])
    with pytest.raises(Fault, match="start the relay again"):
        log.append([Put(A, 0, b"y")])
    assert log.read(1) == []


STEPS = ("os.lseek", "write_all", "write_all:half", "fdatasync", "after")
KILLED = """
import os, signal, sys
from coord_relay import log as relay_log
step, directory = sys.argv[1:]
name, _, how = step.partition(":")
log = relay_log.Log(directory, "acme")
for n in range(3):
    print(log.append([relay_log.Put("s", n, b"%d" % n)])[0], flush=True)
def die(*args):
    if how == "half":
        os.write(args[0], args[1][: len(args[1]) // 2])
    os.kill(os.getpid(), signal.SIGKILL)
if name == "os.lseek":
    relay_log.os.lseek = die
elif name != "after":
    setattr(relay_log, name, die)
print(log.append([relay_log.Put("s", 3, b"3")])[0], flush=True)
die()
"""


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_every_step_of_an_append_loses_nothing_acknowledged(
    directory: str, step: str
) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, step, directory], capture_output=True)
    assert ended.returncode == -9, ended.stderr
    acknowledged = [int(line) for line in ended.stdout.split()]
    log = Log(directory)
    assert [entry.payload for entry in log.read(1)] == [b"%d" % n for n in range(log.end)]
    assert log.end >= len(acknowledged) == (4 if step == "after" else 3)
    # Whoever got no answer puts again behind what it knows: the entry is there once.
    was_there = log.end == 4
    assert log.append([Put("s", 3, b"3")]) == [None if was_there else 4]
    assert [entry.payload for entry in log.read(1)] == [b"0", b"1", b"2", b"3"]


class Slow(Log):
    """A log whose first write waits until others wait for it."""

    def __init__(self, directory: str) -> None:
        super().__init__(directory, "acme")
        self.go, self.writes = threading.Event(), list[int]()

    def append(self, puts: Sequence[Put]) -> list[int | None]:
        self.writes.append(len(puts))
        assert self.go.wait(60)
        return super().append(puts)


def test_what_arrives_during_a_write_is_the_next_write(directory: str) -> None:
    async def run() -> None:
        log = Slow(directory)
        project = Project(log)
        puts = [
            asyncio.create_task(project.put(Put(f"{n:08}/blobs", 0, b"x" * n))) for n in range(50)
        ]
        while not log.writes:
            await asyncio.sleep(0)
        late = [asyncio.create_task(project.put(Put("arbiter", 0, b"y"))) for _ in range(2)]
        gone = asyncio.create_task(project.put(Put("00000099/blobs", 0, b"z")))
        await asyncio.sleep(0)
        gone.cancel()  # what was sent is decided, also if whoever sent it is gone
        log.go.set()
        assert sorted(await asyncio.gather(*puts)) == list(range(1, 51))  # type: ignore[type-var]
        assert await asyncio.gather(*late) == [51, None]
        assert await project.changed(0) == (52, 0)
        await project.close()
        assert sum(log.writes) == 53
        assert len(log.writes) == 2

    asyncio.run(run())


def test_a_failed_write_is_the_answer_of_all_that_were_in_it(
    directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(relay_log, "fdatasync", fail)

    async def run() -> None:
        projects = Projects(directory)
        project = await projects.open("acme", "acme")
        puts = (project.put(Put(f"{n:08}/blobs", 0, b"x")) for n in range(3))
        answers = await asyncio.gather(*puts, return_exceptions=True)
        assert [type(answer) for answer in answers] == [DiskFault] * 3
        assert projects.broken == ["acme"]

    asyncio.run(run())


def test_what_is_told_is_bounded_replaced_and_forgotten(
    directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = 0.0
    monkeypatch.setattr("coord_relay.projects.time.monotonic", lambda: seconds)

    async def run() -> None:
        nonlocal seconds
        project = Project(Log(directory, "acme"))
        for replica in ("aaaaaaaa", "bbbbbbbb", "aaaaaaaa"):
            project.tell(replica, b"x" * (10 << 20))
        with pytest.raises(Refused, match="no room"):
            project.tell("cccccccc", b"x" * (20 << 20))
        seconds = 299.0
        project.tell("bbbbbbbb", b"again")
        assert [entry.subject for entry in project.told()] == ["aaaaaaaa", "bbbbbbbb"]
        seconds = 301.0
        assert [entry.subject for entry in project.told()] == ["bbbbbbbb"]
        project.tell("bbbbbbbb", b"")
        assert project.told() == []
        assert await project.changed(0, 0) == (0, 5)
        await project.close()

    asyncio.run(run())


@pytest.mark.parametrize("size", [0, 1, frames.PART - 1, frames.PART, frames.PART + 1, 200_000])
def test_an_answer_is_whole_whatever_its_frames(size: int) -> None:
    body = os.urandom(size)
    head, _ = frames.page([Entry(1, "arbiter", 5, body)], 1)
    sent = list(frames.answer(head, body))
    assert max(len(frame) for frame in sent) < frames.PART + 200
    received = iter(sent)
    assert frames.answered(lambda: next(received)) == (head, body)
    assert not [*received]


ENTRY = {"entries": [[1, "arbiter", 5, 10]], "end": 1}
HOSTILE = [
    [frames.pack(ENTRY, b"short"), ""],
    [frames.pack(ENTRY, b"short"), "text"],
    [frames.pack(ENTRY, b"more than ten bytes")],
    [frames.pack(ENTRY, b"short"), b"more than five"],
    [frames.pack({"entries": [[1, "arbiter", 5, 1e999]], "end": 1})],
    [frames.pack({"entries": [[1, "arbiter", 5, -1], [2, "arbiter", 5, 1]], "end": 1})],
    [frames.pack({"entries": [[1, "arbiter", 5, 1 << 60]], "end": 1}), *[b"x" * 100] * 5],
    [frames.pack({"entries": 5})],
]


@pytest.mark.parametrize("sent", HOSTILE)
def test_an_answer_of_other_bytes_than_it_says_is_none(sent: list[bytes | str]) -> None:
    received = iter(sent)
    with pytest.raises(ValueError):
        frames.answered(lambda: next(received))


def test_an_answer_whose_payloads_follow_is_read() -> None:
    """As a relay sends it that is older than this client."""
    received = iter([frames.pack(ENTRY), b"0123456789"])
    assert frames.answered(lambda: next(received)) == (ENTRY, b"0123456789")
