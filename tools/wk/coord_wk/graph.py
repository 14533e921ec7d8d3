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
    Edge = tuple[str, str, str]  # event id, from, to


class Graph:
    """A graph that is asked for only where it matters; what was found out is remembered."""

    def __init__(self, edges: Edges) -> None:
        self._edges = edges
        self._out: dict[str, list[tuple[str, str]]] = {}
        self._skipped: dict[str, frozenset[Edge]] = {}

    def reachable(self, start: str) -> set[str]:
        """What can be reached in one step or more."""
        seen, todo = set[str](), [start]
        while todo:
            for _, to in self.out(todo.pop()):
                if to not in seen:
                    seen.add(to)
                    todo.append(to)
        return seen

    def skipped(self, node: str) -> frozenset[Edge]:
        """The edges that are skipped in the circles that the node is in; mostly none."""
        if node not in self._skipped:
            self._find_circles(node)
        return self._skipped[node]

    def out(self, node: str) -> list[tuple[str, str]]:
        """The node's edges: (event id, node it waits on)."""
        if node not in self._out:
            self._out[node] = self._edges(node)
        return self._out[node]

    def _find_circles(self, start: str) -> None:
        """Settle all that can be reached from there, each node once.

        (Gabow, "Path-based depth-first search for strong and biconnected components", 2000)
        """
        number = {start: 0}
        path, roots = (
            [start],
            [start],
        )  # not settled yet; of these, where what may be a circle begins
        todo = [(start, iter(self.out(start)))]
        while todo:
            node, ways = todo[-1]
            _, to = next(ways, ("", None))
            if to is None:
                todo.pop()
                if roots[-1] == node:
                    roots.pop()
                    circle = [path.pop()]
                    while circle[-1] != node:
                        circle.append(path.pop())
                    self._settle(circle)
            elif to not in number and to not in self._skipped:
                number[to] = len(number)
                path.append(to)
                roots.append(to)
                todo.append((to, iter(self.out(to))))
            elif to not in self._skipped:
                while number[roots[-1]] > number[to]:
                    roots.pop()

    def _settle(self, nodes: list[str]) -> None:
        circle = set(nodes)
        edges = [(event, src, to) for src in nodes for event, to in self.out(src) if to in circle]
        self._skipped |= dict.fromkeys(nodes, _closing(edges))


def _closing(edges: list[Edge]) -> frozenset[Edge]:
    """Those of the edges that would close a circle if taken in order."""
    kept: dict[str, list[tuple[str, str]]] = {}
    skipped = set[tuple[str, str, str]]()
    for event, src, to in sorted(edges):
        if src == to or src in Graph(lambda node: kept.get(node, [])).reachable(to):
            skipped.add((event, src, to))
        else:
            kept.setdefault(src, []).append((event, to))
    return frozenset(skipped)
