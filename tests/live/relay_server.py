"""coord-relay as a server of the suites of this directory."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from pathlib import Path

from live.engines import CREDENTIALS
from support import BIN

from coord_kernel.sync.live.log import Credentials


class RelayServer:
    """See `live.engines.Server`."""

    name = "ws"
    _child: subprocess.Popen[str]

    def __init__(self, data: Path, *options: str) -> None:
        self.data, self.options = data, options
        self._port = "0"
        data.mkdir(parents=True)
        from coord_relay import tokens

        self.token = tokens.add(f"{data}/tokens", "tester", "acme", [tokens.ANY])

    @staticmethod
    def missing() -> str | None:
        modules = ("uvicorn", "starlette", "websockets")
        return next((name for name in modules if not importlib.util.find_spec(name)), None)

    def start(self) -> None:
        """Start it, and return when it has printed that it is ready."""
        argv = [f"{BIN}/coord-relay", "serve", str(self.data), "--port", self._port, *self.options]
        self._child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert self._child.stdout
        base = json.loads(self._child.stdout.readline())["url"]
        self._port, self.url = base.rpartition(":")[2], f"{base}/acme"
        CREDENTIALS[self.url] = Credentials(password=self.token)

    @property
    def pid(self) -> int:
        return self._child.pid

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()
        assert self._child.stdout
        self._child.stdout.close()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self._child.terminate()
        return self._child.wait()

    def wipe(self) -> None:
        shutil.rmtree(self.data / "projects/acme")

    def truncate(self, count: int) -> None:
        """Replace the file by one that begins later, as an operator could."""
        from coord_relay.log import _ENTRY

        path = self.data / "projects/acme/log"
        data = path.read_bytes()
        birth = end = data.index(b"\n") + 1
        for _ in range(count):
            line = _ENTRY.match(data, end)
            assert line
            end = line.end() + int(line["bytes"]) + 1
        (path.parent / "shorter").write_bytes(data[:birth] + data[end:])
        (path.parent / "shorter").rename(path)
