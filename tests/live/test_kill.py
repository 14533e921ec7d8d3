"""Servers that are killed -9 while stores put: nothing that was answered is lost or there twice."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from live.engines import SERVERS, Server, connected, serving

from coord_envelope.errors import Unreachable
from coord_kernel.sync.live.log import Moved

WRITERS = 4


@pytest.fixture(params=[name for name in SERVERS if name != "fake"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    with serving(request.param, tmp_path / "server") as started:
        yield started


class Writer(threading.Thread):
    """Puts numbers on a subject of its own; if it is unsure of one, it looks before it goes on."""

    def __init__(self, url: str, replica: str, done: threading.Event) -> None:
        super().__init__()
        self._log, self.subject, self._done = connected(url), f"{replica}/blobs", done
        self.answered: list[bytes] = []
        self.failure: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._put()
        except BaseException as failure:
            self.failure = failure
        finally:
            self._log.close()

    def _put(self) -> None:
        at, open_ = "", False
        while not self._done.is_set():
            payload = b"%d" % len(self.answered)
            try:
                if not open_:
                    self._log.open()
                open_ = True
                at = self._log.put(self.subject, at, payload)
            except Moved:  # its answer was lost
                last = self._log.last(self.subject)
                assert last
                assert last.payload == payload
                at = last.at
            except Unreachable:
                open_ = False
                continue
            self.answered.append(payload)


def test_nothing_that_was_answered_is_lost_or_twice(
    server: Server, request: pytest.FixtureRequest
) -> None:
    kills = 20 if request.config.getoption("--long") else 3
    done = threading.Event()
    writers = [Writer(server.url, f"{n}" * 8, done) for n in range(WRITERS)]

    def answered() -> int:
        return sum(len(writer.answered) for writer in writers)

    seen = 0
    for _ in range(kills):
        enough = seen + random.randrange(20, 80)
        while answered() < enough and any(writer.is_alive() for writer in writers):
            done.wait(0.01)
        server.kill()
        seen = answered()
        server.start()
    done.set()
    for writer in writers:
        writer.join()
        assert not writer.failure
    log = connected(server.url)
    log.open()
    entries = list(log.read(""))
    log.close()
    for writer in writers:
        held = [entry.payload for entry in entries if entry.subject == writer.subject]
        assert held[: len(writer.answered)] == writer.answered
        assert len(held) == len(set(held)) <= len(writer.answered) + 1
