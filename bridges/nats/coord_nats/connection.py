"""A connection to a NATS server, for a thread that waits: asyncio runs in a thread of its own.

Nothing is retried here. What the server refuses by permission it tells apart from the request, and
the request would wait its whole time: both are awaited, the first one counts.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import threading
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from nats import errors
from nats.aio.client import Client

from coord_envelope.errors import Refused, Unreachable

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from nats.aio.msg import Msg

    from coord_kernel.sync.live.log import Place

PORT = 4222
_CLOSE_S = 0.2
"""After a failed TLS handshake the client waits for ever for the transport to close."""
T = TypeVar("T")


class Loop:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="nats", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine, for another thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class Encrypted(Client):
    """A client that sends no credentials to a server that offers no TLS, if TLS is asked for."""

    def _connect_command(self) -> bytes:
        if self.options.get("tls") and not self._server_info.get("tls_required"):
            raise errors.Error("the server offers no TLS")
        command: bytes = super()._connect_command()
        return command


class Connection:
    """One connection, used within its loop."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.client = Encrypted()
        self._trouble: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self.lost = asyncio.Event()

    @property
    def usable(self) -> bool:
        return self.client.is_connected and not self.lost.is_set()

    async def connect(self) -> None:
        """Raises Unreachable, Refused."""
        url = urlsplit(self._place.url)
        server = f"{url.scheme}://{url.hostname}:{url.port or PORT}"
        connecting = asyncio.ensure_future(
            self.client.connect(
                servers=[server],
                name="coord",
                allow_reconnect=False,
                connect_timeout=self._place.seconds,  # type: ignore[arg-type]
                error_cb=self._error,
                disconnected_cb=self._gone,
                closed_cb=self._gone,
                tls=ssl.create_default_context() if url.scheme == "tls" else None,
                **self._identity(url.username),
            )
        )
        # The client goes on after a failure, and waits between attempts: the first one counts.
        await asyncio.wait(
            (connecting, self._trouble),
            timeout=self._place.seconds,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if connecting.done() and not connecting.exception():
            return
        error: BaseException | None = TimeoutError()
        if connecting.done():
            error = connecting.exception()
        elif self._trouble.done():
            error = self._trouble.result()
        connecting.cancel()
        await self.close()
        raise self.fault(error or TimeoutError())

    async def request(self, subject: str, payload: bytes, headers: dict[str, str] | None) -> Msg:
        """The answer. Raises Unreachable, Refused."""
        self._trouble = asyncio.get_running_loop().create_future()
        asked = asyncio.ensure_future(
            self.client.request(subject, payload, timeout=self._place.seconds, headers=headers)
        )
        try:
            await asyncio.wait((asked, self._trouble), return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                return asked.result()
            raise self._trouble.result()
        except (errors.Error, OSError, TimeoutError) as error:
            raise self.fault(error) from None
        finally:
            asked.cancel()

    async def api(self, subject: str, request: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer of JetStream, which may be an `error` in it. Raises Unreachable, Refused."""
        body = json.dumps(request).encode() if request else b""
        try:
            answer = json.loads((await self.request(f"$JS.API.{subject}", body, None)).data)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise Unreachable("JetStream answers no JSON", where=self._place.public)
        return answer

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        """Until an event is set. Raises Unreachable if the connection breaks, or time is up."""
        both = [asyncio.ensure_future(one.wait()) for one in (event, self.lost)]
        try:
            await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for future in both:
                future.cancel()
        if self.lost.is_set():
            raise Unreachable("the connection broke", where=self._place.public)
        if not event.is_set():
            raise Unreachable("no answer in time", where=self._place.public)

    async def close(self) -> None:
        """Never raises."""
        try:
            await asyncio.wait_for(self.client.close(), _CLOSE_S)
        except Exception:  # it is gone in any case
            return

    def fault(self, error: BaseException) -> Unreachable | Refused:
        """The failure that an error of the client is."""
        where, text = self._place.public, str(error).removeprefix("nats: ").strip("'")
        if isinstance(error, Unreachable | Refused):
            return error
        if isinstance(error, ssl.SSLCertVerificationError):
            return Refused(
                f"its certificate is not valid: {error.verify_message}",
                where=where,
                todo="SSL_CERT_FILE names the file of your own authority",
            )
        if "permissions violation for" in text.lower():
            _, _, what = text.lower().partition("violation for ")
            return Refused(f"no permission for {what}", where=where)
        if isinstance(error, errors.AuthorizationError) or "authorization" in text.lower():
            return Refused("wrong credentials, or none", where=where)
        if isinstance(error, errors.NoRespondersError):
            return Unreachable("JetStream is not enabled, or has no such stream", where=where)
        if isinstance(error, TimeoutError):
            return Unreachable("no answer in time", where=where)
        number = (isinstance(error, OSError) and error.errno) or 0
        what = os.strerror(number).lower() if number > 0 else text or type(error).__name__
        return Unreachable(what, where=where)

    def _identity(self, user: str | None) -> dict[str, Any]:
        """How to log in, of the credentials."""
        credentials = self._place.credentials
        if credentials.file:
            nkey = credentials.file.endswith(".nk")
            return {"nkeys_seed" if nkey else "user_credentials": credentials.file}
        user = credentials.user or user
        if user:
            return {"user": user, "password": credentials.password}
        return {"token": credentials.password} if credentials.password else {}

    async def _error(self, error: Exception) -> None:
        if not self._trouble.done():
            self._trouble.set_result(error)

    async def _gone(self) -> None:
        self.lost.set()
        await self._error(Unreachable("the connection broke", where=self._place.public))
