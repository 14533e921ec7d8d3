"""POST /hook/NAME: a delivery is verified, mapped, and written before it is answered.

200  {"events":[ID, …],"duplicates":N}: on the disk; a delivery that came before is a duplicate
400  not JSON, or not what the form has
401  no signature, or a wrong one       403  it holds a credential
404  no such hook                       413  more than 1 MiB
408  the body came too slowly           503  too many at once, or the store is not there
"""

from __future__ import annotations

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from coord_envelope import Fault, world
from coord_envelope.errors import No, Refused, TryAgain
from coord_envelope.secrets import Credential
from coord_kernel.cli import complaints, web
from coord_kernel.store.blobs import Blobs
from coord_kernel.store.disk import fault_of
from coord_webhook.hook import LARGEST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request

    from coord_envelope.codec import Json
    from coord_kernel import Journal
    from coord_webhook.hook import Hook, Hooks

WAITING = 64
"""Most verified deliveries at a time; more are answered 503."""
RECEIVING = 256
"""Most bodies that are on their way, so at most 256 MiB. Of more, the oldest is given up: that of a
sender who is slow, for the others' are there at once. So slow senders cost only each other."""


class Webhooks:
    """The routes. Events are written by one thread, which alone uses the journal."""

    def __init__(self, hooks: Hooks, journal: Journal) -> None:
        self._hooks, self._journal, self._open = hooks, journal, 0
        self._receiving: dict[asyncio.Timeout, None] = {}
        """What ends each body that is on its way, the oldest first."""
        self._writer = ThreadPoolExecutor(1)
        self.application = Starlette(
            routes=[
                Route("/healthz", self.health),
                Route("/hook/{name}", self.deliver, methods=["POST"]),
            ]
        )

    async def health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def deliver(self, request: Request) -> Response:
        """Take one delivery."""
        try:
            new, duplicates = await self._delivered(request)
        except web.TooLong as fault:
            return web.failure(fault, 413)
        except web.TooSlow as fault:
            return web.failure(fault, 408)
        except Unverified as fault:
            return web.failure(fault, 401)
        except No as fault:
            return web.failure(fault, 404)
        except Fault as fault:
            if isinstance(fault, Credential):
                fault.todo = "remove it from what is sent"
            complaints.complain(fault)
            return web.failure(fault)
        except OSError as error:
            complaints.complain(fault_of(error))
            return web.failure(fault_of(error))
        return JSONResponse({"events": new, "duplicates": duplicates})

    async def _delivered(self, request: Request) -> tuple[list[str], int]:
        name = request.path_params["name"]
        hook = self._hooks.get(name)
        if hook is None:
            raise No("no such hook", where=name[:60], code="not_found")
        headers = {key.lower(): value for key, value in request.headers.items()}
        body = await self._received(request)
        try:
            delivery = hook.way.name(body, headers, world.now_ms() // 1000)
        except Refused as fault:
            raise Unverified(fault.what, where=hook.name) from None
        try:
            drafts = hook.drafts(body, headers, delivery)
        except Fault as fault:
            fault.where = fault.where or hook.name
            raise
        if self._open >= WAITING:
            raise TryAgain(f"{WAITING} deliveries are open")
        self._open += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._writer, self._write, hook, delivery, drafts)
        finally:
            self._open -= 1

    async def _received(self, request: Request) -> bytes:
        """The body. Raises TooLong, TooSlow."""
        if len(self._receiving) >= RECEIVING:
            oldest = next(iter(self._receiving))
            del self._receiving[oldest]
            oldest.reschedule(0)
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._receiving[limit] = None
                return await web.body(request, LARGEST)
        except TimeoutError:
            raise web.TooSlow("the body came slowly, and others wait") from None
        finally:
            self._receiving.pop(limit, None)

    def _write(self, hook: Hook, delivery: str, drafts: Sequence[Json]) -> tuple[list[str], int]:
        """The ids of the events, and how many drafts were events before."""
        # A header that is not signed may give them another type: a duplicate all the same.
        digest = f"{hook.name}:{delivery}" if hook.way.of_body else ""
        index = self._journal.index.refresh() if digest else None
        new = [
            draft
            for draft in drafts
            if index is None
            or not (key := draft.get("idempotency_key", "")).startswith(digest)
            or not index.has_key(key)
        ]
        if not new:
            return [], len(drafts)
        blobs = Blobs(self._journal.store)
        bodies = [draft | {"body": blobs.body(draft["body"])} for draft in new]
        events = self._journal.append({"agent_id": f"bridge:{hook.name}"}, bodies)
        ids = [event.id for event in events if not event.get("$dup")]
        return ids, len(drafts) - len(ids)


class Unverified(Refused):
    """A delivery that was not sent with the secret."""


def serve(
    webhooks: Webhooks,
    address: tuple[str, int],
    keys: tuple[str, str] | None,
    ready: Callable[[str], None],
) -> None:
    """Serve until a signal; `ready` is called with the URL. Raises as `web.check`, DiskFault."""
    # A client that hangs up during a TLS handshake must not end the server.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    host, port = address
    web.check(host, keys)
    with web.listening(host, port) as listening:
        url = web.url_of("https" if keys else "http", host, listening)
        server = web.Server(web.config(webhooks.application, keys), lambda: ready(url))
        asyncio.run(server.serve([listening]))
