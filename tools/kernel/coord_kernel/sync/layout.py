"""The files of a store that are synced, as paths below it, and how large they may be."""

from __future__ import annotations

from coord_envelope.event import name_ok

_KINDS = ("agent", "human", "bridge", "arbiter")
_LONGEST = 160
"""Of the name in a stream's, whose `/` is `%2f`."""
_HEX, _DIGITS = frozenset("0123456789abcdef"), frozenset("0123456789")
_REPLICA = frozenset("0123456789abcdefghijklmnopqrstuvwxyz")
SEGMENT_BYTES = 1 << 26
BLOB_BYTES = 1 << 20


def segment(path: str) -> tuple[str, int] | None:
    """The stream and the first seq of the segment with this path; None if it is of none."""
    home, _, below = path.partition("/")
    stream, _, file = below.partition("/")
    seq = file.removesuffix(".jsonl")
    sound = len(seq) == 12 and _DIGITS.issuperset(seq) and file == f"{seq}.jsonl"
    return (stream, int(seq)) if home == "journal" and sound and stream_ok(stream) else None


def stream_ok(stream: str) -> bool:
    """Is this a stream's name: `KIND.NAME~REPLICA`, of a fork with `!` and 8 or 64 hex digits?"""
    writer, _, rest = stream.partition("~")
    kind, _, name = writer.partition(".")
    replica, fork, digest = rest.partition("!")
    return (
        kind in _KINDS
        and len(name) <= _LONGEST
        and all(name_ok(word, _LONGEST) for word in name.removesuffix("%2f").split("%2f"))
        and (len(replica) == 8 and _REPLICA.issuperset(replica))
        and (not fork or (len(digest) in (8, 64) and _HEX.issuperset(digest)))
    )


def is_blob(path: str) -> bool:
    """Is this the path of a blob?"""
    begin, _, rest = path.rpartition("/")
    return _is_shard(begin) and len(rest) == 62 and _HEX.issuperset(rest)


def is_directory(path: str) -> bool:
    """Are there segments, blobs or directories of them in a directory with this path?"""
    home, _, stream = path.partition("/")
    known = path in ("journal", "blobs", "blobs/sha256") or _is_shard(path)
    return known or (home == "journal" and stream_ok(stream))


def _is_shard(path: str) -> bool:
    begin, _, shard = path.rpartition("/")
    return begin == "blobs/sha256" and len(shard) == 2 and _HEX.issuperset(shard)


def limit(path: str) -> int:
    """Most bytes of a file that is synced."""
    return BLOB_BYTES if path.startswith("blobs/") else SEGMENT_BYTES


def whole(data: bytes, path: str) -> bytes:
    """All of a blob; of a segment the whole lines, since what follows is not written yet."""
    return data[: data.rfind(b"\n") + 1] if path.startswith("journal/") else data
