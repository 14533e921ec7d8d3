"""A consumer that demands trust: only events whose `$trust` fits one of its patterns."""

from __future__ import annotations

from coord_envelope import Filter
from coord_kernel.rules import trust

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_envelope import Event
    from coord_kernel import Store
    from coord_kernel.streams.trusted import Trusted


class Trusting(Filter):
    """Of what passes a filter, the events that fit: `store`, `signed`, `signed:human:*`, `synced`.

    Without an agent of its own a consumer knows no `self`: what its store has written is `store`.
    """

    def __init__(self, wanted: Filter, store: Store, patterns: Sequence[str]) -> None:
        super().__init__()
        self._wanted, self._store, self._patterns = wanted, store, patterns
        self._own, self._trusted = store.all_replicas(), None

    _trusted: Trusted | None

    def __call__(self, event: Event) -> bool:
        return self._wanted(event) and trust.wanted(self._of(event), self._patterns)

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
