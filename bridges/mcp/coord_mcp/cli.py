"""The commands of coord-mcp: each serves until it is stopped."""

from __future__ import annotations

import os
import sys

from coord_envelope.platform import signal, suppress
from coord_kernel.cli import process, values
from coord_kernel.cli.extra import extra

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mcp.server import MCPServer

    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_mcp import options as o


def stdio(call: Call, default: o.Default = None) -> None:
    """Serve the MCP client that started this program.

    On standard input and output, as MCP clients start it. All calls act as --as or COORD_AGENT.
    """
    if default and not call.named:
        os.environ["COORD_AGENT"] = values.agent_id(default, "--default")
    _server(call).run("stdio")


def http(call: Call, port: o.Port = 8000) -> None:
    """Serve MCP clients on this machine over HTTP.

    On 127.0.0.1, at /mcp, for clients that send the token: COORD_MCP_TOKEN, or a new token. Prints
    the URL, the agent and the new token. All clients act as this one agent; for another agent,
    start another server.
    """
    from coord_mcp.web import serve

    serve(call, _server(call), port)


def _server(call: Call) -> MCPServer[None]:
    # A client that hangs up, or a tool that ends early, must not end the server.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    actor = call.actor()
    with extra("mcp", "mcp"):
        from coord_mcp.server import serve  # a second
    _join(actor)
    return serve(actor)


def _join(actor: Json) -> None:
    """Register the agent, so that it can get mail. Without a store every call reports that."""
    from anyio import run

    from coord_mcp.kernel import Failed, Kernel

    with suppress(Failed):
        run(Kernel(actor).run, "msg", "join")


COMMANDS = (stdio, http)
ABOUT = "Work items, mail, leases, jobs and events for MCP clients."


def main() -> None:
    if len(sys.argv) == 1 and not os.isatty(0):
        sys.argv.append("stdio")  # as clients start a server
    process.run("coord-mcp", ABOUT, COMMANDS, "coord_mcp.options", {})
