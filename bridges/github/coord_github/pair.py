"""One repository and one store: what import, export and the controller share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord_envelope.errors import TryAgain
from coord_envelope.secrets import Credential
from coord_github.remote import Remote
from coord_kernel.cli.complaints import warn
from coord_kernel.store import pins
from coord_wk.desk import Desk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_envelope.errors import Fault
    from coord_github.api import Api
    from coord_github.fold import Linked
    from coord_github.items import Book
    from coord_kernel.cli.call import Call

NEW = 20
"""Most issues that are created if nobody has named another number."""


class Mode:
    """What is to be done."""

    def __init__(
        self, pull: bool = True, push: bool = True, new: Sequence[str] | None = None
    ) -> None:
        """`new`: the items of which issues are made; empty: all that are open; None: none."""
        self.pull, self.push, self.new = pull, push, new
        self.most, self.interval_ms = NEW, 60_000
        self.once = self.dry = False


class Pair:
    """A repository and a store, and the links between them."""

    def __init__(self, call: Call, api: Api, book: Book, mode: Mode) -> None:
        """Raises TryAgain if another process serves them."""
        self.call, self.api, self.book, self.mode = call, api, book, mode
        store = call.journal.store
        place = ("local", "github", f"{book.slug.replace('/', '~')}.lock")
        self._held = pins.take(store, *place)
        if self._held is None:
            raise TryAgain("another coord-github serves this repository here", where=book.slug)
        self.desk = Desk(call)
        self.remote = Remote(api, store, book.slug)
        self.links: dict[int, Linked] = {}
        self.dirty = set[int]()
        """Issues to compare."""
        self.refused = set[int]()
        """Issues that cannot be taken over as they are now."""

    def touch(self, number: int) -> None:
        """Compare this issue again."""
        self.dirty.add(number)

    def refuse(self, number: int, fault: Fault) -> None:
        """This issue cannot be taken over: report it, and leave it until it changes."""
        fault.where = fault.where or self.book.name(number)
        self.refused.add(number)
        if isinstance(fault, Credential):
            # It would be so at each run, and nobody here can change it.
            warn(f"{fault.where}: {fault.what}; it is left out until it changes")
            return
        (self.call.fail if self.mode.once else self.call.complain)(fault)
