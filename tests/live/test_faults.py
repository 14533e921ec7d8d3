"""Every engine over a line that breaks anywhere: what was answered is there once, and no call hangs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from live.engines import SERVERS, Server, connected, serving
from live.proxy import Proxy
from live.test_kill import Writer
from support import Shell

from coord_envelope.errors import Unreachable
from coord_kernel.sync.live.log import Moved, Place

SEED = 20


@pytest.fixture(params=[name for name in SERVERS if name != "fake"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    with serving(request.param, tmp_path / "server") as started:
        yield started


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    proxy = Proxy(server, SEED)
    yield proxy
    proxy.close()


def test_over_a_line_that_is_cut_nothing_is_lost_or_twice(server: Server, proxy: Proxy) -> None:
    proxy.cuts = (1, 20_000)
    done = threading.Event()
    writer = Writer(proxy.url, "00000000", done)
    while proxy.broken < 30 and writer.is_alive():
        done.wait(0.01)
    done.set()
    writer.join()
    assert not writer.failure
    proxy.cuts = None
    log = connected(server.url)
    log.open()
    held = [entry.payload for entry in log.read("")]
    log.close()
    assert held[: len(writer.answered)] == writer.answered
    assert len(held) == len(set(held)) <= len(writer.answered) + 1


def test_a_reader_begins_again_where_the_line_was_cut(server: Server, proxy: Proxy) -> None:
    direct, place = connected(server.url), ""
    direct.open()
    for n in range(40):
        place = direct.put("arbiter", place, b"%d" % n * 500)
    expected = [entry.at for entry in direct.read("")]
    direct.close()
    proxy.cuts = (5_000, 40_000)
    log, read = connected(proxy.url), list[str]()
    for _ in range(200):
        try:
            log.open()
            for entry in log.read(read[-1] if read else ""):
                if entry.at not in read[-1:]:
                    read.append(entry.at)
            break
        except Unreachable:
            continue
    log.close()
    assert read == expected


def test_on_a_dead_line_a_call_ends_and_the_next_one_connects_again(
    server: Server, proxy: Proxy
) -> None:
    log = connected(proxy.url)
    log.open()
    place = log.put("arbiter", "", b"first")
    proxy.dead = True
    with pytest.raises(Unreachable):
        log.put("arbiter", place, b"second")
    with pytest.raises(Unreachable):
        log.open()
    proxy.dead = False
    log.open()
    try:
        log.put("arbiter", place, b"second")
    except Moved:  # it had been on its way
        last = log.last("arbiter")
        assert last
        assert last.payload == b"second"
    assert [entry.payload for entry in log.read("")] == [b"first", b"second"]
    log.close()


def test_a_connection_that_is_gone_ends_no_process_and_a_reader_that_is_gone_does(
    server: Server, tmp_path: Path
) -> None:
    """Tools die of SIGPIPE, so that `ev sync | head` ends; what is written to a server must not."""
    place = Place(server.url, "acme", "acme")
    script = f"""if True:
        import os, signal
        from coord_kernel.cli.process import end
        from coord_kernel.store.disk import write_all
        from coord_kernel.sync.live.log import Place
        from coord_kernel.sync.live.places import connect
        def run():
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            connect(Place({place.url!r}, "acme", "acme"))
            reader, writer = os.pipe()
            os.close(reader)
            try:
                os.write(writer, b"x")
            except BrokenPipeError:
                os.write(2, b"is alive")
            write_all(1, b"x")
        end("ev", run)
    """
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run([sys.executable, "-c", script], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (ended.stderr, ended.returncode) == (b"is alive", -signal.SIGPIPE)


def test_a_mirror_that_was_killed_ends_no_command(shell: Shell) -> None:
    script = """if True:
        import os
        from coord_kernel.cli.process import end
        from coord_kernel.store.locate import find
        from coord_kernel.sync.bus import connected
        def run():
            with connected(find()) as mirror:
                os.write(1, b"connected")
                os.read(0, 1)
                mirror.ask({})
        end("wk", run)
    """
    with socket.socket(socket.AF_UNIX) as mirror:
        mirror.bind(str(shell.cwd / ".coord/local/bus.sock"))
        mirror.listen()
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen([sys.executable, "-c", script], cwd=shell.cwd, **pipes) as command:  # type: ignore[call-overload]
            assert command.stdout.read(9) == b"connected"
            mirror.accept()[0].close()
            _, err = command.communicate(b"x")
    assert err.startswith(b"wk: ev sync --watch: the mirror does not answer")
    assert command.returncode == Unreachable.status
