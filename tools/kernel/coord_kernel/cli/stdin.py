"""Standard input as JSON Lines: what is there makes one batch; nobody waits for it to fill."""

from __future__ import annotations

import fcntl
import os
import stat

from coord_envelope import codec
from coord_envelope.errors import BadData, Usage
from coord_envelope.platform import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from coord_envelope.codec import Json

    Line = tuple[int, bytes]  # number from 1, bytes without the newline

BOM = b"\xef\xbb\xbf"
"""What some editors write at the beginning of a file."""
QUOTE = b"> "
"""How lines of `-o brief` begin that belong to the line before them."""
LONGEST = 1 << 20
"""Maximum bytes of an input line; with white space it may be longer than its event."""
NOTICE_MS, PATIENCE_MS = 2_000, 60_000
"""How long `piped` waits for a first byte: silently, and at most."""


def batches(fd: int = 0, size: int = 1 << 20) -> Iterator[list[Line]]:
    """Lines as they come, as `numbered`; the last may lack its newline. A very long one is cut."""
    number, held = 0, b""
    _widen(fd, size)
    while chunk := read(fd, size):
        *whole, rest = chunk.split(b"\n")
        if whole:
            whole[0], held = held + whole[0], b""
        if len(held) <= LONGEST:
            held += rest
        yield from numbered(whole, number)
        number += len(whole)
    yield from numbered([held], number)


def numbered(lines: list[bytes], before: int = 0) -> Iterator[list[Line]]:
    """The non-blank lines with their numbers, as one batch, without a byte order mark.

    Raises BadData, after what is before it, at a JSON value that is laid out over several lines.
    """
    batch: list[Line] = []
    for number, line in enumerate(lines, before + 1):
        text = (line.removeprefix(BOM) if number == 1 else line).strip()
        if not text:
            continue
        if text[-1] in _OPEN and _several(text, lines[number - before : number - before + 1]):
            if batch:
                yield batch
            todo = "`jq -c '.[]'`" if text.startswith(b"[") else "`jq -c .`"
            raise BadData("JSON over several lines", f"line {number}", f"use {todo}")
        batch.append((number, text))
    if batch:
        yield batch


_OPEN = b"{[,:"
"""How a line ends that a formatter of JSON continues on the next one."""


def _several(text: bytes, following: list[bytes]) -> bool:
    if text[:1] == b"{":  # before another object it is one bad line among others
        return not any(line.lstrip().startswith(b"{") for line in following)
    return text[:1] == b"["


def _widen(fd: int, size: int) -> None:
    # By default a pipe gives 64 KiB at a time, and each batch costs an fdatasync.
    with suppress(OSError, AttributeError):
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, size)


def read(fd: int, size: int) -> bytes:
    """At most `size` bytes. Waits, even if another process made the pipe non-blocking."""
    while True:
        try:
            return os.read(fd, size)
        except BlockingIOError:
            import select

            select.select([fd], [], [])


def piped(what: str, patience_ms: int = PATIENCE_MS) -> bool:
    """Is standard input a pipe, a socket or a file, from which `what` comes without being asked?

    Waits for the first byte or the end, and says so. Raises Usage if neither comes: then nobody
    writes to a pipe that was only inherited.
    """
    import select

    if stat.S_ISCHR(os.fstat(0).st_mode):  # a terminal, /dev/null
        return False
    poll = select.poll()
    poll.register(0, select.POLLIN)
    if poll.poll(min(patience_ms, NOTICE_MS)):
        return True
    from coord_kernel.cli.complaints import warn

    warn(f"waiting for {what} on standard input")
    if poll.poll(max(0, patience_ms - NOTICE_MS)):
        return True
    todo = f"close it, redirect it from /dev/null, or use `-` to wait for {what}"
    raise Usage(f"standard input is open, and nothing came for {patience_ms // 1000} s", todo=todo)


def promptly(patience_ms: int) -> bytes:
    """Standard input, unless it is a terminal; waits at most `patience_ms` for each part."""
    import select

    poll, data = select.poll(), b""
    poll.register(0, select.POLLIN)
    while not os.isatty(0) and len(data) <= LONGEST and poll.poll(patience_ms):
        chunk = os.read(0, 1 << 16)
        if not chunk:
            break
        data += chunk
    return data


def record(raw: bytes, where: str = "") -> Json:
    """The JSON object on an input line, without `$` annotations. Raises BadData."""
    if len(raw) > LONGEST:
        raise BadData(f"longer than {LONGEST:,} bytes", where)
    try:
        fields = codec.loads(raw.removeprefix(BOM).strip())  # white space is slower
    except ValueError as reason:
        raise BadData(f"not JSON: {reason}", where) from None
    if not isinstance(fields, dict):
        raise BadData("not a JSON object", where, todo="use an object: {…}")
    return {name: value for name, value in fields.items() if not name.startswith("$")}


def named(raw: bytes, *names: str, refused: Mapping[str, str] | None = None) -> str:
    """The id on an input line: the first of the fields `names` (a.b: b in a), or the bare line.

    Of a line of `-o brief` it is the first word. An object with a field of `refused` is bad data:
    its writer meant more than to name something, and the value says what to do.
    """
    if not raw.lstrip().startswith((b"{", b"[")):
        text = raw.strip().strip(b'"').decode("utf-8", "replace")
        first, blank, _ = text.partition(" ")
        if blank and "-" in first:
            from coord_kernel.views.resolve import ending

            text = first if ending(first) else text
        return _given(text)
    fields = record(raw)
    for field, todo in (refused or {}).items():
        if field in fields:
            raise BadData(f"unknown field {field!r}", todo=todo)
    for name in names:
        value: object = fields
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, str):
            return _given(value)
    raise BadData(f"no field {' or '.join(names)}")


def _given(name: str) -> str:
    if not name.strip():
        raise BadData("empty id")
    return name
