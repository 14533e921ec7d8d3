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

    from coord_relay.frames import Answer
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
                for frame in frames.answer(*await self._answer(message.get("bytes"))):
                    await self._socket.send_bytes(frame)
        except WebSocketDisconnect:
            pass

    async def _answer(self, frame: bytes | None) -> Answer:
        try:
            head, body = frames.unpack(frame)
            self._token = self._gate.again(self._badge)
            act = {
                "open": self._open,
                "put": self._put,
                "last": self._last,
                "read": self._read,
                "tell": self._tell,
                "told": self._told,
                "now": self._now,
                "follow": self._follow,
            }.get(str(head.get("do")))
            if not act:
                raise BadData(f"no such request: {str(head.get('do'))[:40]}")
            return await act(head, body)
        except ValueError as error:
            return {"error": BadData.code, "what": str(error)}, b""
        except OSError as error:
            return {"error": "io", "what": error.strerror or "no access"}, b""
        except Fault as fault:
            return {"error": fault.code, "what": fault.what}, b""

    async def _open(self, head: dict[str, Any], _: bytes) -> Answer:
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
        return {"epoch": log.epoch, "project": log.project, "first": first}, b""

    async def _put(self, head: dict[str, Any], body: bytes) -> Answer:
        subject, expected = head.get("subject"), _number(head, "expected")
        if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
            raise BadData("not a valid subject")
        if len(body) > PAYLOAD:
            raise BadData(f"a payload exceeds {PAYLOAD} bytes")
        if not self._gate.tokens.may_write(self._token, subject):
            raise Refused(f"the token may not write {subject}")
        await self._gate.pace(self._token, len(body))
        at = await (await self._current()).put(Put(subject, expected, body))
        return ({"at": at} if at else {"moved": True}), b""

    async def _last(self, head: dict[str, Any], _: bytes) -> Answer:
        log = (await self._current()).log
        at = log.place(str(head.get("subject")))
        return frames.page(log.read(at, 0) if at else [], log.end)

    async def _read(self, head: dict[str, Any], _: bytes) -> Answer:
        log, at = (await self._current()).log, _number(head, "at")
        return frames.page(await asyncio.to_thread(log.read, max(at, 1)), log.end)

    async def _tell(self, head: dict[str, Any], body: bytes) -> Answer:
        replica = head.get("replica")
        if not isinstance(replica, str) or not _SUBJECT.fullmatch(f"{replica}/live"):
            raise BadData("not a replica")
        if len(body) > PAYLOAD:
            raise BadData(f"a payload exceeds {PAYLOAD} bytes")
        if not self._gate.tokens.may_write(self._token, f"{replica}/live"):
            raise Refused(f"the token may not write {replica}")
        await self._gate.pace(self._token, len(body))
        (await self._current()).tell(replica, body)
        return {}, b""

    async def _told(self, head: dict[str, Any], _: bytes) -> Answer:
        project = await self._current()
        return frames.page(project.told(), project.log.end)

    async def _now(self, head: dict[str, Any], _: bytes) -> Answer:
        return {"now": (await self._current()).log.now()}, b""

    async def _follow(self, head: dict[str, Any], _: bytes) -> Answer:
        """Tell of each change, until the other side is gone; and what it is, if it is little."""
        project = await self._current()
        at = _number(head, "at") if "at" in head else None
        seen = (-1, -1)
        gone = asyncio.create_task(self._socket.receive())
        try:
            while not gone.done():
                change = asyncio.create_task(project.changed(*seen))
                await asyncio.wait((gone, change), return_when=asyncio.FIRST_COMPLETED)
                if not change.done():
                    change.cancel()
                    break
                seen = change.result()
                if project.closed:
                    break
                head, body = {"end": seen[0]}, b""
                if at and at <= seen[0] and project.log.length(at) <= frames.PART:
                    head, body = frames.page(project.log.read(at), project.log.end)
                    seen = (head["end"], seen[1])
                at = None if at is None else seen[0] + 1
                for frame in frames.answer(head, body):
                    await self._socket.send_bytes(frame)
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
