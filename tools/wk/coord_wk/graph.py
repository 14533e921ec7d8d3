"""Who waits on whom, without circles.

Edges are taken in the order of the events that made them; one that would close a circle is skipped. So every
replica with the same events skips the same edges, and nothing waits for ever without a reason shown (the idea of
the proven replicated tree: Kleppmann et al., "A highly-available move operation for replicated trees", 2021).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Edges = Callable[[str], list[tuple[str, str]]]  # of a node: (event id, node it waits on)


class Graph:
    """A graph that is asked for only where it matters; what was found out is remembered."""

    def __init__(self, edges: Edges) -> None:
        self._edges = edges
        self._out: dict[str, list[tuple[str, str]]] = {}
        self._skipped: dict[str, frozenset[str]] = {}

    def reaches(self, start: str, goal: str) -> bool:
        """Is there a way along edges from one node to the other?"""
        return goal in self._reachable(start)

    def skipped(self, node: str) -> frozenset[str]:
        """The events whose edges are skipped in the circles that the node is in; mostly none."""
        if node not in self._skipped:
            reachable = self._reachable(node)
            if node not in reachable:  # in no circle
                self._skipped[node] = frozenset()
            else:
                circle = {one for one in reachable if node in self._reachable(one)}
                skipped = _closing([(e, src, dst) for src in circle for e, dst in self._from(src) if dst in circle])
                self._skipped |= dict.fromkeys(circle, skipped)
        return self._skipped[node]

    def _from(self, node: str) -> list[tuple[str, str]]:
        if node not in self._out:
            self._out[node] = self._edges(node)
        return self._out[node]

    def _reachable(self, start: str) -> set[str]:
        """What can be reached in one step or more."""
        seen, todo = set[str](), [start]
        while todo:
            for _, to in self._from(todo.pop()):
                if to not in seen:
                    seen.add(to)
                    todo.append(to)
        return seen


def _closing(edges: list[tuple[str, str, str]]) -> frozenset[str]:
    """The events of those (event, from, to) that would close a circle if taken in order."""
    kept: dict[str, list[tuple[str, str]]] = {}
    skipped = set[str]()
    for event, src, dst in sorted(edges):
        if src == dst or Graph(lambda node: kept.get(node, [])).reaches(dst, src):
            skipped.add(event)
        else:
            kept.setdefault(src, []).append((event, dst))
    return frozenset(skipped)
