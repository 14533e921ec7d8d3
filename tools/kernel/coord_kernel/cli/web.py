"""A command that serves HTTP: Starlette on uvicorn, one event loop, told to systemd.

Only bridges with an extra import it. What a client can cost is bounded here: connections in all,
the time until a request's head is there, and with `body` the bytes and the time of its body.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from coord_envelope import BadData, Fault
from coord_envelope.errors import DiskFault, Refused, TryAgain
from coord_kernel.proc.notify import Notify

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Hosts on which nothing need be encrypted."""
CONNECTIONS = 2000
"""Most connections in all; more are answered 503."""
GRACE_S = 5
"""How long requests may take to finish when the server is stopped."""
PATIENCE_S = 10.0
"""How long the head of a request may take to come, and its body."""
_STATUS = {1: 409, 2: 400, 65: 400, 67: 404, 75: 503, 69: 503, 77: 403}
"""HTTP statuses of exit statuses; of others 500."""


class Patient(H11Protocol):
    """uvicorn's, which hangs up on who does not send the head of a request in time."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._late = self.loop.call_later(PATIENCE_S, self._hang_up)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._late = self._late or self.loop.call_later(PATIENCE_S, self._hang_up)
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _stop_waiting(self) -> None:
        if self._late:
            self._late.cancel()
            self._late = None

    def _hang_up(self) -> None:
        self._late = None
        # A WebSocket has taken the connection over, if another protocol has it.
        if self.transport.get_protocol() is self and not self.transport.is_closing():
            self.transport.abort()


class Server(uvicorn.Server):
    """uvicorn's, which tells systemd, and the one who started it, when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready, self._notify = ready, Notify()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._notify.say("READY=1")
        self._ready()

    async def on_tick(self, counter: int) -> bool:
        self._notify.alive()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._notify.say("STOPPING=1")
        await super().shutdown(sockets)


def config(application: ASGIApp, keys: tuple[str, str] | None, **more: Any) -> uvicorn.Config:
    """uvicorn's settings; `keys` are the files of certificate and key."""
    return uvicorn.Config(
        application,
        **{"ws": "none", **more},
        http=Patient,
        log_level="error",
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=GRACE_S,
        ssl_certfile=keys and keys[0],
        ssl_keyfile=keys and keys[1],
        server_header=False,
        lifespan="off",
    )


def check(host: str, keys: tuple[str, str] | None) -> None:
    """Raise Refused for an address that others reach, if there is no certificate and key.

    Raises BadData, OSError if they cannot be used.
    """
    if not keys and host not in LOOPBACK:
        raise Refused(
            f"{host} is not this machine alone, and there is no certificate",
            todo="use --cert and --key, or a proxy that does TLS",
        )
    if not keys:
        return
    cert, key = keys
    for path in keys:
        with open(path, "rb"):
            pass
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except ssl.SSLError:
        raise BadData(f"not a certificate in PEM, or {key} is not its key", where=cert) from None


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises DiskFault."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        what = os.strerror(error.errno or 0).lower()
        raise DiskFault(what, where=f"{host}:{port}") from None
    # asyncio sets it for sockets that it makes; every connection inherits it.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def url_of(scheme: str, host: str, bound: socket.socket) -> str:
    """Where a socket is reached."""
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}:{bound.getsockname()[1]}"


class TooLong(BadData):
    """A body that is larger than what is taken."""


class TooSlow(TryAgain):
    """A body that has not come in time."""


async def body(request: Request, most: int) -> bytes:
    """The body of a request. Raises TooLong, before more is read; TooSlow."""
    named = request.headers.get("content-length", "0")
    if named.isdecimal() and int(named[:12]) > most:
        raise TooLong(f"the body exceeds {most} bytes")
    data = bytearray()
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for part in request.stream():
                data += part
                if len(data) > most:
                    raise TooLong(f"the body exceeds {most} bytes")
    except TimeoutError:
        raise TooSlow(f"the body took longer than {PATIENCE_S:.0f} s") from None
    except ClientDisconnect:
        raise TryAgain("the client hung up") from None
    return bytes(data)


def failure(fault: Fault, status: int = 0) -> Response:
    """The answer that is a fault."""
    # What was not read would be taken for the next request.
    headers = {"connection": "close"} if isinstance(fault, TooLong | TryAgain) else None
    return JSONResponse(said(fault), status or _STATUS.get(fault.status, 500), headers)


def said(fault: Fault) -> dict[str, object]:
    """A fault as the bus has it."""
    return {name: getattr(fault, name) for name in ("status", "where", "what", "todo")}
