"""Server-sent events: the parts of a page as they change, and the output of a job."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import PlainTextResponse

from coord_kernel.proc import beside

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

    from coord_envelope.codec import Json

PING_S = 15
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
CHUNK, MOST = 1 << 15, 1 << 20
"""Bytes of output that are sent at once, and in all."""


class Places:
    """For at most `most` event streams at a time."""

    def __init__(self, most: int, full: str) -> None:
        """`full` says so to who comes then."""
        self.most, self.full, self.taken = most, full, 0

    def answer(self, events: AsyncIterator[Json]) -> Response:
        """The response that sends them, if there is a place; else 503.

        The place is taken before the response starts, and is free when it is over, however it ends.
        """
        if self.taken >= self.most:
            return PlainTextResponse(f"{self.full}\n", 503)
        self.taken += 1
        return _Stream(events, self)

    def leave(self) -> None:
        self.taken -= 1


class _Stream(EventSourceResponse):
    """The events as a response that has a place."""

    def __init__(self, events: AsyncIterator[Json], places: Places) -> None:
        async def sent() -> AsyncIterator[ServerSentEvent]:
            async for event in events:
                yield ServerSentEvent(**event, sep="\n")

        super().__init__(sent(), ping=PING_S, sep="\n", headers=HEADERS)
        self._places = places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._places.leave()


async def merged(streams: dict[str, AsyncIterator[Json]]) -> AsyncIterator[Json]:
    """Several event streams as one: the name of a part begins with that of its stream.

    A client that does not read keeps each of them waiting. When it reads again it gets the parts
    as they are then, so nothing piles up for it.
    """
    queue: asyncio.Queue[Json | None] = asyncio.Queue(1)

    async def follow(name: str, stream: AsyncIterator[Json]) -> None:
        async for event in stream:
            if event["event"] == "part":
                part = json.loads(event["data"])
                part["part"] = f"{name}.{part['part']}"
                event["data"] = json.dumps(part, ensure_ascii=False)
            await queue.put(event)
        await queue.put(None)

    tasks = [asyncio.create_task(follow(*each)) for each in streams.items()]
    try:
        while event := await queue.get():
            yield event
    finally:
        for task in tasks:
            task.cancel()


async def output(path: str, job: str) -> AsyncIterator[Json]:
    """A job's output as it is written: the first MiB of it. Ends when the job is over."""
    program = shutil.which("run", path=beside.path()) or "run"
    process = await asyncio.create_subprocess_exec(
        program,
        "logs",
        "--follow",
        "--",
        job,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "COORD_DIR": path},
    )
    assert process.stdout
    left = MOST
    try:
        while left > 0 and (data := await process.stdout.read(min(CHUNK, left))):
            left -= len(data)
            yield {"event": "output", "data": data.decode("utf-8", "replace")}
        yield {"event": "over", "data": "" if left > 0 else "cut"}
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
