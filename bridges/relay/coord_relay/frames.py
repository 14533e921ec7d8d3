"""What is on the wire: a frame is a JSON object on one line, and bytes after it.

    client                                            relay
    {"do":"open","project":P}                         {"epoch":E,"project":P,"first":N}
    {"do":"put","subject":S,"expected":N}\\n PAYLOAD    {"at":N}, or {"moved":true}
    {"do":"last","subject":S}                         {"entries":[ENTRY]}\\n PAYLOAD, or no entry
    {"do":"read","at":N}                              {"entries":[ENTRY, …],"end":N}\\n PAYLOADS
    {"do":"now"}                                      {"now":MS}
    {"do":"follow"}                                   {"end":N} now and after each change

ENTRY is `[AT, SUBJECT, MS, BYTES]`. `open` comes first, and makes the log of the path for the
project if there is none; its N is the place of the first entry, 0 without one. `read` gives a page:
entries from AT on, and the place of the last one there is. A request that fails is answered with
`{"error":CODE,"what":TEXT}`. Each request has one answer, in order; after `follow` there are no
more requests.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_relay.log import Entry

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Hosts to which a token may be sent unencrypted."""
LARGEST = 3 << 20
"""Bytes of a frame: a page is a MiB and one entry more at most."""
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


def page(entries: Sequence[Entry], end: int) -> bytes:
    """A frame of entries."""
    rows = [[entry.at, entry.subject, entry.ms, len(entry.payload)] for entry in entries]
    return pack({"entries": rows, "end": end}, b"".join(entry.payload for entry in entries))
