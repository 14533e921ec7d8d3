"""A Redis server for `live.engines`: on loopback, with its data in a directory, durable answers."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

from ports import free_port


class RedisServer:
    """`appendfsync always`: what was answered is on the disk."""

    name = "redis"

    def __init__(self, data: Path) -> None:
        self.data, self.port = data, free_port()
        self.url = f"redis://127.0.0.1:{self.port}/acme"
        self.options: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def missing() -> str | None:
        if not shutil.which("redis-server"):
            return "redis-server"
        return None if importlib.util.find_spec("redis") else "the package redis"

    def start(self) -> None:
        self.launch()
        while self._answer("PING") != b"PONG\n":
            assert self._process
            assert self._process.poll() is None

    def launch(self) -> None:
        """Start it, and return when it listens: who asks may not be answered."""
        self.data.mkdir(parents=True, exist_ok=True)
        command = [
            *("redis-server", "--port", str(self.port), "--bind", "127.0.0.1"),
            *("--dir", str(self.data), "--save", "", "--appendonly", "yes"),
            *("--appendfsync", "always", "--maxmemory-policy", "noeviction"),
            *self.options,
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while not self._answer("PING"):
            assert self._process.poll() is None

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def wipe(self) -> None:
        self._answer("DEL", *(f"coord:{{acme}}:{key}" for key in ("log", "ends", "birth")))

    def truncate(self, count: int) -> None:
        rows = self._answer("XRANGE", "coord:{acme}:log", "-", "+").decode("latin-1").split("\n")
        places = [rows[n - 1] for n, row in enumerate(rows) if row == "s"]
        self._answer("XTRIM", "coord:{acme}:log", "MINID", "=", places[count])

    def _answer(self, *command: str) -> bytes:
        line = ["redis-cli", "-p", str(self.port), *command]
        return subprocess.run(line, capture_output=True, check=False).stdout
