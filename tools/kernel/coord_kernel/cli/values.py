"""Values of options: texts and files, spans and moments, agents."""

from __future__ import annotations

import os

from coord_envelope import world
from coord_envelope.errors import BadData, Usage
from coord_envelope.event import address
from coord_kernel.cli.stdin import LONGEST, read

LONGEST_MS = 366 * 86_400_000
_UNITS = (("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000))


def typed(text: str) -> str | int | bool:
    """The value in `K=V`: whole numbers, true and false are JSON's; anything else is text.

    Every reader of JSON represents up to 18 digits exactly; 007 is a name.
    """
    if text in ("true", "false"):
        return text == "true"
    number = len(text) < 19 and text.removeprefix("-").isdecimal() and str(int(text)) == text
    return int(text) if number else text


def content(text: str, most: int = LONGEST) -> bytes:
    """The bytes of `TEXT|@FILE|-`: the text, a file, all of stdin. Raises OSError, BadData.

    BadData: a file or stdin has more than `most` bytes.
    """
    if text == "-":
        return _all(0, "standard input", most)
    if not text.startswith("@"):
        return os.fsencode(text)
    fd = os.open(text[1:] or ".", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _all(fd, text[1:], most)
    finally:
        os.close(fd)


def _all(fd: int, where: str, most: int) -> bytes:
    data = bytearray()
    try:
        while chunk := read(fd, 1 << 16):
            data += chunk
            if len(data) > most:
                todo = "store it elsewhere and give its location"
                raise BadData(f"longer than {most:,} bytes", where, todo)
    except OSError as error:
        error.filename = where  # a directory can be opened, but not read
        raise
    return bytes(data)


def text(given: str, where: str, most: int = LONGEST) -> str:
    """As `content`, decoded. Raises BadData if it is not UTF-8."""
    try:
        return content(given, most).decode("utf-8-sig")
    except UnicodeDecodeError as reason:
        raise BadData(f"not UTF-8 at byte {reason.start}", where) from None


def span(text: str, where: str, least: int = 1, most: int = LONGEST_MS) -> int:
    """The milliseconds of `500ms`, `60s`, `10m`, `2h` or `1d`. Raises Usage."""
    for unit, ms in _UNITS:
        count = text.removesuffix(unit)
        if count != text and count.isascii() and count.isdigit():
            if len(count) <= 15 and least <= int(count) * ms <= most:
                return int(count) * ms
            break
    what = f"not a valid time: {where} {text}"
    raise Usage(what, todo=f"from {least}ms to {most // 86_400_000}d, as 500ms 60s 10m 2h 1d")


def one_of(**options: bool) -> None:
    """Raise Usage if more than one of the options, named as parameters are, was given."""
    names = [f"--{name.strip('_').replace('_', '-')}" for name, given in options.items() if given]
    if len(names) > 1:
        raise Usage(f"{' and '.join(names)} cannot be used together", todo="give only one")


def pair(cert: str | None, key: str | None) -> tuple[str, str] | None:
    """The files of --cert and --key, if they are given. Raises Usage if only one of them is."""
    if bool(cert) != bool(key):
        raise Usage("--cert and --key go together")
    return (cert, key) if cert and key else None


def agent_id(text: str, where: str) -> str:
    """The full address of an agent. Raises BadData, with the option in `where`."""
    try:
        return address(text)
    except ValueError as reason:
        raise BadData(str(reason), where) from None


def moment(text: str, ahead: bool = False) -> str:
    """The stamp of `2026-01-17`, `2026-01-17T12:00:00+01:00` or `90s 10m 2h 3d` ago. Raises Usage.

    With `ahead` the latter are from now.
    """
    unit = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}.get(text[-1:], 0)
    try:
        if unit and text[:-1].isdecimal():
            away = int(text[:-1]) * unit
            then = world.now_ms() + (away if ahead else -away)
            return world.Relative(world.format_ts(min(max(0, then), world.LAST_MS)))
        return world.format_ts(world.parse_ts(text))
    except (ValueError, OverflowError):
        relative = "from now" if ahead else "ago"
        todo = f"use 2026-01-17, 2026-01-17T12:00:00Z, or 90s 10m 2h 3d {relative}"
        raise Usage(f"not a valid time: {text!r}", todo=todo) from None
