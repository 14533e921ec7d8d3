"""What a round of a sync does: a pure function of the remote's refs, this store and the arbiter.

    1. Fetch every ref whose tip is not the tip that was taken in here; all of them, if this store
       has less than it had taken in (it was restored from a backup). Nothing else is decided until
       that was taken in (`fetches`).
    2. If the arbiter is gone, or was put back to an ancestor of the tip seen here, it gets that tip
       again. Nothing else in this round.
    3. If the arbiter has a history that does not contain the tip seen here, and lacks lines that
       this store holds, two histories exist. Nothing is confirmed or conceded; what this store has
       is published all the same.
       The same if the arbiter is another where it is pushed to than where it is read: one of these
       places lags behind, or is another repository.
    4. Each open claim of this store that is not confirmed is judged by `claims.verdict`. Of an
       entity one claim is confirmed in a round: the next one is judged when that has landed.
    5. If something is to be confirmed and the arbiter lacks lines that this store holds, it gets
       these first. Nothing else in this round: a confirmation beside what is missing could make two
       confirmed claims open.
    6. Push this store's ref over its tip, and the arbiter over the tip on which all this was
       decided (compare-and-swap), if something is to be confirmed.

A round that mended the arbiter, or whose push was not accepted, is followed by another one. What a
plan asks for is carried out by `exchange`, with the network, the disk and the clock.
"""

from __future__ import annotations

from coord_envelope.platform import NamedTuple
from coord_kernel.rules import claims

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal, TypedDict

    from coord_kernel.rules.claims import ClaimsState

    Tips = dict[str, str]
    """Ref → tip. The tip of a ref that does not exist is ""."""
    Tentative = tuple[str, str, ClaimsState]
    """An entity (`NAMESPACE ID`), an open claim on it that is not confirmed, and the entity's
    claims."""

    class Here(TypedDict):
        """This store, when it has taken in what the remote has."""

        own: str
        """The ref that it pushes."""
        tentative: Sequence[Tentative]
        """Its own claims."""
        settles: bool
        """May there be more to confirm than claims?"""

    class Arbiter(TypedDict):
        """The ref of confirmations: its tip, against the last tip seen here."""

        ref: str
        tip: str
        seen: str
        split: bool
        """Does the place that is pushed to have another one than the place that is read?"""
        ahead: bool
        """Is the tip the one seen, or a descendant of it?"""
        behind: bool
        """Is the tip an ancestor of the one seen?"""
        lacks: bool
        """Does it lack lines that this store holds?"""


class Plan(NamedTuple):
    """What to do, in the order of these fields."""

    mend: Literal["", "tip", "lines", "both"] = ""
    """The arbiter gets the tip seen here, or the lines held here; or, to repair it, a commit that
    has both its tip and the tip seen here as parents."""
    diverged: bool = False
    """The arbiter has two histories, or is another one where it is pushed to."""
    concede: Sequence[Tentative] = ()
    confirm: Sequence[Tentative] = ()
    push: Mapping[str, str] = {}
    """Ref → the tip that it must have now."""
    delete: Mapping[str, str] = {}
    """The same, when everything else was done."""


def fetches(tips: Tips, seen: Tips, lost: bool) -> list[str]:
    """The refs to fetch and take in first; `lost`: this store has less than it had taken in."""
    return [ref for ref, tip in tips.items() if lost or seen.get(ref) != tip]


def plan(tips: Tips, here: Here, arbiter: Arbiter) -> Plan:
    """A round of a sync, when these tips were taken in."""
    swap = {arbiter["ref"]: arbiter["tip"]}
    own = {here["own"]: tips.get(here["own"], "")}
    if arbiter["split"]:
        return Plan(diverged=True, push=own)
    if arbiter["behind"]:
        return Plan(mend="tip", push=swap)
    if not arbiter["ahead"] and (arbiter["lacks"] or not arbiter["tip"]):
        return Plan(diverged=True, push=own)
    confirm, concede = judged(here["tentative"])
    if not confirm and not here["settles"]:
        return Plan(concede=concede, push=own)
    if arbiter["lacks"]:
        return Plan(mend="lines", push=swap)
    return Plan(concede=concede, confirm=confirm, push=own | swap)


def judged(tentative: Sequence[Tentative]) -> tuple[list[Tentative], list[Tentative]]:
    """The claims to confirm, at most one of an entity, and the claims to concede."""
    confirm: dict[str, Tentative] = {}
    concede: list[Tentative] = []
    for entity, claim, state in tentative:
        verdict = claims.verdict(state, claim)
        if verdict == "confirm":
            confirm.setdefault(entity, (entity, claim, state))
        elif verdict == "concede":
            concede.append((entity, claim, state))
    return list(confirm.values()), concede


def repair(arbiter: Arbiter) -> Plan:
    """Make one history of an arbiter that has two."""
    if arbiter["ahead"] or arbiter["behind"]:
        return Plan()
    return Plan(mend="both", push={arbiter["ref"]: arbiter["tip"]})


def archive(tips: Tips, kept: Sequence[str], written_ms: Mapping[str, int], before: int) -> Plan:
    """Take over what inactive replicas gave, and delete their refs.

    `kept` are this store's ref and the arbiter's. Of the others those are inactive whose tip was
    written before a time, in Unix milliseconds. This store's ref holds all of it before theirs are
    deleted.
    """
    inactive = {
        ref: tip for ref, tip in tips.items() if ref not in kept and written_ms[ref] < before
    }
    own = {kept[0]: tips.get(kept[0], "")}
    return Plan(push=own if inactive else {}, delete=inactive)
