"""Other projects on this machine, as far as items here stand for items there.

Only those that a person has named: an item that names another one mirrors nothing.
"""

from __future__ import annotations

import select

from coord_envelope.errors import Fault, Usage
from coord_kernel.cli.complaints import warn
from coord_kernel.journal.journal import Journal
from coord_kernel.store import locate
from coord_kernel.streams.follow import Watcher
from coord_kernel.views.view import View
from coord_wk.items import Items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from coord_envelope.codec import Json


class Elsewhere:
    """Their stores. `fd` is readable when one of them has grown."""

    def __init__(self, named: Sequence[str] = ()) -> None:
        """`named`: NAME=DIR. Raises Usage, Unreachable."""
        self._journals: dict[str, Journal] = {}
        self._views: dict[str, View] = {}
        self._watchers: dict[int, tuple[str, Watcher]] = {}
        self._warned = set[str]()
        self._epoll = select.epoll()
        self.fd = self._epoll.fileno()
        for pair in named:
            name, equals, directory = pair.partition("=")
            if not equals or not name or "#" in name or not directory:
                raise Usage(f"not NAME=DIR: {pair}", where="--store")
            self._open(name, directory)

    @property
    def names(self) -> Collection[str]:
        """The names of those that are known."""
        return self._views.keys()

    def _open(self, name: str, directory: str) -> None:
        store = locate.find(directory)
        self._journals[name], self._views[name] = Journal(store), View(store, Items.fold)
        watcher = Watcher(store.path)
        self._watch(name, watcher)
        if watcher.fd is not None:
            self._watchers[watcher.fd] = name, watcher
            self._epoll.register(watcher.fd, select.EPOLLIN)

    def _watch(self, name: str, watcher: Watcher) -> None:
        journal = self._journals[name]
        watcher.watch(journal.follow(journal.end(live=False), live=False).directories())

    def take(self) -> bool:
        """Has one grown since the last call?"""
        ready = self._epoll.poll(0)
        for fd, _ in ready:
            name, watcher = self._watchers[fd]
            watcher.drain()
            self._watch(name, watcher)
        return bool(ready)

    def item(self, name: str, text: str) -> Json | None:
        """How the item with this id is in the store of this name; None if that is not known."""
        if name not in self._views:
            self._warn(f"{name}#{text}: unknown project; name it: --store {name}=DIR")
            return None
        try:
            items = Items.current(self._views[name])
            state = items.known(items.resolve(text))
        except Fault as fault:
            self._warn(f"{name}: {fault}")
            return None
        values = state["registers"].get("closed", {})
        last = max(values, default="")
        closed = values.get(last)
        is_closed = isinstance(closed, dict)
        return {
            "closed": last if is_closed else "",
            "resolution": closed["resolution"] if isinstance(closed, dict) else "",
            "open": not is_closed,
            "opened": "" if is_closed else last or state["created"]["id"],
        }

    def _warn(self, what: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            warn(what)
