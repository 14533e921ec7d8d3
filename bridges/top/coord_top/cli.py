"""The command of coord-top."""

from __future__ import annotations

import os
import sys

from coord_envelope import Usage
from coord_kernel.cli import process
from coord_kernel.cli.extra import extra

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.cli.call import Call
    from coord_top import options as o


def watch(
    call: Call, dirs: o.Dirs = None, at: o.At = None, read_only: o.ReadOnly = False
) -> int | None:
    """Show who needs you, who works, and what happens.

    Everything of one store, or of several at once, as it is now or was at TIME. Press ? for the
    keys. Acts as --as or COORD_AGENT, and without these as human:USER; an act is run by its tool.
    """
    if not (os.isatty(0) and os.isatty(2)):
        raise Usage("needs a terminal", todo="`coord status` prints what there is")
    if os.environ.get("TERM") == "dumb":
        raise Usage("the terminal is dumb", todo="set TERM, or use `coord status`")
    with extra("top", "textual", "rich"):
        from coord_top import session  # 0.4 s
    return session.run(call, dirs or [], at, read_only)


COMMANDS = (watch,)
ABOUT = "The whole shop on a terminal: who needs you, who works, what landed."


def main() -> None:
    # There is one command: `coord-top DIR` is `coord-top watch DIR`.
    if sys.argv[1:2] != ["watch"] and sys.argv[1:] != ["--version"]:
        sys.argv.insert(1, "watch")
    process.run("coord-top", ABOUT, COMMANDS, "coord_top.options", {})
