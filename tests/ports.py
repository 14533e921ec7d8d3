"""Ports for servers of these tests."""

from __future__ import annotations

import itertools
import os
import socket

_FIRST, _EACH, _WORKERS = 10_000, 1_000, 20
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
_NEXT = itertools.count(os.getpid() % _EACH)


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens.

    Below 32,768, where Linux takes the ports of outgoing connections from, of a range that
    belongs to this worker of pytest alone, and none twice in a round of 1,000: so nobody takes
    it between this call and the server's start.
    """
    for _ in range(_EACH):
        port = _FIRST + _WORKER * _EACH + next(_NEXT) % _EACH
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise AssertionError("all ports are in use")
