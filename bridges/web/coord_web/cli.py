"""The command of coord-web."""

from __future__ import annotations

import os
import sys

from coord_envelope import Unreachable
from coord_kernel.cli import process, values
from coord_kernel.cli.extra import extra
from coord_web import groups as g

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.cli.call import Call
    from coord_kernel.store.directory import Store
    from coord_web import options as o


def serve(
    call: Call, listen: g.Listen, directories: o.Directories = None, read_only: o.ReadOnly = False
) -> None:
    """Show stores in a browser, now and at any moment.

    Prints its URL when it is ready, with a token at a terminal, else with the file that has it:
    whoever has that may read, and act as you, or as --as. Without DIR it is the store of this
    directory. SIGTERM ends it.
    """
    values.pair(listen.cert, listen.key)  # before the server is loaded
    with extra("web", "uvicorn", "starlette", "sse_starlette", "jinja2"):
        from coord_web import server  # 0.4 s
    stores = [_store(path) for path in directories] if directories else [call.journal.store]
    agent = None if read_only else str(call.actor()["agent_id"])
    server.serve(stores, agent, listen, lambda where: call.put([where]))


def _store(path: str) -> Store:
    """The store of a directory. Raises Unreachable."""
    from coord_kernel.store import locate

    here = os.getcwd()
    chosen = os.environ.pop("COORD_DIR", None)  # it would be the store of each of them
    try:
        os.chdir(path)
        return locate.find()
    except OSError as error:
        raise Unreachable((error.strerror or "").lower(), where=path) from None
    finally:
        os.chdir(here)
        if chosen is not None:
            os.environ["COORD_DIR"] = chosen


COMMANDS = (serve,)
ABOUT = "The whole shop in a browser, now and at any moment before."


def main() -> None:
    # There is one command: `coord-web DIR` is `coord-web serve DIR`.
    own = ("serve", "--version", "--install-completion", "--show-completion")
    if not sys.argv[1:2] or sys.argv[1] not in own:
        sys.argv.insert(1, "serve")
    process.run("coord-web", ABOUT, COMMANDS, "coord_web.options", {})
