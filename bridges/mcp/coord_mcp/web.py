"""Streamable HTTP, on the loopback only, and for who has the token: other users of the machine can connect, too."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

import uvicorn

from coord_envelope import Usage, world

if TYPE_CHECKING:
    from mcp.server import MCPServer

    from coord_kernel.cli.call import Call

HOST = "127.0.0.1"
SHORTEST = 16
Scope = MutableMapping[str, Any]
App = Callable[
    [Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]
]


def serve(call: Call, server: MCPServer[None], port: int) -> None:
    """Serve until a signal ends it. Raises Usage for a token that is short, OSError if the port is taken."""
    given = world.getenv("COORD_MCP_TOKEN")
    if given and len(given) < SHORTEST:
        raise Usage(
            f"COORD_MCP_TOKEN is shorter than {SHORTEST} characters",
            todo="unset it, and one is made",
        )
    token = given or secrets.token_urlsafe(24)
    app = guarded(
        server.streamable_http_app(stateless_http=True, json_response=True, host=HOST), token
    )
    with socket.create_server((HOST, port)) as listening:
        url = f"http://{HOST}:{listening.getsockname()[1]}/mcp"
        call.put(
            [{"url": url, "agent": call.actor()["agent_id"]} | ({} if given else {"token": token})]
        )
        uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listening])


def guarded(app: App, token: str) -> App:
    """The same for who sends `Authorization: Bearer` and the token; 401 for who does not."""
    wanted = f"Bearer {token}".encode()

    async def ask(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and not _allowed(scope, wanted):
            headers = [(b"www-authenticate", b"Bearer"), (b"content-type", b"text/plain")]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send(
                {
                    "type": "http.response.body",
                    "body": b"send the header Authorization: Bearer TOKEN\n",
                }
            )
        else:
            await app(scope, receive, send)

    return ask


def _allowed(scope: Scope, wanted: bytes) -> bool:
    sent = [value for name, value in scope["headers"] if name == b"authorization"]
    return len(sent) == 1 and secrets.compare_digest(sent[0], wanted)
