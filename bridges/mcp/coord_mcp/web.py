"""Streamable HTTP on the loopback, with a token: other users of the machine can connect, too."""

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
"""Fewest characters of a token."""
Scope = MutableMapping[str, Any]
App = Callable[
    [Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]
]


def serve(call: Call, server: MCPServer[None], port: int) -> None:
    """Serve until a signal. Raises Usage for a short token, OSError if the port is taken."""
    fixed = world.getenv("COORD_MCP_TOKEN")
    if fixed and len(fixed) < SHORTEST:
        raise Usage(
            f"COORD_MCP_TOKEN is shorter than {SHORTEST} characters",
            todo="unset it to use a new token",
        )
    token = fixed or secrets.token_urlsafe(24)
    app = server.streamable_http_app(stateless_http=True, json_response=True, host=HOST)
    with socket.create_server((HOST, port)) as listening:
        url = f"http://{HOST}:{listening.getsockname()[1]}/mcp"
        row = {"url": url, "agent": call.actor()["agent_id"]}
        call.put([row if fixed else row | {"token": token}])
        config = uvicorn.Config(guarded(app, token), log_level="error")
        uvicorn.Server(config).run(sockets=[listening])


def guarded(app: App, token: str) -> App:
    """The app for requests with `Authorization: Bearer` and the token; 401 for all others."""
    expected = f"Bearer {token}".encode()

    async def ask(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or _allowed(scope, expected):
            await app(scope, receive, send)
            return
        headers = [(b"www-authenticate", b"Bearer"), (b"content-type", b"text/plain")]
        body = b"send the header Authorization: Bearer TOKEN\n"
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return ask


def _allowed(scope: Scope, expected: bytes) -> bool:
    sent = [value for name, value in scope["headers"] if name == b"authorization"]
    return len(sent) == 1 and secrets.compare_digest(sent[0], expected)
