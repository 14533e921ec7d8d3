"""What the words of a command line stand for: texts and files, spans and moments, agents."""

from __future__ import annotations

import os

from coord_envelope import world
from coord_envelope.errors import BadData, Usage
from coord_envelope.event import address
from coord_kernel.cli.stdin import LONGEST, read

LONGEST_MS = 366 * 86_400_000
_UNITS = (("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000))


def content(text: str) -> bytes:
    """What `TEXT|@FILE|-` stands for: itself, a file's bytes, all of stdin. Raises OSError, BadData if too long."""
    if text == "-":
        return _all(0, "standard input")
    if not text.startswith("@"):
        return os.fsencode(text)
    fd = os.open(text[1:] or ".", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _all(fd, text[1:])
    finally:
        os.close(fd)


def _all(fd: int, where: str) -> bytes:
    data = b""
    try:
        while chunk := read(fd, 1 << 16):
            data += chunk
            if len(data) > LONGEST:
                raise BadData(
                    f"longer than {LONGEST:,} bytes", where, todo="say where to find it instead"
                )
    except OSError as error:
        error.filename = where  # a directory can be opened, and not read
        raise
    return data


def text(given: str, where: str) -> str:
    """As `content`, as text. Raises BadData."""
    try:
        return content(given).decode()
    except UnicodeDecodeError as reason:
        raise BadData(f"not UTF-8 at byte {reason.start}", where) from None


def span(text: str, where: str, least: int = 1, most: int = LONGEST_MS) -> int:
    """Milliseconds of `500ms`, `60s`, `10m`, `2h` or `1d`. Raises Usage."""
    for unit, ms in _UNITS:
        count = text.removesuffix(unit)
        if (
            count != text
            and count.isascii()
            and count.isdigit()
            and least <= int(count[:15]) * ms <= most
        ):
            return int(count) * ms
    raise Usage(
        f"{where} {text}: is no time from {least} ms to {most // 86_400_000} d",
        todo="500ms 60s 10m 2h 1d",
    )


def agent_id(text: str, where: str) -> str:
    """The agent's address in full. Raises BadData that names the option."""
    try:
        return address(text)
    except ValueError as reason:
        raise BadData(str(reason), where) from None


def moment(text: str, ahead: bool = False) -> str:
    """A stamp for `2026-01-17`, `2026-01-17T12:00:00+01:00`, or how long ago: `90s 10m 2h 3d`. Raises Usage.

    With `ahead` those are how long from now.
    """
    unit = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}.get(text[-1:], 0)
    try:
        if unit and text[:-1].isdecimal():
            away = int(text[:-1]) * unit
            return world.format_ts(
                min(max(0, world.now_ms() + (away if ahead else -away)), _LAST_MS)
            )
        return world.format_ts(world.parse_ts(text))
    except (ValueError, OverflowError):
        todo = (
            f"2026-01-17, 2026-01-17T12:00:00Z, or 90s 10m 2h 3d {'from now' if ahead else 'ago'}"
        )
        raise Usage(f"{text!r} is no time", todo=todo) from None


_LAST_MS = 253_402_300_799_999  # the end of 9999: later years have a digit more, and stamps compare as text
