"""The five commands as processes of an event loop: rows read, events followed, a lease held."""

from __future__ import annotations

import asyncio
import json
import os
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from typing import Any

from coord_kernel.proc import beside

Json = dict[str, Any]
LINE = 1 << 21
"""Longer than any line that a tool prints."""
FOLLOWED = ("lease.acquired", "lease.released", "lease.expired", "lease.lost", "work.*", "run.*")
"""Not renewals: when the time of a lease is over, the leases are listed again anyhow."""


class Failed(Exception):
    """A command said no; its text is what the command printed."""


class Tools:
    """The commands, run in one directory and as one agent."""

    def __init__(self, directory: str, agent: str) -> None:
        self.directory = directory
        self._env = {**os.environ, "PATH": beside.path(), "COORD_AGENT": agent}

    async def run(self, *argv: str) -> bytes:
        """The output of a command. Raises Failed if its status is not 0."""
        process = await self._start(*argv, stderr=PIPE)
        out, err = await process.communicate()
        if process.returncode:
            raise Failed(err.decode(errors="replace").strip() or f"{argv[0]}: failed")
        return out

    async def rows(self, *argv: str) -> list[Json]:
        """The lines that a command prints. Raises Failed."""
        return [json.loads(line) for line in (await self.run(*argv)).splitlines()]

    async def follow(self) -> AsyncIterator[str]:
        """The types of events that change what is shown, as they come. Raises Failed at its end."""
        types = [word for name in FOLLOWED for word in ("--type", name)]
        process = await self._start("ev", "tail", "-f", "-n", "0", *types, stderr=PIPE)
        assert process.stdout and process.stderr
        try:
            yield ""  # what came before this moment was not seen
            while line := await process.stdout.readline():
                yield json.loads(line)["type"]
            raise Failed((await process.stderr.read()).decode(errors="replace").strip())
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()

    async def hold(self, resource: str, reason: str) -> Process:
        """A process that holds a lease until its stdin is closed, also by our death.

        Raises Failed if another holds the resource.
        """
        process = await self._start(
            *("lease", "with", resource, "--reason", reason, "--", "sh", "-c", "echo; cat"),
            stdin=PIPE,
            stderr=PIPE,
        )
        assert process.stdout and process.stderr
        if not await process.stdout.readline():
            raise Failed((await process.stderr.read()).decode(errors="replace").strip())
        return process

    async def _start(self, *argv: str, stdin: int = DEVNULL, stderr: int = DEVNULL) -> Process:
        return await asyncio.create_subprocess_exec(
            *argv, cwd=self.directory, env=self._env, limit=LINE,
            stdin=stdin, stdout=PIPE, stderr=stderr,
        )  # fmt: skip


def top(directory: str) -> str:
    """The work tree that a directory is in, or the directory."""
    place = os.path.realpath(directory)
    while not os.path.exists(f"{place}/.git"):
        above = os.path.dirname(place)
        if above == place:
            return os.path.realpath(directory)
        place = above
    return place
