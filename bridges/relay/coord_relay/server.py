"""The process: Starlette on uvicorn, one event loop, told to systemd."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute

from coord_envelope import BadData
from coord_envelope.errors import DiskFault, Refused
from coord_kernel.proc.notify import Notify
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

CONNECTIONS = 2000
"""Most connections in all; more are answered 503."""
GRACE_S = 5
"""How long requests may take to finish when the relay is stopped."""


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


class Server(uvicorn.Server):
    """uvicorn's, which tells systemd, and the one who started it, when it is ready."""

    def __init__(self, config: uvicorn.Config, relay: Relay, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._relay, self._ready, self._notify = relay, ready, Notify()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self._relay.projects.open_all()
        await super().startup(sockets)
        self._notify.say("READY=1")
        self._ready()

    async def on_tick(self, counter: int) -> bool:
        self._notify.alive()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._notify.say("STOPPING=1")
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
    if not keys and host not in frames.LOOPBACK:
        raise Refused(
            f"{host} is not this machine alone, and there is no certificate",
            todo="use --cert and --key, or a proxy that does TLS",
        )
    if keys:
        _check_keys(*keys)
    relay = Relay(directory)
    with _listening(host, port) as outer, _listening("127.0.0.1", 0) as inner:
        relay.gateway.url = f"ws://127.0.0.1:{inner.getsockname()[1]}"
        name = f"[{host}]" if ":" in host else host
        url = f"{'wss' if keys else 'ws'}://{name}:{outer.getsockname()[1]}"
        server = Server(_config(relay, keys), relay, lambda: ready(url))
        asyncio.run(_both(server, outer, Inner(_config(relay, None)), inner))


async def _both(server: Server, outer: socket.socket, mirrors: Inner, inner: socket.socket) -> None:
    inner_task = asyncio.create_task(mirrors.serve([inner]))
    try:
        await server.serve([outer])
    finally:
        mirrors.should_exit = True
        await inner_task


def _check_keys(cert: str, key: str) -> None:
    """Raises BadData, OSError."""
    for path in (cert, key):
        with open(path, "rb"):
            pass
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except ssl.SSLError:
        raise BadData(f"not a certificate in PEM, or {key} is not its key", where=cert) from None


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        what = os.strerror(error.errno or 0).lower()
        raise DiskFault(what, where=f"{host}:{port}") from None
    # asyncio sets it for sockets that it makes; every connection inherits it.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _config(relay: Relay, keys: tuple[str, str] | None) -> uvicorn.Config:
    return uvicorn.Config(
        relay.application,
        log_level="error",
        ws="websockets-sansio",
        ws_max_size=frames.LARGEST_REQUEST,
        ws_per_message_deflate=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=GRACE_S,
        ssl_certfile=keys and keys[0],
        ssl_keyfile=keys and keys[1],
        server_header=False,
        lifespan="off",
    )
