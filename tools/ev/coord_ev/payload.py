"""Text in the body of an event: inline, or a blob if it is long."""

from __future__ import annotations

from coord_envelope import codec
from coord_kernel.store.blobs import Blobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_kernel import Store

INLINE = 48 << 10
"""Most bytes, as JSON, of a text inside the event; a longer one is a blob."""


def text_or_blob(store: Store, name: str, data: bytes) -> Json:
    """Body fields for these bytes: the text under `name`, or `blob` if it is long."""
    text = data.decode("utf-8", "replace")
    if len(codec.dumps(text)) <= INLINE:
        return {name: text}
    return {"blob": Blobs(store).put(data) | {"media": "text/plain"}}
