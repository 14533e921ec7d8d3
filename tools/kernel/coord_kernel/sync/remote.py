"""A remote of git refs: where it is, under which refs, and how git reaches it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

NAMESPACE = "refs/coord"


class Remote:
    """Where it is read, and where it is written: mostly the same URL.

    `config` are the settings of git that the remote needs, as (key, value).
    """

    def __init__(
        self, name: str, url: str, push_url: str, config: Sequence[tuple[str, str]]
    ) -> None:
        self.name, self.url, self.push_url, self.config = name, url, push_url, config
        self.namespace, self.own = NAMESPACE, ""
        """Below which refs; this store's own ref, if not the usual one."""
        self.fetch: tuple[str, ...] = ()
        """Patterns of more refs to read."""
        self.upload_pack, self.receive_pack = "", ""
        """The programs that serve it, if not the usual ones."""
        self.signing_key: str | None = None
        """git's `user.signingkey` where the store is, if it was read with the rest."""
        self.looked: dict[str, str] | None = None
        """Its refs, if they were looked at just now: the next look takes them."""

    @property
    def split(self) -> bool:
        """Is it written at another URL than it is read?"""
        return self.url != self.push_url
