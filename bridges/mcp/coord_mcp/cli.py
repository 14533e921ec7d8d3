"""The commands of coord-mcp: each serves until it is ended."""

from __future__ import annotations

import os
import sys

from coord_envelope import Unreachable
from coord_envelope.platform import suppress
from coord_kernel.cli import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mcp.server import MCPServer

    from coord_kernel.cli.call import Call
    from coord_mcp import options as o


def stdio(call: Call) -> None:
    """Serve the program that started this one.

    On standard input and output: it is what an MCP client starts. All it does is done as --as or COORD_AGENT says.
    """
    _server(call).run("stdio")


def http(call: Call, port: o.Port = 8000) -> None:
    """Serve programs of this machine by HTTP.

    On 127.0.0.1, at /mcp, for who has the token: COORD_MCP_TOKEN, else one that is made now. Prints the address, the
    agent and a token that was made. All clients act as that one agent; for another, start another.
    """
    from coord_mcp.web import serve

    serve(call, _server(call), port)


def _server(call: Call) -> MCPServer[None]:
    import signal

    signal.signal(
        signal.SIGPIPE, signal.SIG_IGN
    )  # a client that hangs up, or a tool that ends early
    agent = call.actor()["agent_id"]
    try:
        from coord_mcp.server import serve  # the SDK: a second
    except ModuleNotFoundError as error:
        if error.name != "mcp":
            raise
        raise Unreachable(
            "the MCP SDK is not installed", todo="pip install 'coord-kernel[mcp]'"
        ) from None
    _join(agent)
    return serve(agent)


def _join(agent: str) -> None:
    # From here on mail can be sent to it. Without a store that is not so; every call will say what is missing.
    from anyio import run

    from coord_mcp.kernel import Failed, Kernel

    with suppress(Failed):
        run(Kernel(agent).run, "msg", "join")


COMMANDS = (stdio, http)
ABOUT = "Work items, mail, leases, jobs and events for MCP clients."


def main() -> None:
    if len(sys.argv) == 1 and not os.isatty(0):
        sys.argv.append("stdio")  # as clients start a server
    process.run("coord-mcp", ABOUT, COMMANDS, "coord_mcp.options", {})
