"""A line between a store and a server: slow, cut after some bytes, or dead without a sign."""

from __future__ import annotations

import contextlib
import random
import select
import socket
import struct
import threading

from live.engines import CREDENTIALS, Server
from ports import free_port

_RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Forwards connections to a server, as the faults that are set allow."""

    def __init__(self, server: Server, seed: int) -> None:
        self._random = random.Random(seed)
        scheme, _, rest = server.url.partition("://")
        host, _, name = rest.partition("/")
        self._target = (host.rpartition(":")[0], int(host.rpartition(":")[2]))
        self._port = free_port()
        self.url = f"{scheme}://127.0.0.1:{self._port}/{name}"
        if server.url in CREDENTIALS:
            CREDENTIALS[self.url] = CREDENTIALS[server.url]
        self.cuts: tuple[int, int] | None = None
        """A connection is reset after so many bytes, at random between these two."""
        self.delay_s = 0.0
        """Bytes are held back up to so long, at random, and what comes meanwhile with them."""
        self.dead = False
        """Nothing is forwarded, and nobody hears of it."""
        self.broken = 0
        """How many connections were reset."""
        self._held = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", self._port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        left = self._random.randint(*self.cuts) if self.cuts else None
        with near, contextlib.suppress(OSError), socket.create_connection(self._target) as far:
            other = {near: far, far: near}
            while True:
                readable, _, _ = select.select([near, far], [], [], 0.05 if self.dead else 1)
                if self.dead:
                    continue
                if self.delay_s:
                    self._held.wait(self._random.random() * self.delay_s)
                for source in readable:
                    data = source.recv(4096 if left is None else min(4096, left))
                    if not data:
                        return
                    other[source].sendall(data)
                    if left is not None:
                        left -= len(data)
                        if left <= 0:
                            self.broken += 1
                            for end in other:
                                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                            return
