"""Which items a list has: what they must be, and the secondary index that finds them. Pure.

1. What is asked for is a list of groups of traits. An item fits if it has a trait of each.
2. Items are looked up by the group that has the fewest in the index, and the other groups are
   checked on each. So one filter costs its answer, several at most what the best one finds.
3. Open items come in order of rank; if closed ones are listed, too, all oldest first.
"""

from __future__ import annotations

from coord_envelope import BadData
from coord_wk import found
from coord_wk.registers import RESOLUTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_wk import groups as g
    from coord_wk.items import Items

    Groups = list[list[str]]


def groups(items: Items, listing: g.Listing) -> Groups:
    """What the options ask for.

    Raises BadData, and No or Usage if the parent is not found.
    """
    for pair in listing.field or ():
        if not pair.partition("=")[0] or "=" not in pair:
            raise BadData("not K=V", where=f"--field {pair}")
    assignees = [] if listing.assignee is None else [listing.assignee]
    parents = [] if listing.parent is None else items.look(items.resolve(listing.parent))[1]
    any_of = {
        "kind": listing.kind or (),
        "priority": listing.priority or (),
        "assignee": [*assignees, ""] if listing.unassigned else assignees,
        "owner": [] if listing.owner is None else [listing.owner],
        "parent": parents,
    }
    all_of = {"label": listing.label or (), "field": listing.field or ()}
    wanted = [[f"{name} {value}" for value in values] for name, values in any_of.items() if values]
    return wanted + [[f"{name} {value}"] for name, values in all_of.items() for value in values]


def by_status(statuses: set[str]) -> Groups:
    """The group of these statuses; none if one of them depends on other items, or on the time."""
    if not statuses <= {"active", *RESOLUTIONS}:
        return []
    return [[f"status {status}" for status in sorted(statuses)]]


def select(items: Items, wanted: Groups, closed: bool = False, rest: str = "open") -> Iterator[str]:
    """The items that fit: open ones, or with `closed` all.

    `rest` is the index of open items to go through if nothing is wanted.
    """
    if not wanted:
        return items.everything() if closed else items.ranked(rest)
    best = wanted[0]
    if len(wanted) > 1:
        best = min(wanted, key=lambda traits: items.number(traits, closed))
    names = items.oldest(best) if closed else items.urgent(best)
    return (name for name in names if fits(items, name, wanted))


def fits(items: Items, item: str, wanted: Groups) -> bool:
    """Has the item a trait of each group?"""
    traits = set(found.traits(items.known(item)))
    return all(not traits.isdisjoint(group) for group in wanted)
