"""The files of a store that are synced, as paths below it, and how large they may be."""

from __future__ import annotations

import re

_WORD = "[a-z0-9][a-z0-9._-]*"
_WRITER = (
    r"journal/((?:agent|human|bridge|arbiter)\.(?=[^~]{1,160}~)"
    rf"{_WORD}(?:%2f{_WORD})*(?:%2f)?~[0-9a-z]{{8}}(?:![0-9a-f]{{8}}(?:[0-9a-f]{{56}})?)?)"
)
JOURNAL = re.compile(rf"{_WRITER}/([0-9]{{12}})\.jsonl")
"""A segment; its groups are the stream and the first seq."""
BLOB = re.compile(r"blobs/sha256/([0-9a-f]{2})/([0-9a-f]{62})")
DIRECTORY = re.compile(rf"journal|blobs|blobs/sha256|blobs/sha256/[0-9a-f]{{2}}|{_WRITER}")
SEGMENT_BYTES = 1 << 26
BLOB_BYTES = 1 << 20


def limit(path: str) -> int:
    """Most bytes of a file that is synced."""
    return BLOB_BYTES if path.startswith("blobs/") else SEGMENT_BYTES


def whole(data: bytes, path: str) -> bytes:
    """All of a blob; of a segment the whole lines, since what follows is not written yet."""
    return data[: data.rfind(b"\n") + 1] if path.startswith("journal/") else data
