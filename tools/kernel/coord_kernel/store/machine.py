"""This machine: its boot and boot clock, its names. The only place that asks for them.

`COORD_BOOT` (ID:MILLISECONDS) pins the boot and the boot clock of a whole process tree, for tests.
"""

from __future__ import annotations

import os
import time

from coord_envelope import Usage, world


def boot_ns() -> int:
    """Nanoseconds since boot, sleep included. No setting of the wall clock moves it; it starts anew with `boot_id`."""
    pinned = world.getenv("COORD_BOOT")
    if not pinned:
        return time.clock_gettime_ns(_BOOT_CLOCK)
    ms = pinned.rpartition(":")[2]
    if not ms.isdecimal():
        raise Usage(f"COORD_BOOT={pinned} is no boot and time", todo="ID:MILLISECONDS, or unset it")
    return int(ms) * 1_000_000


_BOOT_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def login() -> str:
    """Login name of the effective user, or `uid-N` where there is none."""
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid-{os.geteuid()}"


def host() -> str:
    """This machine's name on its network: for people."""
    return os.uname().nodename


def name() -> str:
    """A name for this machine that survives a reboot: systemd's machine id, else the host name."""
    try:
        with open("/etc/machine-id", encoding="ascii") as file:
            text = file.read().strip()
    except OSError:
        text = ""
    return text or host()


def boot_id() -> str:
    """Changes with every boot; empty where the system does not say."""
    pinned = world.getenv("COORD_BOOT")
    if pinned:
        return pinned.rpartition(":")[0]
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except (
        FileNotFoundError,
        PermissionError,
    ):  # else it does say, and what it says must not be guessed
        return ""
