"""What a consumer demands of an event beyond a filter: its trust, and the fields of its body."""

from __future__ import annotations

from coord_envelope import BadData, Filter, No
from coord_envelope.fields import Where
from coord_kernel.rules import trust
from coord_kernel.store.blobs import Blobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel import Store
    from coord_kernel.streams.trusted import Trusted


class Trusting(Filter):
    """Of what passes a filter, the events that fit: `store`, `signed`, `signed:human:*`, `synced`.

    Without patterns all but those that are unsigned.
    Without an agent of its own a consumer knows no `self`: what its store has written is `store`.
    """

    def __init__(self, wanted: Filter, store: Store, patterns: Sequence[str]) -> None:
        super().__init__()
        self._wanted, self._store, self._patterns = wanted, store, patterns
        self._own, self._trusted = store.all_replicas(), None

    _trusted: Trusted | None

    def __call__(self, event: Event) -> bool:
        if not self._wanted(event):
            return False
        if not self._patterns:
            return self._of(event) != trust.UNSIGNED
        return trust.wanted(self._of(event), self._patterns)

    def _of(self, event: Event) -> str:
        if self._store.signers():
            from coord_kernel.streams.trusted import Trusted  # only with signers

            self._trusted = self._trusted or Trusted(self._store)
            if judged := self._trusted.refresh().of(event):
                return judged
        if event["actor"]["agent_id"].startswith("bridge:"):
            return "bridge"
        replica = event.stream.rpartition("~")[2].partition("+")[0]
        return "store" if replica in self._own else "synced"


class Having(Filter):
    """Of what passes a filter, the events whose bodies have these fields, also from a blob.

    A body that is not here, or is damaged, has none.
    """

    def __init__(self, wanted: Filter, store: Store, conditions: Json) -> None:
        """Raises ValueError."""
        super().__init__()
        # Templates write `body.title`, so that is understood, too.
        plain = {name.removeprefix("body."): value for name, value in conditions.items()}
        self._wanted, self._where, self._blobs = wanted, Where(plain), Blobs(store)

    def __call__(self, event: Event) -> bool:
        if not self._wanted(event):
            return False
        body = event["body"]
        if "blob" in body:
            try:
                body = self._blobs.whole(body) or body
            except (No, BadData):
                return False
        return self._where(body)
