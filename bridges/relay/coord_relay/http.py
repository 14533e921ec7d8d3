"""The routes for programs without a store: /healthz, /PROJECT/publish, /PROJECT/events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from coord_envelope import BadData, Fault
from coord_envelope.errors import Refused, TryAgain
from coord_kernel.cli import web
from coord_relay import gateway
from coord_relay.gate import Denied
from coord_relay.tokens import ANY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from coord_relay.gate import Badge, Gate
    from coord_relay.gateway import Gateway
    from coord_relay.projects import Projects

_LARGEST = 1 << 20
"""Bytes of a draft."""


class Http:
    """Answers requests that have a token."""

    def __init__(self, gate: Gate, projects: Projects, gateway: Gateway) -> None:
        self._gate, self._projects, self._gateway = gate, projects, gateway

    async def health(self, request: Request) -> Response:
        if self._projects.broken:
            return JSONResponse({"status": "a disk failed; start the relay again"}, 503)
        return JSONResponse({"status": "ok"})

    async def publish(self, request: Request) -> Response:
        """Append one event."""
        badge = self._entered(request)
        if isinstance(badge, Denied):
            return denial(badge)
        with self._gate.inside(badge):
            try:
                raw = await self._published(request, badge)
            except Fault as fault:
                return web.failure(fault)
        return Response(raw + b"\n", media_type="application/json")

    async def _published(self, request: Request, badge: Badge) -> bytes:
        token = badge.token
        if ANY not in token.replicas:
            raise Refused("the token does not write the replica of the relay", todo="use one of *")
        body = await web.body(request, _LARGEST)
        await self._gate.pace(token, len(body))
        try:
            draft = json.loads(body)
        except (ValueError, RecursionError):
            draft = None
        if not isinstance(draft, dict):
            raise BadData("not a JSON object", todo='send {"type":"note.made","body":{}}')
        return await self._gateway.publish(token.project, token.name, draft)

    async def events(self, request: Request) -> Response:
        """Events as they come."""
        badge = self._entered(request)
        if isinstance(badge, Denied):
            return denial(badge)
        try:
            last = request.headers.get("last-event-id", "")
            asked = gateway.asked(dict(request.query_params), last)
            if self._gateway.followers >= gateway.FOLLOWERS:
                raise TryAgain(f"{gateway.FOLLOWERS} programs follow already")
        except Fault as fault:
            return web.failure(fault)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(
            self._followed(badge, asked), media_type="text/event-stream", headers=headers
        )

    async def _followed(self, badge: Badge, asked: dict[str, object]) -> AsyncIterator[bytes]:
        token = badge.token
        with self._gate.inside(badge):
            try:
                async for sent in self._gateway.subscribe(token.project, token.name, asked):
                    self._gate.again(badge)
                    yield sent
            except Fault as fault:
                yield b"event: fault\ndata: " + json.dumps(web.said(fault)).encode() + b"\n\n"

    def _entered(self, request: Request) -> Badge | Denied:
        return self._gate.enter(request.path_params["project"], request.headers)


def denial(denied: Denied) -> Response:
    headers = {"www-authenticate": "Bearer"} if denied.status == 401 else None
    return PlainTextResponse(f"{denied.what}\n", denied.status, headers)
