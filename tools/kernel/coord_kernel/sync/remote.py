"""A remote: where it is, and what git must be told to get there."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

NAMESPACE = "refs/coord"


class Remote:
    """Where to, under which refs, and what git must be told to get there."""

    def __init__(
        self, name: str, url: str, push_url: str, config: Sequence[tuple[str, str]]
    ) -> None:
        self.name, self.url, self.push_url, self.config = name, url, push_url, config
        self.namespace, self.own = NAMESPACE, ""
        self.fetch: tuple[str, ...] = ()
