"""The commands of wk that ask what was said, what happened, and what did not."""

from __future__ import annotations

from coord_envelope import Filter, Usage
from coord_envelope.filter import Within
from coord_wk import draft, fold
from coord_wk import groups as g
from coord_wk.listing import checked, listed, statuses_of
from coord_wk.selection import fits, groups
from coord_wk.work import Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coord_envelope import Event
    from coord_kernel.cli.call import Call
    from coord_wk import options as o
    from coord_wk.items import Items

REMEMBERED = 10_000
"""Items of which the status is remembered that was seen last."""


def search(call: Call, listing: g.Listing, text: o.Words, status: o.Statuses = None) -> None:
    """Find work items by the words of their texts.

    In titles, descriptions, comments, holds, closing notes and artifacts, of closed items, too,
    the newest first. Every word must occur; "several words" in quotes stand side by side; a word
    with * begins so.
    """
    from coord_kernel.views.text import Texts, words

    if listing.at is not None:
        raise Usage("--at: a search finds present texts only")
    asked = words(" ".join(text))
    if not asked:
        raise Usage("no word to search for", todo="give letters or digits")
    wanted_statuses, _ = statuses_of(status, listing)
    work = Work(call)
    items = work.items()
    wanted = groups(items, listing)
    matches = Texts(call.journal.store, fold).refresh().matching(items, asked)
    names = (
        item
        for item in matches
        if fits(items, item, wanted) and items.status(item) in wanted_statuses
    )
    call.put(listed(call, work, items, names, listing))


def log(call: Call, ids: o.Ids = None, lines: o.Lines = None) -> None:
    """Print what happened to work items: their events.

    By whom, when and what, the oldest first; with -n the last N. Events of jobs and mail about an
    item are not among them; `ev replay --work ID` has those, too.
    """

    def happened(text: str) -> Iterator[Event]:
        items = Work(call).items()
        return history(call, items, items.resolve(text), lines)

    from coord_wk.work import WORK

    call.each(ids, WORK, happened)


def history(call: Call, items: Items, item: str, most: int | None) -> Iterator[Event]:
    """The events of an item, oldest first: the last `most`, or all."""
    index, events = call.journal.index.refresh(), sorted(items.known(item)["dag"])
    places = map(index.by_id, events[-most:] if most else events[:most])
    return (call.journal.shown(place.event) for place in places if place)


def stale(call: Call, listing: g.Listing, older: o.Older = "7d") -> None:
    """List open work items long without an event.

    The longest untouched first.
    """
    checked(listing)
    work = Work(call)
    items, before = work.items(listing.at), call.moment(older)
    wanted = groups(items, listing)
    names = (item for item in items.untouched(before) if fits(items, item, wanted))
    call.put(listed(call, work, items, names, listing))


def watch(call: Call, wanted: Filter, status: o.Statuses = None) -> None:
    """Print work events as they come, from now on.

    With --status: those with which an item gets this status.
    """
    from coord_kernel.cli.deliver import deliver

    draft.check_statuses(status)
    events = Within("work", wanted)
    became = Became(Work(call), events, status) if status else events
    deliver(call, call.journal.end(), became)


class Became(Filter):
    """Events of a filter with which an item gets one of some statuses: each change once.

    A status that it gets by an event of another item, or as time passes, is not seen.
    """

    def __init__(self, work: Work, wanted: Filter, statuses: Sequence[str]) -> None:
        super().__init__()
        self._work, self._wanted, self._statuses = work, wanted, statuses
        self._seen: dict[str, str] = {}

    def __call__(self, event: Event) -> bool:
        if not self._wanted(event):
            return False
        items = self._work.items()
        changed = [item for item in map(items.name, fold.entities(event)) if self._new(items, item)]
        return any(self._seen[item] in self._statuses for item in changed)

    def _new(self, items: Items, item: str) -> bool:
        """Has the item another status than when it was last seen?"""
        if items.state(item) is None:
            return False
        status, before = items.status(item), self._seen.pop(item, None)
        self._seen[item] = status
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return status != before
