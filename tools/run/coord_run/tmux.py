"""`python -m coord_run.tmux LABEL ARGV…`: run a command in tmux, and pass on output and status.

tmux's own pipe takes only output that comes after it was opened, and may lose the last when tmux
ends. So the command waits at a gate until the pipe is there, and a mark behind its output shows
that all came through.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile

from coord_envelope import world
from coord_kernel.store.disk import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

PANE = """
read -r go <"$1"; mark=$2; shift 2
trap : HUP INT QUIT TERM
"$@"
printf '\\033]%s;%d\\007' "$mark" $?
read -r go <"$0"
"""
SIZE = ("-x", "200", "-y", "50")


def main(label: str, argv: Sequence[str]) -> int:
    """The command's status."""
    mark = world.entropy(16).hex()
    with tempfile.TemporaryDirectory(prefix="coord-") as directory:
        gate, out, end = (os.path.join(directory, name) for name in ("gate", "out", "end"))
        for path in (gate, out, end):
            os.mkfifo(path, 0o600)
        shell = ("sh", "-c", PANE, end, gate, mark, *argv)
        _tmux(label, "new-session", "-d", "-s", "job", *SIZE, "--", *shell)
        pane = int(_tmux(label, "display-message", "-p", "-t", "job", "#{pane_pid}"))

        def passed_on(number: int, _: object) -> None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pane, number)

        signal.signal(signal.SIGTERM, passed_on)
        _tmux(label, "pipe-pane", "-t", "job", f"exec cat >'{out}'")
        reader = os.open(out, os.O_RDONLY)  # waits for that cat: otherwise it reads end of file
        with open(gate, "w") as opened:  # waits for the shell that reads it
            opened.write("go\n")
        try:
            return _copied(reader, f"\033]{mark};".encode())
        finally:
            subprocess.run(
                ["tmux", "-L", label, "kill-server"], stderr=subprocess.DEVNULL, check=False
            )


def _tmux(label: str, *words: str) -> str:
    done = subprocess.run(
        ["tmux", "-L", label, "-f", os.devnull, *words], check=True, stdout=subprocess.PIPE
    )
    return done.stdout.decode()


def _copied(reader: int, mark: bytes) -> int:
    """Copy all up to the mark; the status in it, or that of SIGHUP if the terminal was closed."""
    held = b""
    while chunk := os.read(reader, 1 << 16):
        before, marked, after = (held + chunk).partition(mark)
        if marked:
            while b"\a" not in after and (more := os.read(reader, 64)):
                after += more
            write_all(1, before)
            return int(after.partition(b"\a")[0]) if b"\a" in after else 128 + signal.SIGHUP
        lengths = range(min(len(mark) - 1, len(before)), 0, -1)
        keep = next((n for n in lengths if mark.startswith(before[-n:])), 0)
        write_all(1, before[: len(before) - keep])
        held = before[len(before) - keep :]
    write_all(1, held)
    return 128 + signal.SIGHUP


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
