"""What the commands that list items share: their options checked, their rows."""

from __future__ import annotations

from itertools import islice

from coord_envelope import Usage
from coord_kernel.cli.call import Call
from coord_wk import draft

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coord_wk import groups as g
    from coord_wk.items import Detail, Items, Row
    from coord_wk.work import Work


def statuses_of(given: Sequence[str] | None, listing: g.Listing) -> tuple[set[str], bool]:
    """The statuses that are listed, and whether a closed one was asked for.

    Raises Usage if one of them or of the other options cannot be in any item.
    """
    draft.check_statuses(given)
    checked(listing)
    statuses = set(given or draft.STATUSES)
    return statuses, given is not None and not statuses.isdisjoint(draft.RESOLUTIONS)


def listed(
    call: Call, work: Work, items: Items, names: Iterator[str], listing: g.Listing
) -> Iterator[Row]:
    """The rows of these items, as the options narrow and show them."""
    left_out = set(listing.not_kind or ())
    shown = islice((name for name in names if items.kind(name) not in left_out), listing.lines)
    return (
        detailed(call, work, items, item) if listing.full else items.row(item) for item in shown
    )


def checked(listing: g.Listing) -> None:
    """Raise Usage for what cannot be in any item, and so would match nothing."""
    for level in listing.priority or ():
        if level not in tuple("01234"):
            raise Usage(f"not a valid priority: {level!r}", todo="valid values: 0 to 4")
    for kind in (*(listing.kind or ()), *(listing.not_kind or ())):
        if not draft.kind_ok(kind):
            raise Usage(f"not a valid kind: {kind!r}", todo=draft.KIND)
    if listing.assignee is not None:
        listing.assignee = Call.agent_id(listing.assignee, "--assignee")
    if listing.owner is not None:
        listing.owner = Call.agent_id(listing.owner, "--owner")


def detailed(call: Call, work: Work, items: Items, item: str) -> Detail:
    """Everything about an item, as `show` prints it."""
    detail = work.leveled(items.detail(item))
    if items.known(item).get("key") is None:
        return detail
    from coord_wk.transfer import imported  # of few items

    if origin := imported(call, items, item):
        detail["imported"] = origin
    return detail
