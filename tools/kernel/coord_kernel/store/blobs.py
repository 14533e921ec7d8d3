"""Blobs: payloads too large for an event, stored under their SHA-256 and verified when read.

A payload too long for the line of its event is kept in a blob that the body names:

    a text        {"subject": …, "blob": {sha256, bytes, media: "text/plain"}}
    a whole body  {"blob": {sha256, bytes, media: "application/json"}}
"""

from __future__ import annotations

from coord_envelope import codec
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


INLINE = 48 << 10
"""Most bytes, as JSON, of a payload inside its event."""
TEXT, JSON = "text/plain", "application/json"


class Blobs:
    """The blobs of a store."""

    LARGEST = 64 << 20
    """Limit of a blob, in bytes."""
    SYNCED = 1 << 20
    """Largest blob that a sync transfers, in bytes."""

    def __init__(self, store: Store, allow_secret: bool = False) -> None:
        """`allow_secret`: `text` and `body` keep what looks like a credential, too."""
        self._store, self._allow_secret = store, allow_secret

    def put(self, data: bytes) -> BlobRef:
        """Store the bytes durably; return the reference for an event. Raises BadData, OSError.

        Idempotent. A damaged file of that name is replaced.
        """
        import hashlib  # OpenSSL: 3 ms

        if len(data) > self.LARGEST:
            raise BadData(
                f"{len(data):,} bytes exceed the limit of {self.LARGEST:,}",
                todo="store the data elsewhere and send a reference to it",
            )
        digest = hashlib.sha256(data).hexdigest()
        if self._store.load(*_path(digest), most=self.LARGEST) == data:
            # Its writer may have died before doing so.
            self._store.sync_directory(*_path(digest)[:-1])
        else:
            self._store.save(data, *_path(digest))
        return {"sha256": digest, "bytes": len(data)}

    def get(self, digest: object) -> bytes:
        """The bytes with this SHA-256.

        Raises BadData if it is not a SHA-256 or the stored blob is damaged, No if it is not here.
        """
        import hashlib

        if not isinstance(digest, str) or len(digest) != 64 or digest.strip("0123456789abcdef"):
            raise BadData(f"not a SHA-256: {str(digest)[:80]!r}")
        data = self._store.load(*_path(digest), most=self.LARGEST)
        short = f"blob {digest[:12]}…"
        if data is None:
            todo = "sync, or ask its sender"
            raise No(f"{short} is not in this store", todo=todo, code="not_found")
        if hashlib.sha256(data).hexdigest() != digest:
            raise BadData(f"{short} is damaged", todo="ask its sender to send it again")
        return data

    def fetch(self, blob: Json) -> bytes:
        """As `get`, for the reference in an event; says if the blob is too large to be synced."""
        try:
            return self.get(blob.get("sha256"))
        except No as fault:
            size = blob.get("bytes")
            if type(size) is int and size > self.SYNCED:
                fault.what += f": it has {size:,} bytes, and at most {self.SYNCED:,} are synced"
                fault.todo = "ask its sender for it"
            raise

    def text(self, name: str, value: str, most: int = INLINE) -> Json:
        """Body fields for a text: under `name`, or as `blob` if it exceeds `most` bytes.

        Raises BadData, Refused (it holds a credential), OSError.
        """
        data = value.encode()
        if len(data) <= most and len(codec.dumps(value)) <= INLINE:
            return {name: value}
        return self._moved(data, TEXT)

    def body(self, fields: Json) -> Json:
        """The body to store for these fields: themselves, or a blob of them. Raises as `text`."""
        data = codec.dumps(fields)
        if len(data) <= INLINE:
            return fields
        codec.refuse_depth(data)
        return self._moved(data, JSON)

    def _moved(self, data: bytes, media: str) -> Json:
        if not self._allow_secret:
            from coord_envelope.secrets import refuse_secret

            refuse_secret(data)
        return {"blob": {**self.put(data), "media": media}}

    def whole(self, stored: Json, name: str | None = "text") -> Json | None:
        """The body with its blob put back; None if it is whole as it is stored.

        A text is put back under `name`, if that is given.

        Raises No if the blob is not in this store, BadData if it is damaged.
        """
        blob = stored.get("blob")
        if not isinstance(blob, dict):
            return None
        media = blob.get("media")
        if media == TEXT and name and name not in stored:
            rest = {field: value for field, value in stored.items() if field != "blob"}
            return rest | {name: self.fetch(blob).decode("utf-8", "replace")}
        if media == JSON and len(stored) == 1:
            try:
                fields = codec.loads(self.fetch(blob))
            except ValueError as reason:
                raise BadData(f"blob {str(blob['sha256'])[:12]}… is not JSON: {reason}") from None
            return fields if isinstance(fields, dict) else None
        return None


def _path(digest: str) -> tuple[str, ...]:
    return "blobs", "sha256", digest[:2], digest[2:]
