"""Programs without a store: events over plain HTTP, from and to a store that the relay keeps.

    POST /PROJECT/publish              a draft; the event, when it is on the relay's disk
    GET  /PROJECT/events?cursor={…}    the events after the cursor and new ones, server-sent

The store of a project is made at the first request, in `projects/PROJECT/store`. It is one replica
like others: `ev sync --watch` in a process of its own keeps it the same as the log. The calls are
those of the bus (spec/bus.md), each by a process that serves the store on its pipes and acts as
`bridge:NAME`, NAME being the token's.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from coord_envelope import BadData, Fault, Unreachable
from coord_kernel.cli.session import VARIABLES
from coord_kernel.proc import beside
from coord_kernel.proc.child import dies_with_parent

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

    from coord_relay.projects import Projects

_BUS = (sys.executable, "-m", "coord_kernel.cli.serve")
_LINE = 4 << 20
"""Most bytes of a line of the bus."""
FOLLOWERS = 64
"""Most subscriptions at a time: each is a process."""
_AT_ONCE = 8
_BEAT_S = 15.0
"""A comment after this without an event, so that proxies keep the connection."""
_PAUSES_S = (1.0, 5.0, 30.0)
"""Before a mirror that ended is started again."""


class Gateway:
    """The stores of the projects, and their mirrors. Lives in one event loop."""

    def __init__(self, directory: str, projects: Projects, secret: str) -> None:
        """`secret`: a token with which the mirrors may write every replica."""
        self._directory, self._projects, self._secret = directory, projects, secret
        self.url = ""
        """Where the mirrors reach the relay, on the loopback and unencrypted."""
        self._mirrors: dict[str, asyncio.Task[None]] = {}
        self._making = asyncio.Lock()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._serving: set[Process] = set()
        self.followers = 0

    async def publish(self, project: str, name: str, draft: Any) -> bytes:
        """Append an event; its bytes. Raises the faults of the bus."""
        request = {"op": "publish", "draft": draft}
        async with self._slots, self._bus(project, name, request) as lines:
            async for line in lines:
                head, _, raw = line[:-2].partition(b',"event":')
                if head.startswith(b'{"stream":'):
                    return raw
                _raise_fault(line)
        raise Unreachable("the store of the relay does not answer")

    async def subscribe(
        self, project: str, name: str, asked: dict[str, Any]
    ) -> AsyncIterator[bytes]:
        """Server-sent events: events as `message`; `cursor`, `gap` and `fault` by these names."""
        self.followers += 1
        try:
            async with self._bus(project, name, {"op": "subscribe", **asked}) as lines:
                async for line in lines:
                    yield _sent(line)
        finally:
            self.followers -= 1

    async def close(self) -> None:
        """End the mirrors, and what follows."""
        for process in self._serving:
            with suppress(ProcessLookupError):
                process.kill()
        for task in self._mirrors.values():
            task.cancel()
        await asyncio.gather(*self._mirrors.values(), return_exceptions=True)

    @asynccontextmanager
    async def _bus(
        self, project: str, name: str, request: dict[str, Any]
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """A process that serves the bus: its lines, and b"" where there is none for a while."""
        env = await self._environment(project, f"bridge:{name}")
        process = await _started(_BUS, env)
        self._serving.add(process)
        assert process.stdin
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            yield _lines(process)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            self._serving.remove(process)

    async def _environment(self, project: str, agent: str) -> dict[str, str]:
        """For the tools, at the store of a project, which is made and mirrored from now on."""
        path = os.path.join(self._directory, "projects", project, "store")
        env = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith("COORD_") and name not in (*VARIABLES, "NOTIFY_SOCKET")
        }
        env |= {
            "PATH": beside.path(),
            "COORD_AGENT": agent,
            "COORD_DIR": os.path.join(path, ".coord"),
        }
        async with self._making:
            if project not in self._mirrors:
                await self._make(project, path, env)
                self._mirrors[project] = asyncio.create_task(self._mirror(project, env))
        return env

    async def _make(self, project: str, path: str, env: dict[str, str]) -> None:
        opened = self._projects.get(project)
        os.makedirs(path, mode=0o700, exist_ok=True)
        with open(os.path.join(path, "coord.toml"), "w", encoding="utf-8") as file:
            file.write(f"project = {json.dumps(opened.log.project if opened else project)}\n")
        process = await _started(("ev", "init"), env)
        _, status = await asyncio.gather(process.communicate(), process.wait())
        if status:
            raise Unreachable("the relay cannot make a store; its log has the reason")

    async def _mirror(self, project: str, env: dict[str, str]) -> None:
        env = env | {"COORD_WS_PASSWORD": self._secret, "COORD_AGENT": "bridge:relay"}
        failures = 0
        while True:
            command = ("ev", "sync", "--watch", "--remote", f"{self.url}/{project}")
            process = await _started(command, env, asyncio.subprocess.DEVNULL)
            try:
                await process.wait()
            finally:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            await asyncio.sleep(_PAUSES_S[min(failures, len(_PAUSES_S) - 1)])
            failures += 1


async def _started(
    command: tuple[str, ...], env: dict[str, str], stdout: int = asyncio.subprocess.PIPE
) -> Process:
    return await asyncio.create_subprocess_exec(
        *command,
        env=env,
        stdin=asyncio.subprocess.PIPE,
        stdout=stdout,
        limit=_LINE,
        start_new_session=True,  # Ctrl-C is for the relay, which ends them
        preexec_fn=dies_with_parent(),
    )


async def _lines(process: Process) -> AsyncIterator[bytes]:
    assert process.stdout
    while True:
        try:
            line = await asyncio.wait_for(process.stdout.readline(), _BEAT_S)
        except TimeoutError:
            yield b""
            continue
        if not line.endswith(b"\n") or line == b'{"end":true}\n':
            return
        yield line


def _sent(line: bytes) -> bytes:
    """A line of the bus as a server-sent event."""
    if not line:
        return b":\n\n"
    head, _, raw = line[:-2].partition(b',"event":')
    if head.startswith(b'{"stream":'):
        return b"data: " + raw + b"\n\n"
    row: dict[str, Any] = json.loads(line)
    ((name, value),) = row.items()
    text = json.dumps(value, separators=(",", ":")).encode()
    mark = b"id: " + text + b"\n" if name == "cursor" else b""
    return mark + b"event: " + name.encode() + b"\ndata: " + text + b"\n\n"


def _raise_fault(line: bytes) -> None:
    row: dict[str, Any] = json.loads(line)
    if fields := row.get("fault"):
        fault = Fault(fields["what"], fields["where"], fields["todo"])
        fault.status = fields["status"]
        raise fault


def asked(query: dict[str, str], last_id: str) -> dict[str, Any]:
    """The filter and cursor of a request. Raises BadData."""
    fields = {"cursor": query.get("cursor") or last_id or "{}", "filter": query.get("filter", "{}")}
    if unknown := query.keys() - fields.keys():
        raise BadData(f"unknown parameter {min(unknown)}", todo="use cursor and filter")
    values = {}
    for name, text in fields.items():
        try:
            values[name] = json.loads(text)
        except (ValueError, RecursionError):
            values[name] = None
        if not isinstance(values[name], dict):
            raise BadData(f"{name} is not a JSON object", todo="see spec/bus.md")
    return values
