"""A double of the Sprites API: the real protocol, and a directory here as the Sprite's home."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import uvicorn
from ports import free_port
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

STDIN, STDOUT, STDERR, EXIT, EOF = range(5)
TOKEN = "a token of this test"
GRACE_S = 0.5
"""How long a session goes on without a link: ten seconds in a Sprite."""


class Sprites:
    """A server for one Sprite, `box`, in a thread. `sessions` counts the links."""

    def __init__(self, home: Path, points: Path) -> None:
        self.home, self._points = home, points
        home.mkdir()
        points.mkdir()
        self.sessions = 0
        self.queries: list[str] = []
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/"
        routes = [
            WebSocketRoute("/v1/sprites/box/exec", self._exec),
            Route("/v1/sprites/box/checkpoint", self._create, methods=["POST"]),
            Route("/v1/sprites/box/checkpoints", self._list),
            Route("/v1/sprites/box/checkpoints/{id}/restore", self._restore, methods=["POST"]),
        ]
        app = Starlette(routes=routes)
        config = uvicorn.Config(app, "127.0.0.1", port, log_level="critical", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)

    def __enter__(self) -> Sprites:
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()

    async def _exec(self, socket: WebSocket) -> None:
        if socket.headers.get("authorization") != f"Bearer {TOKEN}":
            body = JSONResponse({"error": "unauthorized"}, 401)
            await socket.send_denial_response(body)
            return
        await socket.accept()
        self.sessions += 1
        self.queries.append(str(socket.url.query))
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *socket.query_params.getlist("cmd"),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            cwd=self.home,
            env={"HOME": str(self.home), "PATH": os.environ["PATH"]},
            start_new_session=True,
        )
        assert process.stdin
        heard = asyncio.create_task(self._hear(socket, process.stdin))
        try:
            await asyncio.gather(
                self._copy(process.stdout, STDOUT, socket),
                self._copy(process.stderr, STDERR, socket),
            )
            await socket.send_bytes(bytes([EXIT, await process.wait() & 0xFF]))
        except (WebSocketDisconnect, RuntimeError):
            await asyncio.sleep(GRACE_S)
        finally:
            heard.cancel()
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()

    async def _hear(self, socket: WebSocket, stdin: asyncio.StreamWriter) -> None:
        try:
            while data := await socket.receive_bytes():
                if data[0] == EOF:
                    stdin.close()
                    continue
                stdin.write(data[1:])
                await stdin.drain()
        except (WebSocketDisconnect, RuntimeError, OSError):
            stdin.close()

    async def _copy(self, pipe: Any, stream: int, socket: WebSocket) -> None:
        while data := await pipe.read(2048):
            await socket.send_bytes(bytes([stream]) + data)

    async def _create(self, request: Request) -> Response:
        comment = (await request.json()).get("comment", "")
        at = f"v{len(os.listdir(self._points)) + 1}"
        shutil.copytree(self.home, self._points / at / "home")
        (self._points / at / "comment").write_text(comment)
        return _lines({"type": "complete", "data": at})

    async def _list(self, request: Request) -> Response:
        time = "2026-11-30T00:00:00Z"
        ids = sorted(os.listdir(self._points))
        points = [(at, (self._points / at / "comment").read_text()) for at in ids]
        return JSONResponse(
            [{"id": at, "create_time": time, "comment": comment} for at, comment in points]
        )

    async def _restore(self, request: Request) -> Response:
        shutil.rmtree(self.home)
        shutil.copytree(self._points / request.path_params["id"] / "home", self.home)
        return _lines({"type": "complete", "data": "restored"})


def _lines(*messages: dict[str, str]) -> Response:
    return Response("".join(json.dumps(each) + "\n" for each in messages))
