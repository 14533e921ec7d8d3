"""Who knew of what: the events of one entity as a graph.

    1. The `base` of an event names the events of the entity that its writer had seen and that no
       other event it had seen names: an edge from the event to each of them.
    2. One event precedes another if it can be reached from it along these edges. Clocks are not
       consulted.
    3. Heads are the events that no other event names: the `base` of the next one.
    4. An event may name one with a greater id: its clock ran ahead, or the base is forged. Such
       ids are kept in `early`. A base that would close a circle is ignored, since a circle has no
       head, and nobody could write after it.

Everything here is a fold of events in order of event_id, and total: no base, however wrong, makes
it raise or stops later events from counting.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypedDict

    from coord_envelope.event import Event

    class Graph(TypedDict):
        """The events of an entity by what their writers knew; the state that folds extend."""

        dag: dict[str, list[str]]
        """Event id → the ids that its base names."""
        heads: list[str]
        early: list[str]
        """Ids that an event with a smaller id names."""


def nothing() -> Graph:
    """The state before the first event."""
    return {"dag": {}, "heads": [], "early": []}


def know(state: Graph, event: Event) -> bool:
    """Add an event and its base to the graph. Does an earlier event in the order name it already?

    If so, events that were taken to be concurrent may turn out only now to precede others.
    """
    at, base = event.id, event.get("base")
    dag, heads, early = state["dag"], state["heads"], state["early"]
    if base == heads and at not in dag and at not in early:  # the usual case: it saw everything
        dag[at], state["heads"] = base, [at]
        return False
    named = [before for before in base if isinstance(before, str)] if isinstance(base, list) else []
    known = [
        before
        for before in named
        if before != at and not (at in early and precedes(state, at, before))
    ]
    early += [before for before in known if before > at]
    dag[at] = [*dag.get(at, ()), *known]
    if known:
        state["heads"] = heads = [head for head in heads if head not in known]
    if at not in early and at not in heads:
        heads.append(at)
    return at in early


def precedes(state: Graph, before: str, event_id: str) -> bool:
    """Did the writer of `event_id` know of `before`?"""
    dag, early = state["dag"], state["early"]
    todo, seen = list(dag.get(event_id, ())), set[str]()
    while todo:
        at = todo.pop()
        if at == before:
            return True
        # Unless a base names a greater id, no path from an older event leads to `before`.
        if (at > before or early) and at not in seen:
            seen.add(at)
            todo += dag.get(at, ())
    return False


def complete(state: Graph, event_id: str) -> bool:
    """Is everything here that the writer of this event knew of? If not, it may still arrive."""
    todo, seen = [event_id], set[str]()
    while todo:
        at = todo.pop()
        if at not in state["dag"]:
            return False
        if at not in seen:
            seen.add(at)
            todo += state["dag"][at]
    return True


def united(states: Sequence[Graph]) -> Graph:
    """One graph of several entities that turned out to be one."""
    dag = {at: base for state in states for at, base in state["dag"].items()}
    known = {before for base in dag.values() for before in base}
    early = [event_id for state in states for event_id in state["early"]]
    return {"dag": dag, "heads": sorted(dag.keys() - known), "early": early}
