"""Running a program, with posix_spawn and where that or its setsid is missing."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from coord_kernel.proc import spawn

Run = Callable[..., tuple[int, bytes, bytes]]


def refuse(*_: Any, **__: Any) -> NoReturn:
    raise NotImplementedError("posix_spawnp: setsid unavailable on this platform")


@pytest.fixture(params=["posix_spawn", "no posix_spawn", "no setsid"])
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Run:
    if request.param == "no posix_spawn":
        monkeypatch.delattr(os, "posix_spawnp")
        monkeypatch.delattr(os, "POSIX_SPAWN_DUP2")
    elif request.param == "no setsid":
        monkeypatch.setattr(os, "posix_spawnp", refuse)

    def started(
        script: str, stdin: bytes = b"", seconds: float = 60, asks: bool = False
    ) -> tuple[int, bytes, bytes]:
        gc.collect()  # what other tests left is closed now, not while this one counts
        before = set(os.listdir("/proc/self/fd"))
        try:
            return spawn.run(["sh", "-c", script], dict(os.environ), stdin, seconds, asks)
        finally:
            assert set(os.listdir("/proc/self/fd")) <= before

    return started


def test_its_status_and_both_outputs_are_returned(run: Run) -> None:
    assert run("echo out; echo err >&2; exit 3") == (3, b"out\n", b"err\n")
    assert run("kill -9 $$")[0] == -signal.SIGKILL


def test_much_input_and_output_do_not_block_each_other(run: Run) -> None:
    data = bytes(3_000_000)
    assert run("tee /dev/stderr", data) == (0, data, data)


def test_a_program_that_ends_without_reading_does_not_end_us(run: Run) -> None:
    handler = signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as in every tool
    try:
        assert run("exec 0<&-; exit 3", bytes(1_000_000)) == (3, b"", b"")
        assert signal.getsignal(signal.SIGPIPE) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGPIPE, handler)


def test_it_has_a_session_of_its_own_and_default_signals(run: Run) -> None:
    script = "import os, signal; print(os.getsid(0) == os.getpid())"
    assert run(f"exec {sys.executable} -c '{script}'")[1] == b"True\n"
    # Python ignores SIGPIPE in this process: a shell that inherited that could not undo it.
    assert run("kill -PIPE $$; echo ignored") == (-signal.SIGPIPE, b"", b"")


def test_one_that_may_ask_stays_in_this_session_and_only_it_is_killed(run: Run) -> None:
    script = f"import os; print(os.getsid(0) == {os.getsid(0)}, os.getpgid(0) == {os.getpgid(0)})"
    assert run(f"exec {sys.executable} -c '{script}'", asks=True)[1] == b"True True\n"
    with pytest.raises(TimeoutError):
        run("exec sleep 600", seconds=0.05, asks=True)
    assert run("cat; echo no >&2; exit 2", b"text", asks=True)[:2] == (2, b"text")


def test_when_the_time_is_up_its_whole_group_is_killed(run: Run, tmp_path: Path) -> None:
    fifo = tmp_path / "held"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(TimeoutError):
            run(f"exec 9>{fifo}; sleep 600 & sleep 600", seconds=0.3)
        os.set_blocking(reader, True)
        assert os.read(reader, 1) == b""  # the end: nobody holds it open
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
    finally:
        os.close(reader)


@pytest.mark.parametrize("way", ["posix_spawn", "no posix_spawn"])
def test_a_missing_program_is_an_error(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    if way == "no posix_spawn":
        monkeypatch.delattr(os, "posix_spawnp")
    with pytest.raises(FileNotFoundError):
        spawn.run(["/nonexistent/program"], {}, b"", 60)


@pytest.mark.parametrize("pidfd", [True, False])
def test_a_process_that_keeps_the_pipes_open_is_not_waited_for(
    run: Run, monkeypatch: pytest.MonkeyPatch, pidfd: bool
) -> None:
    if not pidfd:
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    status, out, err = run("echo out; yes >&2 & echo $!; exit 3")
    text, pid = out.split()
    os.kill(int(pid), signal.SIGKILL)
    assert (status, text, len(err) <= 1 << 22) == (3, b"out", True)
    status, out, err = run("sleep 1000 & echo $! >&2")
    os.kill(int(err), signal.SIGKILL)
    assert (status, out) == (0, b"")


def test_what_a_child_writes_is_read_until_it_has_ended() -> None:
    import subprocess

    argv = ["sh", "-c", "echo $$; sleep 1000 & echo $!; exit 3"]
    child = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert child.stdout
    with child:
        data = b"".join(spawn.chunks(child.pid, child.stdout.fileno()))
    ours, left = data.split()
    os.kill(int(left), signal.SIGKILL)
    assert (int(ours), child.returncode) == (child.pid, 3)
