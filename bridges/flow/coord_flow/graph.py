"""The graph of a formula's steps: what waits for what, and their order. Pure."""

from __future__ import annotations

import heapq

from coord_flow.steps import Step, every

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from coord_envelope.codec import Json
    from coord_flow.shape import Problems

CONVOY = "convoy"


class Cooked:
    """A formula with all its steps. `steps` are in an order in which they can be done."""

    def __init__(self, data: Json, bound: Mapping[str, str]) -> None:
        self.data, self.bound = data, bound
        self.tops: list[Step] = []
        self.steps: list[Step] = []
        self.needs: dict[str, list[str]] = {}
        self.parent: dict[str, str] = {}
        self.known: Json = {}

    @property
    def name(self) -> str:
        return str(self.data.get("formula", ""))

    @property
    def convoy(self) -> bool:
        return self.data.get("type") == CONVOY


def order(made: Cooked, needs_of: Callable[[Step], list[str]], problems: Problems) -> None:
    """Sort the steps; a duplicate, an unknown need and a cycle are faults."""
    steps: dict[str, Step] = {}
    for step in every(made.tops):
        if step.id in steps:
            problems.add(step.id, "two steps have this id", "rename one")
        steps[step.id] = step
    for parent in steps.values():
        made.parent |= {child.id: parent.id for child in parent.children}
    for step in every(made.tops):
        needs = needs_of(step)
        for need in needs:
            if need not in steps:
                problems.add(step.id, f"needs unknown step {need!r}", "name a step of this formula")
        made.needs[step.id] = [need for need in needs if need in steps]
    cycle = _cycle(made, steps)
    if cycle:
        problems.add(cycle[0], f"cycle: {' needs '.join([*cycle, cycle[0]])}", "remove one need")
        made.steps = list(steps.values())
    else:
        made.steps = _sorted(made, steps)


def _sorted(made: Cooked, steps: Mapping[str, Step]) -> list[Step]:
    """Each behind its parent and what it needs, else as in the file."""
    place = {id_: number for number, id_ in enumerate(steps)}
    names = list(steps)
    left = {id_: len(made.needs[id_]) + (id_ in made.parent) for id_ in steps}
    then: dict[str, list[str]] = {id_: [] for id_ in steps}
    for id_ in steps:
        for need in made.needs[id_]:
            then[need].append(id_)
        if id_ in made.parent:
            then[made.parent[id_]].append(id_)
    ready = [place[id_] for id_, count in left.items() if not count]
    heapq.heapify(ready)
    done: list[Step] = []
    while ready:
        id_ = names[heapq.heappop(ready)]
        done.append(steps[id_])
        for each in then[id_]:
            left[each] -= 1
            if not left[each]:
                heapq.heappush(ready, place[each])
    return done


def _cycle(made: Cooked, steps: Mapping[str, Step]) -> list[str]:
    """The ids of steps that wait in a circle; empty if there is no circle.

    A step waits for its parts, and for what it or a step that it is a part of needs.
    """
    state: dict[str, int] = {}
    for start in steps:
        path, todo = list[str](), [(start, iter(_waits(start, made, steps)))]
        if state.get(start):
            continue
        state[start] = 1
        path.append(start)
        while todo:
            id_, rest = todo[-1]
            for each in rest:
                if state.get(each) == 1:
                    return path[path.index(each) :]
                if not state.get(each):
                    state[each] = 1
                    path.append(each)
                    todo.append((each, iter(_waits(each, made, steps))))
                    break
            else:
                state[id_] = 2
                path.pop()
                todo.pop()
    return []


def _waits(id_: str, made: Cooked, steps: Mapping[str, Step]) -> Iterator[str]:
    yield from (child.id for child in steps[id_].children)
    at: str | None = id_
    while at is not None:
        yield from made.needs[at]
        at = made.parent.get(at)
