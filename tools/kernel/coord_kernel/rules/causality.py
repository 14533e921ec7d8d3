"""Who knew of what: the events of one entity as a graph, edges from each event to its `base`.

One event precedes another if it is reachable from it through `base`. Heads are the events that no other knew of.
Everything here is a fold of events in order of event_id, total on any of them: a base from a clock that ran ahead,
or one that somebody forged, freezes nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_envelope.event import Event


def nothing() -> Json:
    """The state before the first event."""
    return {"dag": {}, "heads": [], "early": []}


def know(state: Json, event: Event) -> bool:
    """Take in what the event's writer knew of. Is it one that an event before it knew of already?

    Then what was written before may be known to be of the past only now.
    """
    at, base = event.id, event.get("base")
    dag, heads, early = state["dag"], state["heads"], state["early"]
    if base == heads and at not in dag and at not in early:  # it saw everything: mostly so
        dag[at], state["heads"] = base, [at]
        return False
    named = [one for one in base if isinstance(one, str)] if isinstance(base, list) else []
    # A circle would have no head, and nobody could write past it.
    known = [one for one in named if one != at and not (at in early and precedes(state, at, one))]
    early += [one for one in known if one > at]  # from a clock that ran ahead
    dag[at] = [*dag.get(at, ()), *known]
    if known:
        state["heads"] = heads = [one for one in heads if one not in known]
    if at not in early and at not in heads:
        heads.append(at)
    return at in early


def precedes(state: Json, one: str, other: str) -> bool:
    """Did the writer of `other` know of `one`?"""
    dag, early = state["dag"], state["early"]
    todo, seen = list(dag.get(other, ())), set[str]()
    while todo:
        at = todo.pop()
        if at == one:
            return True
        # Where no id is smaller than one its writer knew, what is older than `one` leads nowhere.
        if (at > one or early) and at not in seen:
            seen.add(at)
            todo += dag.get(at, ())
    return False


def complete(state: Json, at: str) -> bool:
    """Is everything here that the writer of this event knew of? Else what it knew of may come yet."""
    todo, seen = [at], set[str]()
    while todo:
        one = todo.pop()
        if one not in state["dag"]:
            return False
        if one not in seen:
            seen.add(one)
            todo += state["dag"][one]
    return True


def united(states: list[Json]) -> Json:
    """What is known of entities that are one, in a state of their own."""
    dag = {at: base for state in states for at, base in state["dag"].items()}
    known = {one for base in dag.values() for one in base}
    early = [one for state in states for one in state["early"]]
    return {"dag": dag, "heads": sorted(dag.keys() - known), "early": early}
