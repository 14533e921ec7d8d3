"""Stand-ins for coding agents: programs on PATH, and the user's file that says how they are run."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Mapping
from pathlib import Path

from support import Shell

from coord_kernel.streams.follow import Watcher

PATIENCE_S = 60


def install(shell: Shell, place: Path, presets: str, programs: Mapping[str, str]) -> None:
    """Put programs on the PATH, a text each with its interpreter, and the presets where they are read."""
    bin_, conf = place / "bin", place / "conf"
    bin_.mkdir()
    (conf / "coord").mkdir(parents=True)
    (conf / "coord/presets.toml").write_text(presets)
    for name, text in programs.items():
        (bin_ / name).write_text(text)
        (bin_ / name).chmod(0o755)
    shell.env |= {
        "PATH": f"{bin_}:{shell.env['PATH']}",
        "XDG_CONFIG_HOME": str(conf),
        "SEEN": str(place / "seen"),
    }


def seen(shell: Shell) -> str:
    """What the programs were given, as they note it in $SEEN."""
    path = Path(shell.env["SEEN"])
    return path.read_text() if path.exists() else ""


def until_seen(shell: Shell, text: str) -> str:
    """What they were given, when that text is among it."""
    watcher = Watcher(str(Path(shell.env["SEEN"]).parent))
    watcher.watch([""])
    assert watcher.fd is not None
    poll = select.poll()
    poll.register(watcher.fd, select.POLLIN)
    end = time.monotonic() + PATIENCE_S
    while text not in (noted := seen(shell)):
        assert poll.poll(max(0, (end - time.monotonic()) * 1000)), f"{text!r} is not in {noted!r}"
        watcher.drain()
    return noted


def until_gone(process: int) -> None:
    """Wait until a process has ended, whoever started it."""
    try:
        fd = os.pidfd_open(process)
    except ProcessLookupError:
        return
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        assert poll.poll(PATIENCE_S * 1000), f"{process} does not end"
    finally:
        os.close(fd)
