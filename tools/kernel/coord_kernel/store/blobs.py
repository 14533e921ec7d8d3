"""Blobs: bytes too many for a line, stored under their SHA-256, so that what is read is what was written."""

from __future__ import annotations

from coord_envelope.errors import BadData, No

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_kernel.store.directory import Store

LARGEST = 64 << 20
"""Bytes of a blob."""
SYNCED = 1 << 20
"""Bytes up to which a sync carries it."""


def put(store: Store, data: bytes) -> Json:
    """Store the bytes durably, and say what an event says of them: {sha256, bytes}. Raises BadData, OSError.

    Twice is once; a damaged file of that name is replaced.
    """
    import hashlib  # OpenSSL: 3 ms

    if len(data) > LARGEST:
        raise BadData(
            f"has {len(data):,} bytes, more than {LARGEST:,}", todo="say where to find it instead"
        )
    digest = hashlib.sha256(data).hexdigest()
    if store.load(*_path(digest), most=LARGEST) == data:
        store.sync_directory(*_path(digest)[:-1])  # who wrote it may have died before that
    else:
        store.save(data, *_path(digest))
    return {"sha256": digest, "bytes": len(data)}


def get(store: Store, digest: object) -> bytes:
    """The bytes with this SHA-256. Raises BadData (it is none, or what is there is damaged), No (not there)."""
    import hashlib

    if not isinstance(digest, str) or len(digest) != 64 or digest.strip("0123456789abcdef"):
        raise BadData(f"{str(digest)[:80]!r} is no sha256")
    data = store.load(*_path(digest), most=LARGEST)
    if data is None:
        raise No(f"blob {digest[:12]}… is not in this store", todo="sync, or ask its sender")
    if hashlib.sha256(data).hexdigest() != digest:
        raise BadData(f"blob {digest[:12]}… is damaged", todo="ask its sender for it again")
    return data


def _path(digest: str) -> tuple[str, ...]:
    return "blobs", "sha256", digest[:2], digest[2:]
