"""The engines that the suites of this directory run on: servers on loopback, started by the tests.

An engine joins by a line in SERVERS. Where its program or package is absent, its tests are skipped
and say so by name.
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import pytest

from coord_kernel.sync.live.log import GROUP, Credentials, Log, Place

SERVERS = {
    "fake": "live.fake:FakeServer",
    "redis": "live.redis_server:RedisServer",
    "nats": "live.nats_server:NatsServer",
    "ws": "live.relay_server:RelayServer",
}
CREDENTIALS: dict[str, Credentials] = {}
"""What a server that asks for it has given its clients, by URL."""


class Server(Protocol):
    """One server with its data in a directory; `url` is of a log for the project `acme`."""

    name: str
    data: Path
    url: str

    def __init__(self, data: Path) -> None: ...

    @staticmethod
    def missing() -> str | None:
        """What is not installed here; None: nothing."""

    def start(self) -> None:
        """Start it, again at the same port, and return when it answers."""

    def kill(self) -> None:
        """SIGKILL."""

    def wipe(self) -> None:
        """Delete the log `acme`, while it runs, by the engine's own means."""

    def truncate(self, count: int) -> None:
        """Remove the first `count` entries of the log `acme`, while it runs."""


@contextmanager
def serving(name: str, data: Path) -> Iterator[Server]:
    """A started server of this engine, ended with the block. Skips if something is missing."""
    module, _, attribute = SERVERS[name].partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ImportError as reason:
        pytest.skip(f"{name}: {reason}")
    missing = found.missing()
    if missing:
        pytest.skip(f"{name}: {missing} is not installed")
    server: Server = found(data)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def connected(url: str, project: str = "acme", credentials: Credentials | None = None) -> Log:
    """A log that is not open yet, by the engine's entry point; the fake has none installed."""
    scheme, name = urlsplit(url).scheme, urlsplit(url).path.rpartition("/")[2]
    place = Place(url, name, project, credentials or CREDENTIALS.get(url, Credentials()))
    if scheme == "fake":
        from live.fake import connect

        return connect(place)
    (engine,) = entry_points(group=GROUP, name=scheme)
    log: Log = engine.load()(place)
    return log


def copied(server: Server, to: Path) -> None:
    """The data directory of a server that is not running, as it is now."""
    shutil.copytree(server.data, to)


def put_back(server: Server, copy: Path) -> None:
    """Put a server that is not running back to an older data directory."""
    shutil.rmtree(server.data)
    shutil.copytree(copy, server.data)
