"""The notifications that systemd asks for: ready, alive, stopping (sd_notify(3))."""

from __future__ import annotations

import os

from coord_envelope import world
from coord_kernel.store import machine


class Notify:
    """Sends nothing unless `NOTIFY_SOCKET` is set."""

    def __init__(self) -> None:
        self._address = world.getenv("NOTIFY_SOCKET")
        usec, pid = world.getenv("WATCHDOG_USEC") or "", world.getenv("WATCHDOG_PID")
        watchdog = self._address and usec.isdecimal() and pid in (None, str(os.getpid()))
        self._every_ns = int(usec) * 1_000 // 2 if watchdog else 0
        self._next, self._ready = machine.boot_ns(), False

    def ready(self) -> None:
        """Send `READY=1`, once."""
        if not self._ready:
            self._ready = True
            self.say("READY=1")

    def say(self, state: str) -> None:
        """Send `READY=1`, `STOPPING=1`, … It is not an error if the manager is gone."""
        if not self._address:
            return
        import socket

        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
            try:
                manager.sendto(state.encode(), self._address.replace("@", "\0", 1))
            except OSError:
                self._address = None

    def alive(self) -> float:
        """Notify the watchdog if it is time. Milliseconds until the next time."""
        if not self._every_ns:
            return float("inf")
        now = machine.boot_ns()
        if now >= self._next:
            self.say("WATCHDOG=1")
            self._next = now + self._every_ns
        return max(0.0, (self._next - now) / 1e6)
