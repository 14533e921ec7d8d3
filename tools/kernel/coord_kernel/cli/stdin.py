"""Standard input as JSON Lines: what is there makes one batch; nobody waits for it to fill."""

from __future__ import annotations

import fcntl
import os

from coord_envelope import codec
from coord_envelope.errors import BadData
from coord_envelope.platform import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope.codec import Json

    Line = tuple[int, bytes]  # number from 1, bytes without the newline

LONGEST = 1 << 20
"""Maximum bytes of an input line; with white space it may be longer than its event."""


def batches(fd: int = 0, size: int = 1 << 20) -> Iterator[list[Line]]:
    """Non-blank lines as they come; the last may lack its newline. A very long one is cut."""
    number, held = 0, b""
    _widen(fd, size)
    while chunk := read(fd, size):
        *whole, rest = chunk.split(b"\n")
        batch = []
        for part in whole:
            number += 1
            line, held = held + part, b""
            if line.strip():
                batch.append((number, line))
        if len(held) <= LONGEST:
            held += rest
        if batch:
            yield batch
    if held.strip():
        yield [(number + 1, held)]


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
        fields = codec.loads(raw)
    except ValueError as reason:
        raise BadData(f"not JSON: {reason}", where) from None
    if not isinstance(fields, dict):
        raise BadData("not a JSON object", where, todo="use an object: {…}")
    return {name: value for name, value in fields.items() if not name.startswith("$")}


def named(raw: bytes, *names: str) -> str:
    """The id on an input line: the bare line, or the first of the fields `names` (a.b: b in a)."""
    if not raw.lstrip().startswith(b"{"):
        return raw.strip().strip(b'"').decode("utf-8", "replace")
    fields = record(raw)
    for name in names:
        value: object = fields
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, str):
            return value
    raise BadData(f"no field {' or '.join(names)}")
