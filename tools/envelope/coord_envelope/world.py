"""The one place where time, environment and randomness enter.

Everything else takes them as arguments or asks here, so a test pins them in one place: `COORD_NOW`
(RFC 3339) stops the wall clock of a whole process tree. (What is peculiar to this machine, such as
its boot clock, is in `coord_kernel.store.machine`.)
"""

from __future__ import annotations

import os
import time

from coord_envelope.errors import Usage

FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999
"""The years 1 to 9999: another has another number of digits."""


def getenv(name: str) -> str | None:
    """The variable's value; None if unset *or empty* (a set-but-empty `COORD_AGENT` means none)."""
    return os.environ.get(name) or None


def now_ms() -> int:
    """Wall clock, Unix milliseconds: for people, time-outs, new ids. It decides no order alone."""
    pinned = getenv("COORD_NOW")
    if not pinned:
        return time.time_ns() // 1_000_000
    try:
        return parse_ts(pinned)
    except ValueError:
        what = f"not a valid time: COORD_NOW={pinned}"
        raise Usage(what, todo="use 2026-01-17T12:00:00Z, or unset it") from None


def entropy(n: int) -> bytes:
    """This many bytes of the operating system's randomness."""
    return os.urandom(n)


def format_ts(ms: int) -> str:
    """RFC 3339, UTC, milliseconds: `2026-01-17T00:58:12.345Z`."""
    t = time.gmtime(ms // 1000)
    date = f"{t.tm_year:04d}-{t.tm_mon:02d}-{t.tm_mday:02d}"
    return f"{date}T{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d}.{ms % 1000:03d}Z"


class Relative(str):
    """A stamp that was given as a time from now: repeated, the same command has a later one."""

    __slots__ = ()


def later(ms: int) -> Relative:
    """The stamp of this long from now."""
    return Relative(format_ts(now_ms() + ms))


def parse_ts(text: str) -> int:
    """Unix milliseconds of an ISO 8601 date or date-time (no zone: UTC). Raises ValueError.

    Of the years 1 to 9999 in UTC: stamps compare as text.
    """
    ms = _of_stamp(text)
    if ms is not None:
        return ms
    from datetime import UTC, datetime, timedelta  # 2 ms: not for what `format_ts` wrote

    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    ms = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    if not FIRST_MS <= ms <= LAST_MS:
        raise ValueError("not a year from 1 to 9999")
    return ms


def _of_stamp(text: str) -> int | None:
    """The inverse of `format_ts`; None for another form."""
    try:
        year, month, day = int(text[:4]), int(text[5:7]), int(text[8:10])
        clock = int(text[11:13]) * 3600 + int(text[14:16]) * 60 + int(text[17:19])
        thousandths = int(text[20:23])
    except ValueError:
        return None
    # Days since 1970 of the Gregorian calendar, in years that begin in March.
    year -= month < 3
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days = 365 * year + year // 4 - year // 100 + year // 400 + of_year - 719_468
    ms = (days * 86_400 + clock) * 1_000 + thousandths
    return ms if FIRST_MS <= ms <= LAST_MS and format_ts(ms) == text else None
