"""The commands of coord-lsp: an editor starts it; a person asks for the settings once."""

from __future__ import annotations

import os
import sys

from coord_envelope import Usage
from coord_kernel.cli import process, values
from coord_kernel.cli.extra import extra
from coord_kernel.store.disk import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.cli.call import Call
    from coord_lsp import options as o


def serve(call: Call) -> None:
    """Serve the editor that started this program.

    On standard input and output, as editors start language servers. Acts as --as or COORD_AGENT,
    and without these as human:USER. What another holds is a warning at the top of the file.
    """
    with extra("lsp", "pygls", "lsprotocol"):
        from coord_lsp.features import answer  # half a second
        from coord_lsp.server import Server
    server = Server(values.agent_id(_agent(call), "--as"))
    answer(server)
    # Copies, for it closes what it is given.
    server.start_io(os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb"))


def _agent(call: Call) -> str:
    from getpass import getuser

    return call.chosen or os.environ.get("COORD_AGENT") or f"human:{getuser().lower()}"


def config(call: Call, editor: o.Editor) -> None:
    """Print the settings that an editor needs."""
    from coord_lsp.config import EDITORS

    if editor not in EDITORS:
        raise Usage(f"unknown editor: {editor}", todo=f"use {', '.join(sorted(EDITORS))}")
    write_all(1, EDITORS[editor].encode())


COMMANDS = (serve, config)
ABOUT = "A language server: who holds a file, and what wk-… means."


def main() -> None:
    if len(sys.argv) == 1 and not os.isatty(0):
        sys.argv.append("serve")  # as editors start a server
    process.run("coord-lsp", ABOUT, COMMANDS, "coord_lsp.options", {})
