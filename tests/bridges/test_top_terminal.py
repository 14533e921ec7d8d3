"""coord-top at real terminals: tmux at two sizes, and how it begins and ends."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import acme
import pyte
import pytest
from support import BIN

if not importlib.util.find_spec("textual"):
    pytest.skip("textual is not installed", allow_module_level=True)

SECONDS = 60


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> acme.Acme:
    return acme.told(tmp_path_factory.mktemp("story"))


def environment(**more: str) -> dict[str, str]:
    unset = ("COORD_AGENT", "COORD_DIR", "NO_COLOR", "PYTHONDONTWRITEBYTECODE", "TMUX")
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    here = {"COORD_NOW": acme.NOW, "TZ": "UTC", "TERM": "xterm-256color", **more}
    return {**kept, "PATH": f"{BIN}:{os.environ['PATH']}", "COORD_AGENT": "human:kim", **here}


class Terminal:
    """A terminal in which a coord-top runs."""

    def __init__(self, cwd: Path, *argv: str, term: str = "xterm-256color") -> None:
        size = (80, 24)
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.before, self.name = termios.tcgetattr(theirs), os.ttyname(theirs)
        self.process = subprocess.Popen(
            ["coord-top", *argv], cwd=cwd, env=environment(TERM=term), executable=f"{BIN}/coord-top",
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        self._theirs, self.printed = theirs, b""
        self._screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def screen(self) -> str:
        return "\n".join(line.rstrip() for line in self._screen.display)

    def read(self) -> bool:
        """Take in what was printed; False if nothing comes in time."""
        if not select.select([self.ours], [], [], SECONDS)[0]:
            return False
        data = os.read(self.ours, 1 << 16)
        self.printed += data
        self._stream.feed(data)
        return bool(data)

    def until(self, what: Callable[[], object]) -> None:
        end = time.monotonic() + SECONDS
        while not what():
            assert time.monotonic() < end and self.read(), self.screen

    def sees(self, text: str) -> None:
        self.until(lambda: text in self.screen)

    def press(self, text: str) -> None:
        os.write(self.ours, text.encode())

    def ended(self) -> int:
        """The exit status; what was printed last is read."""
        descriptor = os.pidfd_open(self.process.pid)
        try:
            while not select.select([descriptor], [], [], 0)[0]:
                if self.ours in select.select([descriptor, self.ours], [], [], SECONDS)[0]:
                    self.read()
        finally:
            os.close(descriptor)
        while select.select([self.ours], [], [], 0)[0] and self.read():
            pass
        return self.process.wait()

    def is_as_before(self) -> bool:
        """Is the terminal what it was: its settings, its cursor, its screen?"""
        last = {
            mode: self.printed.rfind(mode)
            for mode in (
                b"\x1b[?1049h",
                b"\x1b[?1049l",
                b"\x1b[?25l",
                b"\x1b[?25h",
                b"\x1b[?1003h",
                b"\x1b[?1003l",
            )
        }
        given_back = all(
            last[on] < last[off]
            for on, off in (
                (b"\x1b[?1049h", b"\x1b[?1049l"),
                (b"\x1b[?25l", b"\x1b[?25h"),
                (b"\x1b[?1003h", b"\x1b[?1003l"),
            )
        )
        return given_back and termios.tcgetattr(self._theirs) == self.before

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for descriptor in (self.ours, self._theirs):
            if descriptor >= 0:
                os.close(descriptor)

    def hang_up(self) -> None:
        """Close the terminal."""
        for descriptor in (self._theirs, self.ours):
            os.close(descriptor)
        self.ours = self._theirs = -1


@pytest.mark.parametrize(
    ("end", "status"),
    [("\x03", 0), ("q", 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)],
)
def test_the_terminal_is_as_before_however_it_ends(
    made: acme.Acme, end: str | signal.Signals, status: int
) -> None:
    with Terminal(made.root) as terminal:
        terminal.sees("Should 1e400")
        if isinstance(end, str):
            terminal.press(end)
        else:
            terminal.process.send_signal(end)
        assert terminal.ended() == status
        assert terminal.is_as_before()
        assert b"Traceback" not in terminal.printed


def test_it_ends_when_the_terminal_is_closed(made: acme.Acme) -> None:
    with Terminal(made.root) as terminal:
        terminal.sees("Should 1e400")
        terminal.hang_up()
        assert terminal.process.wait(timeout=SECONDS) in (129, -signal.SIGHUP)


@pytest.mark.parametrize(
    ("argv", "term", "status", "said"),
    [
        ((), "xterm", 69, "no store here; make one with `ev init`"),
        (("/nowhere",), "xterm", 69, "coord-top: /nowhere: no such directory"),
        (("--at", "soon"), "xterm", 2, "not a valid time"),
        (("--at", "2999-01-01"), "xterm", 2, "is in the future"),
        ((), "dumb", 2, "the terminal is dumb"),
    ],
)
def test_what_cannot_be_shown_is_one_line(
    tmp_path: Path, made: acme.Acme, argv: tuple[str, ...], term: str, status: int, said: str
) -> None:
    terminal = Terminal(tmp_path if not argv else made.root, *argv, term=term)
    with terminal:
        assert terminal.ended() == status
    line = terminal.printed.decode()
    assert line.count("\n") == 1 and line.startswith("coord-top: ")
    assert said in line


def test_a_store_with_damage_is_shown(tmp_path: Path) -> None:
    story = acme.Acme(tmp_path)
    story.item("08:00", "one", "The first")
    story("08:01", "kim", "wk ls")  # makes the view
    for file in (story.root / ".coord/journal").glob("*/*.jsonl"):
        with open(file, "ab") as journal:
            journal.write(b"garbage\n{\n\xff\xfe\n")
    for view in (story.root / ".coord/local").glob("*.sqlite"):
        view.write_bytes(b"not a database" * 100)
    with Terminal(story.root) as terminal:
        terminal.press("3")
        terminal.sees("The first")
        terminal.press("q")
        assert terminal.ended() == 0


# ---- tmux


class Tmux:
    """A tmux of its own with one pane. What is printed there is read from a pipe, so nothing polls."""

    def __init__(self, directory: Path, size: tuple[int, int], cwd: Path) -> None:
        self._socket, self._pipe = str(directory / "tmux"), str(directory / "pipe")
        os.mkfifo(self._pipe)
        self._fd = os.open(self._pipe, os.O_RDWR | os.O_NONBLOCK)
        columns, lines = map(str, size)
        pane = ("new-session", "-d", "-x", columns, "-y", lines, "-c", str(cwd))
        self("-f", "/dev/null", *pane, "cat")
        # The shell prints the status: tmux 3.3a can miss that a pane's process has ended.
        self("respawn-pane", "-k", "-c", str(cwd), "coord-top; echo ended with $?; exec cat")
        self("pipe-pane", "-O", f"cat > {self._pipe}")  # what came before is on the screen

    def __call__(self, *argv: str) -> str:
        command = ["tmux", "-S", self._socket, *argv]
        env = environment(TERM="screen-256color")
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout

    @property
    def screen(self) -> list[str]:
        return self("capture-pane", "-p").split("\n")[:-1]

    def sees(self, text: str) -> list[str]:
        """The lines of the pane, once it shows a text."""
        end = time.monotonic() + SECONDS
        while text not in "\n".join(lines := self.screen):
            assert time.monotonic() < end, "\n".join(lines)
            # tmux may draw later than it pipes.
            if select.select([self._fd], [], [], 0.5)[0]:
                os.read(self._fd, 1 << 16)
        return lines

    def close(self) -> None:
        self("kill-server")
        os.close(self._fd)


@pytest.fixture(params=[(80, 24), (160, 50)], ids=["80x24", "160x50"])
def tmux(
    request: pytest.FixtureRequest, made: acme.Acme, tmp_path: Path
) -> Iterator[tuple[Tmux, tuple[int, int]]]:
    if not shutil.which("tmux"):
        pytest.skip("tmux is not installed")
    session = Tmux(tmp_path, request.param, made.root)
    yield session, request.param
    session.close()


def test_a_session_in_tmux(made: acme.Acme, tmux: tuple[Tmux, tuple[int, int]]) -> None:
    session, (columns, height) = tmux
    lines = session.sees("Should 1e400")
    assert len(lines) == height and max(map(len, lines)) <= columns
    assert lines[0].startswith(" acme · ") and lines[0].endswith("● live")
    assert "Needs you" in lines[1 if height == 50 else 2]
    session("send-keys", "3")
    shown = "\n".join(session.sees("ACTIVE 3"))
    names = (
        ("Work", "Events")
        if height == 24
        else ("Agents", "Work", "Leases", "Jobs", "Mail", "Events")
    )
    assert all(f"{name}" in shown for name in names)
    session("send-keys", "[")
    session.sees("◀ Mon 30 Nov 08:39:00")
    session("send-keys", "n", "?")
    session.sees("claim this work item")
    session("send-keys", "Escape")  # with a key behind it, it would be Alt and that key
    session.sees("ACTIVE 3")
    session("send-keys", "p")
    session.sees("Problems")
    session("send-keys", "q")
    session.sees("ended with 0")
