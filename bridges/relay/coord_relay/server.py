"""The process of the relay: its routes, and a second server for its own mirrors."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute

from coord_kernel.cli import web
from coord_relay import frames
from coord_relay.gate import Denied, Gate
from coord_relay.gateway import Gateway
from coord_relay.http import Http, denial
from coord_relay.projects import Projects
from coord_relay.session import Session
from coord_relay.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.websockets import WebSocket


class Relay:
    """What the routes of the application share."""

    def __init__(self, directory: str) -> None:
        """Raises OSError or a Fault if there are no sound tokens."""
        tokens = Tokens(os.path.join(directory, "tokens"))
        self.gate, self.projects = Gate(tokens), Projects(directory)
        self.gateway = Gateway(directory, self.projects, tokens.internal)
        http = Http(self.gate, self.projects, self.gateway)
        self.application = Starlette(
            routes=[
                Route("/healthz", http.health),
                Route("/{project}/publish", http.publish, methods=["POST"]),
                Route("/{project}/events", http.events),
                WebSocketRoute("/{project}", self.store),
            ]
        )

    async def store(self, socket: WebSocket) -> None:
        """The connection of a store."""
        entered = self.gate.enter(socket.path_params["project"], socket.headers)
        if isinstance(entered, Denied):
            await socket.send_denial_response(denial(entered))
            return
        with self.gate.inside(entered):
            await socket.accept()
            await Session(socket, entered, self.gate, self.projects).serve()


class Inner(uvicorn.Server):
    """For the relay's own mirrors, unencrypted on the loopback. The other one has the signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Server(web.Server):
    """Opens the logs first, and closes them last."""

    def __init__(self, config: uvicorn.Config, relay: Relay, ready: Callable[[], None]) -> None:
        super().__init__(config, ready)
        self._relay = relay

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self._relay.projects.open_all()
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._relay.gateway.close()
        await super().shutdown(sockets)
        await self._relay.projects.close()


def serve(
    directory: str,
    address: tuple[str, int],
    keys: tuple[str, str] | None,
    ready: Callable[[str], None],
) -> None:
    """Serve until a signal; `ready` is called with the URL.

    Raises Refused for an address that others reach, without certificate and key; DiskFault if it
    is taken; and what `Tokens` and `Log` raise.
    """
    # A client that hangs up during a TLS handshake must not end the server.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    host, port = address
    web.check(host, keys)
    relay = Relay(directory)
    with web.listening(host, port) as outer, web.listening("127.0.0.1", 0) as inner:
        relay.gateway.url = web.url_of("ws", "127.0.0.1", inner)
        url = web.url_of("wss" if keys else "ws", host, outer)
        server = Server(_config(relay, keys), relay, lambda: ready(url))
        asyncio.run(_both(server, outer, Inner(_config(relay, None)), inner))


async def _both(server: Server, outer: socket.socket, mirrors: Inner, inner: socket.socket) -> None:
    inner_task = asyncio.create_task(mirrors.serve([inner]))
    try:
        await server.serve([outer])
    finally:
        mirrors.should_exit = True
        await inner_task


def _config(relay: Relay, keys: tuple[str, str] | None) -> uvicorn.Config:
    return web.config(
        relay.application,
        keys,
        ws="websockets-sansio",
        ws_max_size=frames.LARGEST_REQUEST,
        ws_per_message_deflate=False,
    )
