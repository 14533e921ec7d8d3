"""The logs of a relay, one for each project: what arrives together is one write.

A put waits until it is on the disk. While one write is under way in a thread, the puts that arrive
are gathered for the next one.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from coord_envelope import Fault
from coord_envelope.errors import Refused
from coord_kernel.sync.live.log import TOLD_S
from coord_relay.log import Entry, Log, Put

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOGETHER = 8 << 20
"""Bytes of one write."""
_TOLD = 32 << 20
"""Bytes of live events of a project that are kept, in memory."""


class Project:
    """A log, and those who wait for it. Lives in one event loop."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self._waiting: list[tuple[Put, asyncio.Future[int | None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._told, self._tellings = dict[str, tuple[float, Entry]](), 0
        self.closed = False

    async def put(self, put: Put) -> int | None:
        """As `Log.append` of one. Raises DiskFault."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((put, future))
        if not self._writer:
            self._writer = asyncio.create_task(self._write())
        # What has been sent is decided, also if whoever sent it is gone.
        return await asyncio.shield(future)

    async def changed(self, end: int, tellings: int = 0) -> tuple[int, int]:
        """The place of the last entry and the count of tellings, as soon as either differs."""
        while (self.log.end, self._tellings) == (end, tellings) and not self.closed:
            await self._changed.wait()
        return self.log.end, self._tellings

    def tell(self, replica: str, payload: bytes) -> None:
        """Keep this for TOLD_S in place of what the replica told before; b"" ends it.

        Raises Refused if there is no room.
        """
        self._forget()
        self._told.pop(replica, None)
        size = sum(len(entry.payload) for _, entry in self._told.values()) + len(payload)
        if size > _TOLD:
            raise Refused("there is no room for more live events")
        if payload:
            entry = Entry(0, replica, self.log.now(), payload)
            self._told[replica] = time.monotonic() + TOLD_S, entry
        self._tellings += 1
        self._wake()

    def told(self) -> list[Entry]:
        """What is kept."""
        self._forget()
        return [entry for _, entry in self._told.values()]

    def _forget(self) -> None:
        now = time.monotonic()
        for replica in [name for name, (until, _) in self._told.items() if until < now]:
            del self._told[replica]

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def close(self) -> None:
        """Finish what was put, and close the log."""
        if self._writer:
            await self._writer
        self.closed = True
        self._changed.set()
        self.log.close()

    async def _write(self) -> None:
        while self._waiting:
            batch = self._batch()
            try:
                places = await asyncio.to_thread(self.log.append, [put for put, _ in batch])
            except Fault as fault:
                for _, future in batch:
                    _settle(future, fault)
            else:
                self._wake()  # who follows has further to go than who put
                for (_, future), place in zip(batch, places, strict=True):
                    _settle(future, place)
        self._writer = None

    def _batch(self) -> list[tuple[Put, asyncio.Future[int | None]]]:
        size = count = 0
        for put, _ in self._waiting:
            size += len(put.payload)
            if count and size > _TOGETHER:
                break
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch


class Projects:
    """The projects of a directory: those that are there, and new ones."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._projects: dict[str, Project] = {}
        self._opening = asyncio.Lock()

    def get(self, name: str) -> Project | None:
        """A project that is open, unless its log has been removed."""
        project = self._projects.get(name)
        return None if project and project.log.deleted else project

    async def open(self, name: str, project: str) -> Project:
        """The project, made if there is none. Raises Fault, OSError."""
        async with self._opening:
            if name in self._projects and self._projects[name].log.deleted:
                await self._projects.pop(name).close()
            if name not in self._projects:
                path = os.path.join(self._directory, "projects", name)
                self._projects[name] = Project(await asyncio.to_thread(Log, path, project))
            return self._projects[name]

    @property
    def broken(self) -> list[str]:
        """The projects to which nothing can be written any more."""
        return [name for name, project in self._projects.items() if project.log.broken]

    async def open_all(self) -> None:
        """Open those that are there. Raises Fault, OSError: none is left out in silence."""
        for name in sorted(self._names()):
            await self.open(name, "")

    async def close(self) -> None:
        for project in self._projects.values():
            await project.close()

    def _names(self) -> Iterator[str]:
        parent = os.path.join(self._directory, "projects")
        for name in os.listdir(parent) if os.path.isdir(parent) else ():
            if os.path.exists(os.path.join(parent, name, "log")):
                yield name


def _settle(future: asyncio.Future[int | None], result: int | Fault | None) -> None:
    if future.done():
        return
    if isinstance(result, Fault):
        future.set_exception(result)
    else:
        future.set_result(result)
