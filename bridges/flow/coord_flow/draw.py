"""A formula's graph as text: a line for each step, with the round in which it can begin. Pure."""

from __future__ import annotations

from coord_kernel.cli.escape import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_flow.graph import Cooked

_WIDEST = 32
"""Columns of the ids."""


def rounds(made: Cooked) -> dict[str, int]:
    """Step → the earliest round in which it can be begun, if each round does all that are ready.

    What has parts is done in the round after the last of them.
    """
    found: dict[str, int] = {}
    parts = {step.id: [child.id for child in step.children] for step in made.steps}
    todo = [step.id for step in reversed(made.steps)]
    while todo:
        at = todo[-1]
        if at in found:
            todo.pop()
            continue
        needs = [*parts[at]]
        above: str | None = at
        while above is not None:
            needs += made.needs[above]
            above = made.parent.get(above)
        missing = [need for need in needs if need not in found]
        if missing:
            todo += missing
            continue
        found[at] = max((found[need] for need in needs), default=0) + 1
        todo.pop()
    return found


def lines(made: Cooked) -> Iterator[str]:
    """The lines of the graph."""
    when = rounds(made)
    count, last = len(made.steps), max(when.values(), default=0)
    steps, times = f"{count} step{'s' * (count != 1)}", f"{last} round{'s' * (last != 1)}"
    yield f"{visible(made.name)}: {steps} in {times}"
    depth: dict[str, int] = {}
    for step in made.steps:
        above = made.parent.get(step.id)
        depth[step.id] = 0 if above is None else depth[above] + 1
    ids = {step.id: "  " * depth[step.id] + visible(step.id) for step in made.steps}
    width = min(max(map(len, ids.values()), default=0), _WIDEST)
    for step in sorted(made.steps, key=lambda step: (when[step.id], 0)):
        gate = step.data.get("fields", {}).get("gate")
        kind = f" ({gate})" if gate else ""
        needs = ", ".join(map(visible, made.needs[step.id]))
        after = f"  < {needs}" if needs else ""
        yield f"{when[step.id]:>3}  {ids[step.id]:<{width}}  {visible(step.title)}{kind}{after}"
