"""What is on the wire: binary frames, a JSON object each, and bytes after it.

    client                                            relay
    {"do":"open","project":P}                         {"epoch":E,"project":P,"first":N}
    {"do":"put","subject":S,"expected":N}\\n PAYLOAD    {"at":N}, or {"moved":true}
    {"do":"last","subject":S}                         {"entries":[ENTRY]} PAYLOAD, or no entry
    {"do":"read","at":N}                              {"entries":[ENTRY, …],"end":N} PAYLOADS
    {"do":"tell","replica":R}\n PAYLOAD         {}
    {"do":"told"}                                     {"entries":[[0, R, MS, BYTES], …]} PAYLOADS
    {"do":"now"}                                      {"now":MS}
    {"do":"follow"}                                   {"end":N} now and after each change
    {"do":"follow","at":N}                            the same, with {"entries":…} PAYLOADS

A request is one frame: the object, a line feed, the payload. So is an answer, with the first 64 KiB
of its payloads; the rest follows in frames of at most 64 KiB, so that a slow line is not taken for
a dead one. ENTRY is `[AT, SUBJECT, MS, BYTES]`.

`open` comes first, and makes the log of the path for the project if there is none; its N is the
place of the first entry, 0 without one. `tell` keeps a payload of a replica beside the log, in
memory, for some minutes. `read` gives a page: entries from AT on, and the place of
the last one there is. `follow` with `at` also gives the entries behind those that it told of
before, from N on (0: from its first answer on), if they are at most 64 KiB. A request that fails is
answered with `{"error":CODE,"what":TEXT}`. Each request has one answer, in order; after `follow`
there are no more requests.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from coord_relay.log import Entry

Answer = tuple[dict[str, Any], bytes]
PART = 64 << 10
"""Most bytes of payloads in a frame."""
LARGEST = 16 << 20
"""Bytes of an answer's object, and of its payloads: a page of a MiB may have many small entries."""
SLOWEST = 64 << 10
"""Bytes a second of the slowest line on which a payload arrives in time."""
LARGEST_REQUEST = (1 << 20) + (1 << 12)
"""A payload and the line before it."""


def pack(head: dict[str, Any], body: bytes = b"") -> bytes:
    """A frame."""
    return json.dumps(head, separators=(",", ":")).encode() + b"\n" + body


def unpack(frame: bytes | str | None) -> tuple[dict[str, Any], bytes]:
    """The object and the bytes of a frame. Raises ValueError."""
    if not isinstance(frame, bytes):
        raise ValueError("not a binary frame")
    line, _, body = frame.partition(b"\n")
    try:
        head = json.loads(line)
    except (ValueError, RecursionError):
        head = None
    if not isinstance(head, dict):
        raise ValueError("not a JSON object before the first line feed")
    return head, body


def page(entries: Sequence[Entry], end: int) -> Answer:
    """An answer of entries."""
    rows = [[entry.at, entry.subject, entry.ms, len(entry.payload)] for entry in entries]
    return {"entries": rows, "end": end}, b"".join(entry.payload for entry in entries)


def rows(head: dict[str, Any]) -> list[tuple[int, str, int, int]]:
    """The entries of an answer: place, subject, milliseconds, bytes. Raises ValueError."""
    try:
        found = [
            (int(at), str(subject), int(ms), int(size))
            for at, subject, ms, size in head.get("entries", ())
        ]
    except (TypeError, OverflowError):
        raise ValueError("not a list of entries") from None
    if any(size < 0 for *_, size in found):
        raise ValueError("an entry of less than no bytes")
    return found


def answer(head: dict[str, Any], body: bytes) -> Iterator[bytes]:
    """The frames of an answer."""
    yield pack(head, body[:PART])
    for begin in range(PART, len(body), PART):
        yield body[begin : begin + PART]


def answered(receive: Callable[[], bytes | str]) -> Answer:
    """An answer, frame by frame. Raises ValueError, and what `receive` raises."""
    head, body = unpack(receive())
    size = sum(size for *_, size in rows(head))
    if size > LARGEST:
        raise ValueError(f"an answer of {size:,} bytes")
    parts, length = [body], len(body)
    while length < size:
        part = receive()
        if not isinstance(part, bytes) or not part:
            raise ValueError("not the rest of an answer")
        parts.append(part)
        length += len(part)
    if length != size:
        raise ValueError(f"{length:,} bytes of {size:,}")
    return head, b"".join(parts)
