"""A real pseudo-terminal, and what a person sees on it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Sequence
from pathlib import Path

import pyte
from support import Shell

LINES = 60
WIDTHS = (80, 120)
SCREENS = Path(__file__).parent / "screens"
COLOUR = re.compile(rb"\x1b\[[0-9;]*m")


class Terminal:
    """A terminal of so many columns, in which a shell's commands run."""

    def __init__(self, shell: Shell, columns: int) -> None:
        self.shell, self.columns, self.status = shell, columns, 0
        self.printed = b""
        """The bytes of the last command."""

    def run(self, argv: Sequence[str], typed: bytes = b"", **env: str) -> list[str]:
        """The lines on the screen after a command, to which `typed` is typed."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, self.columns, 0, 0))
        kept = {name: text for name, text in self.shell.env.items() if name != "COLUMNS"}
        process = subprocess.Popen(
            argv,
            cwd=self.shell.cwd,
            env={**kept, "TERM": "xterm", "PAGER": "cat", **env},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        os.write(ours, typed)
        self.printed = _read(ours)
        os.close(ours)
        self.status = process.wait()
        screen = pyte.Screen(self.columns, LINES)
        pyte.ByteStream(screen).feed(self.printed)
        return "\n".join(line.rstrip() for line in screen.display).rstrip().split("\n")

    @property
    def steering(self) -> bytes:
        """What the last command printed that a terminal would obey, colours and line ends aside."""
        rest = COLOUR.sub(b"", self.printed).replace(b"\r\n", b"\n")
        return b"".join(re.findall(rb"[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]", rest))


def _read(fd: int) -> bytes:
    data = b""
    while True:
        try:
            chunk = os.read(fd, 1 << 16)
        except OSError:  # Linux: every process has closed the other side
            return data
        if not chunk:
            return data
        data += chunk


def masked(lines: Sequence[str]) -> str:
    """Random ids as dots of the same width."""
    text = "\n".join(lines) + "\n"
    text = re.sub(r"\b(wk|ls|run|msg)-[0-9a-z]{8}\b", r"\1-........", text)
    return re.sub(r"\b[0-9A-HJKMNP-TV-Z]{26}\b", "." * 26, text)


def compare(name: str, text: str) -> None:
    """With the golden file; COORD_SCREENS=write writes it."""
    file = SCREENS / f"{name}.txt"
    if os.environ.get("COORD_SCREENS") == "write":
        file.write_text(text)
    assert text == file.read_text(), name
