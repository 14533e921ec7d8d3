"""An engine that is a directory: shared by processes, and broken in every way that a test needs.

`fake:///DIRECTORY/NAME`, for tools in a process of their own by an entry point that `installed`
puts on PYTHONPATH. Faults are files in the directory of the log, so that a test in another process
can cause them: `down` (nothing can be reached), `deaf` (a put is done, its answer is lost, once).
The server's clock is the file `clock`, in ms, or else that of the caller.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from coord_envelope import world
from coord_envelope.errors import Unreachable
from coord_kernel.sync.live.heard import Heard
from coord_kernel.sync.live.log import TOLD_S, Birth, Entry, Log, Moved, Place


class Fake:
    """A log in the files `birth` and `entries` of a directory."""

    def __init__(self, place: Place) -> None:
        self._place, self.directory = place, Path(urlsplit(place.url).path)
        self._done, self._heard = threading.Event(), Heard()

    def open(self) -> Birth:
        self._reach()
        self.directory.mkdir(parents=True, exist_ok=True)
        with self._locked():
            birth = self.directory / "birth"
            if not birth.exists():
                birth.write_text(f"{os.urandom(4).hex()} {self._place.project}")
            first = next((entry.at for entry in self._entries()), "")
            epoch, _, project = birth.read_text().partition(" ")
            return Birth(epoch, project, first)

    def read(self, at: str) -> Iterator[Entry]:
        self._reach()
        with self._locked():
            entries = list(self._entries())
        place = next((n for n, entry in enumerate(entries) if entry.at == at), None)
        if place is None:
            place = next((n for n, entry in enumerate(entries) if int(entry.at) > int(at or 0)), 0)
        for entry in entries[place:]:
            self._reach()
            yield entry

    def put(self, subject: str, expected: str, payload: bytes) -> str:
        self._reach()
        with self._locked():
            entries = list(self._entries())
            last = next((entry.at for entry in reversed(entries) if entry.subject == subject), "")
            if last != expected:
                raise Moved
            at = str(int(entries[-1].at) + 1 if entries else 1)
            row = {
                "at": at,
                "subject": subject,
                "ms": self.now(),
                "payload": base64.b85encode(payload).decode(),
            }
            with open(self.directory / "entries", "a") as file:
                file.write(json.dumps(row) + "\n")
        with contextlib.suppress(FileNotFoundError):
            (self.directory / "deaf").unlink()
            raise Unreachable("no answer", where=self._place.public)
        return at

    def last(self, subject: str) -> Entry | None:
        self._reach()
        with self._locked():
            entries = list(self._entries())
        return next((entry for entry in reversed(entries) if entry.subject == subject), None)

    def now(self) -> int:
        self._reach()
        with contextlib.suppress(FileNotFoundError):
            return int((self.directory / "clock").read_text())
        return world.now_ms()

    def tell(self, replica: str, payload: bytes) -> None:
        self._reach()
        (self.directory / "told").mkdir(exist_ok=True)
        file = self.directory / "told" / replica
        file.with_suffix(".new").write_bytes(b"%d\n" % self.now() + payload)
        file.with_suffix(".new").rename(file)

    def told(self) -> dict[str, bytes]:
        self._reach()
        found = {}
        for file in self.directory.glob("told/????????"):
            ms, _, payload = file.read_bytes().partition(b"\n")
            if payload and self.now() - int(ms) < 1000 * TOLD_S:
                found[file.name] = payload
        return found

    def follow(self, wake: Callable[[], None]) -> None:
        before = self._identity()
        self._heard.begin("")
        last = self._hear("")

        def look() -> None:
            seen, at = before, last
            while not self._done.wait(0.01):
                if (now := self._identity()) != seen:
                    seen = now
                    at = self._hear(at)
                    wake()

        threading.Thread(target=look, daemon=True).start()

    def heard(self, at: str) -> list[Entry] | None:
        return self._heard.behind(at)

    def _hear(self, at: str) -> str:
        """Tell what came behind a position; the last one. A log that was replaced is not told of."""
        with contextlib.suppress(OSError, ValueError, Unreachable), self._locked():
            entries = list(self._entries())
            places = [entry.at for entry in entries]
            new = entries[places.index(at) + 1 :] if at else entries
            self._heard.add(new)
            return new[-1].at if new else at
        self._heard.lost()
        return at

    def close(self) -> None:
        self._done.set()

    def _identity(self) -> object:
        with contextlib.suppress(OSError):
            down = (self.directory / "down").exists()
            told = self.directory / "told"
            changed = os.stat(told).st_mtime_ns if told.exists() else 0
            entries = self.directory / "entries"
            return os.stat(entries).st_size if entries.exists() else 0, changed, down
        return None

    def _reach(self) -> None:
        if (self.directory / "down").exists() or (self.directory.parent / "down").exists():
            raise Unreachable("connection refused", where=self._place.public)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            fd = os.open(self.directory / "lock", os.O_CREAT | os.O_RDWR)
        except FileNotFoundError:
            raise Unreachable("the log is gone", where=self._place.public) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _entries(self) -> Iterator[Entry]:
        with contextlib.suppress(FileNotFoundError), open(self.directory / "entries") as file:
            for line in file:
                row: dict[str, Any] = json.loads(line)
                payload = base64.b85decode(row["payload"])
                yield Entry(row["at"], row["subject"], payload, row["ms"])


def connect(place: Place) -> Log:
    """The entry point."""
    return Fake(place)


def installed(directory: Path) -> str:
    """Make an installed distribution that has this engine; what PYTHONPATH must have."""
    info = directory / "coord_fake-0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: coord-fake\nVersion: 0\n")
    (info / "entry_points.txt").write_text("[coord.remotes]\nfake = live.fake:connect\n")
    return f"{directory}:{Path(__file__).parent.parent}"


class FakeServer:
    """The directory as a server; see `live.engines.Server`."""

    name = "fake"

    def __init__(self, data: Path) -> None:
        self.data = data
        self.url = f"fake://{data}/acme"

    @staticmethod
    def missing() -> str | None:
        return None

    def start(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        (self.data / "down").unlink(missing_ok=True)

    def kill(self) -> None:
        (self.data / "down").touch()

    def wipe(self) -> None:
        shutil.rmtree(self.data / "acme", ignore_errors=True)

    def truncate(self, count: int) -> None:
        entries = self.data / "acme" / "entries"
        lines = entries.read_text().splitlines(keepends=True)
        entries.write_text("".join(lines[count:]))
