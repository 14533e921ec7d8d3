"""The one place where time, environment, randomness and the machine enter.

Everything else takes them as arguments or asks here, so a test pins them in one place: `COORD_NOW`
(RFC 3339) stands still the wall clock of a whole process tree, `COORD_BOOT` (ID:MS) its boot and boot clock.
"""

from __future__ import annotations

import os
import time

from coord_envelope.errors import Usage


def getenv(name: str) -> str | None:
    """The variable's value; None if unset *or empty* (a set-but-empty `COORD_AGENT` means none)."""
    return os.environ.get(name) or None


def now_ms() -> int:
    """Wall clock, Unix milliseconds. For people, time-outs and new ids; it never decides an order by itself."""
    pinned = getenv("COORD_NOW")
    if not pinned:
        return time.time_ns() // 1_000_000
    try:
        return parse_ts(pinned)
    except ValueError:
        raise Usage(f"COORD_NOW={pinned} is no time", todo="2026-01-17T12:00:00Z, or unset it") from None


def boot_ns() -> int:
    """Nanoseconds since boot, sleep included. No setting of the wall clock moves it; it starts anew with `boot_id`."""
    pinned = getenv("COORD_BOOT")
    if not pinned:
        return time.clock_gettime_ns(_BOOT_CLOCK)
    ms = pinned.rpartition(":")[2]
    if not ms.isdecimal():
        raise Usage(f"COORD_BOOT={pinned} is no boot and time", todo="ID:MILLISECONDS, or unset it")
    return int(ms) * 1_000_000


_BOOT_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def entropy(n: int) -> bytes:
    """n bytes of the kernel's randomness."""
    return os.urandom(n)


def format_ts(ms: int) -> str:
    """RFC 3339, UTC, milliseconds: `2026-01-17T00:58:12.345Z`."""
    t = time.gmtime(ms // 1000)
    date = f"{t.tm_year:04d}-{t.tm_mon:02d}-{t.tm_mday:02d}"
    return f"{date}T{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d}.{ms % 1000:03d}Z"


def parse_ts(text: str) -> int:
    """Unix milliseconds of an ISO 8601 date or date-time (no zone: UTC). Raises ValueError."""
    from datetime import UTC, datetime, timedelta  # ~2 ms: only for a pinned clock and --since

    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


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


def machine() -> str:
    """A name for this machine that survives a reboot: systemd's machine id, else the host name."""
    try:
        with open("/etc/machine-id", encoding="ascii") as file:
            text = file.read().strip()
    except OSError:
        text = ""
    return text or host()


def boot_id() -> str:
    """Changes with every boot; empty where the system does not say."""
    pinned = getenv("COORD_BOOT")
    if pinned:
        return pinned.rpartition(":")[0]
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except (FileNotFoundError, PermissionError):  # else it does say, and what it says must not be guessed
        return ""
