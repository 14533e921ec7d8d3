"""This machine: its boot id and boot clock, its names. The only module that reads them.

`COORD_BOOT` (ID:MILLISECONDS) pins the boot id and the boot clock of a process tree, for tests.
"""

from __future__ import annotations

import os
import time

from coord_envelope import Usage, world

_BOOT_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_ns() -> int:
    """Nanoseconds since boot, including sleep. Changes of the wall clock do not affect it."""
    pinned = world.getenv("COORD_BOOT")
    if not pinned:
        return time.clock_gettime_ns(_BOOT_CLOCK)
    ms = pinned.rpartition(":")[2]
    if not ms.isdecimal():
        raise Usage(f"not a valid COORD_BOOT: {pinned}", todo="use ID:MILLISECONDS, or unset it")
    return int(ms) * 1_000_000


def boot_id() -> str:
    """Changes with every boot; empty on systems without a boot id."""
    pinned = world.getenv("COORD_BOOT")
    if pinned:
        return pinned.rpartition(":")[0]
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            return file.read().decode().strip()
    except (FileNotFoundError, PermissionError):
        return ""  # any other error is raised: the system has a boot id, so it must not be guessed


def login() -> str:
    """Login name of the effective user, or `uid-N` if there is none."""
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid-{os.geteuid()}"


def person() -> str:
    """The address of the user at this machine: `human:LOGIN`."""
    plain = "".join(c if c.isalnum() or c in "._-" else "-" for c in login().lower())
    return f"human:{plain}"


def host() -> str:
    """The host name, for people."""
    return os.uname().nodename


def name() -> str:
    """A machine name that survives a reboot: systemd's machine id, or the host name."""
    try:
        with open("/etc/machine-id", "rb") as file:
            text = file.read().decode().strip()
    except OSError:
        text = ""
    return text or host()
