"""One connection of a store: its requests, one after another."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

from starlette.websockets import WebSocketDisconnect

from coord_envelope import BadData, Fault, Unreachable
from coord_envelope.errors import Refused
from coord_relay import frames
from coord_relay.log import Put
from coord_relay.tokens import ARBITER

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

    from coord_relay.gate import Badge, Gate
    from coord_relay.projects import Project, Projects

_SUBJECT = re.compile(r"arbiter|[0-9a-z]{8}/[a-z0-9._~!%-]{1,250}")
PAYLOAD = 1 << 20


class Session:
    """Serves a WebSocket whose token was found."""

    def __init__(self, socket: WebSocket, badge: Badge, gate: Gate, projects: Projects) -> None:
        self._socket, self._badge, self._gate, self._projects = socket, badge, gate, projects
        self._project: Project | None = None

    async def serve(self) -> None:
        """Answer until the other side is gone."""
        try:
            while True:
                message = await self._socket.receive()
                if message["type"] != "websocket.receive":
                    return
                await self._socket.send_bytes(await self._answer(message.get("bytes")))
        except WebSocketDisconnect:
            pass

    async def _answer(self, frame: bytes | None) -> bytes:
        try:
            head, body = frames.unpack(frame)
            self._token = self._gate.again(self._badge)
            act = {
                "open": self._open,
                "put": self._put,
                "last": self._last,
                "read": self._read,
                "now": self._now,
                "follow": self._follow,
            }.get(str(head.get("do")))
            if not act:
                raise BadData(f"no such request: {str(head.get('do'))[:40]}")
            return await act(head, body)
        except ValueError as error:
            return frames.pack({"error": BadData.code, "what": str(error)})
        except OSError as error:
            return frames.pack({"error": "io", "what": error.strerror or "no access"})
        except Fault as fault:
            return frames.pack({"error": fault.code, "what": fault.what})

    async def _open(self, head: dict[str, Any], _: bytes) -> bytes:
        project = head.get("project")
        if not isinstance(project, str) or not 0 < len(project) <= 250:
            raise BadData("project is not a name")
        self._project = self._projects.get(self._token.project)
        if not self._project:
            if not self._gate.tokens.may_write(self._token, ARBITER):
                raise Refused("there is no log yet, and the token only reads")
            self._project = await self._projects.open(self._token.project, project)
        log = self._project.log
        first = log.begin if log.end >= log.begin else 0
        return frames.pack({"epoch": log.epoch, "project": log.project, "first": first})

    async def _put(self, head: dict[str, Any], body: bytes) -> bytes:
        subject, expected = head.get("subject"), _number(head, "expected")
        if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
            raise BadData("not a valid subject")
        if len(body) > PAYLOAD:
            raise BadData(f"a payload exceeds {PAYLOAD} bytes")
        if not self._gate.tokens.may_write(self._token, subject):
            raise Refused(f"the token may not write {subject}")
        await self._gate.pace(self._token, len(body))
        at = await (await self._current()).put(Put(subject, expected, body))
        return frames.pack({"at": at} if at else {"moved": True})

    async def _last(self, head: dict[str, Any], _: bytes) -> bytes:
        log = (await self._current()).log
        at = log.place(str(head.get("subject")))
        return frames.page(log.read(at, 0) if at else [], log.end)

    async def _read(self, head: dict[str, Any], _: bytes) -> bytes:
        log, at = (await self._current()).log, _number(head, "at")
        return frames.page(await asyncio.to_thread(log.read, max(at, 1)), log.end)

    async def _now(self, head: dict[str, Any], _: bytes) -> bytes:
        return frames.pack({"now": (await self._current()).log.now()})

    async def _follow(self, head: dict[str, Any], _: bytes) -> bytes:
        """Tell of each change, until the other side is gone."""
        project, end = await self._current(), -1
        gone = asyncio.create_task(self._socket.receive())
        try:
            while not gone.done():
                change = asyncio.create_task(project.changed(end))
                await asyncio.wait((gone, change), return_when=asyncio.FIRST_COMPLETED)
                if not change.done():
                    change.cancel()
                    break
                end = change.result()
                if project.closed:
                    break
                await self._socket.send_bytes(frames.pack({"end": end}))
        finally:
            gone.cancel()
        raise WebSocketDisconnect(1000)

    async def _current(self) -> Project:
        """The project; if its file was replaced, by what there is now."""
        if not self._project:
            raise BadData("open is the first request")
        if self._project.closed or self._project.log.deleted:
            epoch, self._project = self._project.log.epoch, None
            project = await self._projects.open(self._token.project, "")
            if project.log.epoch != epoch:
                raise Unreachable("the log is another one")
            self._project = project
        return self._project


def _number(head: dict[str, Any], name: str) -> int:
    value = head.get(name)
    if type(value) is not int or not 0 <= value < 1 << 60:
        raise BadData(f"{name} is not a place")
    return value
