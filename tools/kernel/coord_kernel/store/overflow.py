"""Payloads too long for the line of an event: kept in a blob that the body names, and put back.

a text        {"subject": …, "blob": {sha256, bytes, media: "text/plain"}}
a whole body  {"blob": {sha256, bytes, media: "application/json"}}
"""

from __future__ import annotations

from coord_envelope import codec
from coord_envelope.errors import BadData
from coord_envelope.secrets import refuse_secret
from coord_kernel.store import blobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_kernel.store.directory import Store

INLINE = 48 << 10
"""Most bytes, as JSON, of a payload inside its event."""
TEXT, JSON = "text/plain", "application/json"


def text(
    store: Store, name: str, value: str, most: int = INLINE, allow_secret: bool = False
) -> Json:
    """Body fields for a text: under `name`, or as `blob` if it exceeds `most` bytes.

    Raises BadData, Refused (it holds a credential), OSError.
    """
    data = value.encode()
    if len(data) <= most and len(codec.dumps(value)) <= INLINE:
        return {name: value}
    return _blob(store, data, TEXT, allow_secret)


def body(store: Store, fields: Json, allow_secret: bool = False) -> Json:
    """The body to store for these fields: themselves, or a blob of them. Raises as `text`."""
    data = codec.dumps(fields)
    if len(data) <= INLINE:
        return fields
    codec.refuse_depth(data)
    return _blob(store, data, JSON, allow_secret)


def _blob(store: Store, data: bytes, media: str, allow_secret: bool) -> Json:
    if not allow_secret:
        refuse_secret(data)
    return {"blob": {**blobs.put(store, data), "media": media}}


def whole(store: Store, stored: Json, name: str | None = "text") -> Json | None:
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
        return rest | {name: blobs.fetch(store, blob).decode("utf-8", "replace")}
    if media == JSON and len(stored) == 1:
        try:
            fields = codec.loads(blobs.fetch(store, blob))
        except ValueError as reason:
            raise BadData(f"blob {str(blob['sha256'])[:12]}… is not JSON: {reason}") from None
        return fields if isinstance(fields, dict) else None
    return None
