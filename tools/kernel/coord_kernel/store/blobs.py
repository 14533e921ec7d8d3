"""Blobs: payloads too large for an event, stored under their SHA-256 and verified when read."""

from __future__ import annotations

from coord_envelope.errors import BadData, No

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    from coord_envelope.codec import Json
    from coord_kernel.store.directory import Store

    class BlobRef(TypedDict):
        """How an event refers to a blob: `sha256` in hex, size in bytes."""

        sha256: str
        bytes: int


LARGEST = 64 << 20
"""Limit of a blob, in bytes."""
SYNCED = 1 << 20
"""Largest blob that a sync transfers, in bytes."""


def put(store: Store, data: bytes) -> BlobRef:
    """Store the bytes durably; return the reference for an event. Raises BadData, OSError.

    Idempotent. A damaged file of that name is replaced.
    """
    import hashlib  # OpenSSL: 3 ms

    if len(data) > LARGEST:
        raise BadData(
            f"{len(data):,} bytes exceed the limit of {LARGEST:,}",
            todo="store the data elsewhere and send a reference to it",
        )
    digest = hashlib.sha256(data).hexdigest()
    if store.load(*_path(digest), most=LARGEST) == data:
        store.sync_directory(*_path(digest)[:-1])  # its writer may have died before doing so
    else:
        store.save(data, *_path(digest))
    return {"sha256": digest, "bytes": len(data)}


def get(store: Store, digest: object) -> bytes:
    """The bytes with this SHA-256.

    Raises BadData if it is not a SHA-256 or the stored blob is damaged, No if it is not here.
    """
    import hashlib

    if not isinstance(digest, str) or len(digest) != 64 or digest.strip("0123456789abcdef"):
        raise BadData(f"not a SHA-256: {str(digest)[:80]!r}")
    data = store.load(*_path(digest), most=LARGEST)
    if data is None:
        what = f"blob {digest[:12]}… is not in this store"
        raise No(what, todo="sync, or ask its sender", code="not_found")
    if hashlib.sha256(data).hexdigest() != digest:
        raise BadData(f"blob {digest[:12]}… is damaged", todo="ask its sender to send it again")
    return data


def fetch(store: Store, blob: Json) -> bytes:
    """As `get`, for the reference in an event; says if the blob is too large to be synced."""
    try:
        return get(store, blob.get("sha256"))
    except No as fault:
        size = blob.get("bytes")
        if type(size) is int and size > SYNCED:
            fault.what += f": it has {size:,} bytes, and at most {SYNCED:,} are synced"
            fault.todo = "ask its sender for it"
        raise


def _path(digest: str) -> tuple[str, ...]:
    return "blobs", "sha256", digest[:2], digest[2:]
