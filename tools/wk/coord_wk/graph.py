"""Which items wait on which, without cycles.

Two stores may each add one half of a cycle, so that no check before writing can keep cycles out.
They are broken when the graph is read:

    1. Each edge was made by an event. Edges are ordered by (event id, from, to).
    2. The nodes of a cycle are in one strongly connected component. Each component is found by
       depth-first search from a node that was asked for, and settled once (Gabow, "Path-based
       depth-first search for strong and biconnected components", 2000).
    3. Within a component its edges are taken in order. An edge that would close a cycle with those
       taken before it is skipped.

So every replica with the same events skips the same edges, and no item waits for ever without a
reason that is shown (the idea of Kleppmann et al., "A highly-available move operation for
replicated trees", 2021).

The search, with its three stacks:

    4. `todo` holds the nodes being visited, each with its edges still to follow.
    5. `path` holds the nodes that were reached and are not settled.
    6. `roots` holds those of `path` where a component may begin. An edge to a node on the path
       closes a cycle: everything behind that node belongs to its component, so later roots go.
    7. A node whose edges are used up and that is the last root is the first of its component:
       it and what stands behind it on the path are settled.

A node inherits what its ancestors wait on, so that in a deep tree there are very many edges:

    8. The node X leads to its auxiliary node ^X, that to what X itself waits on, and to the ^P of
       its parent P. What is reached is the same. Only within a component are the edges themselves
       looked at.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Edges = Callable[[str], list[tuple[str, str]]]  # of a node: (event id, node it leads to)
    Edge = tuple[str, str, str]  # event id, from, to

AUX = "^"
"""How the name of an auxiliary node begins; see 8."""


class Graph:
    """A graph whose edges are asked for only where they matter, and remembered."""

    def __init__(self, edges: Edges, waits: Edges) -> None:
        """`edges` also leads to and from auxiliary nodes; `waits` has all edges between others."""
        self._edges, self._waits = edges, waits
        self._out: dict[str, list[tuple[str, str]]] = {}
        self._skipped: dict[str, frozenset[Edge]] = {}
        self.cyclic = False
        """Was an edge skipped, in those components that were settled?"""

    def forget(self, nodes: Iterable[str]) -> None:
        """The edges of these nodes are others now."""
        for node in nodes:
            self._out.pop(node, None)
        self._skipped.clear()

    def reachable(self, start: str) -> set[str]:
        """The nodes, auxiliary ones too, that can be reached in one step or more."""
        seen, todo = set[str](), [start]
        while todo:
            for _, to in self.out(todo.pop()):
                if to not in seen:
                    seen.add(to)
                    todo.append(to)
        return seen

    def skipped(self, node: str) -> frozenset[Edge]:
        """The edges that are skipped in the component of the node; mostly none."""
        if not self.out(node):
            return frozenset()
        if node not in self._skipped:
            self._find_components(node)
        return self._skipped[node]

    def out(self, node: str) -> list[tuple[str, str]]:
        """The node's edges: (event id, node it leads to)."""
        if node not in self._out:
            self._out[node] = self._edges(node)
        return self._out[node]

    def _find_components(self, start: str) -> None:
        """Settle every node that can be reached from `start`, each once."""
        number, path, roots = {start: 0}, [start], [start]
        todo = [(start, iter(self.out(start)))]
        while todo:
            node, edges = todo[-1]
            _, to = next(edges, ("", None))
            if to is None:
                todo.pop()
                if roots[-1] == node:
                    roots.pop()
                    component = [path.pop()]
                    while component[-1] != node:
                        component.append(path.pop())
                    self._settle(component)
            elif to not in number and to not in self._skipped:
                number[to] = len(number)
                path.append(to)
                roots.append(to)
                todo.append((to, iter(self.out(to))))
            elif to not in self._skipped:
                while number[roots[-1]] > number[to]:
                    roots.pop()

    def _settle(self, nodes: list[str]) -> None:
        skipped = frozenset[tuple[str, str, str]]()
        if len(nodes) > 1 or any(to == nodes[0] for _, to in self.out(nodes[0])):
            component = {node for node in nodes if not node.startswith(AUX)}
            edges = [
                (event, node, to)
                for node in component
                for event, to in self._waits(node)
                if to in component
            ]
            skipped = _closing(edges)
            self.cyclic = self.cyclic or bool(skipped)
        self._skipped |= dict.fromkeys(nodes, skipped)


def _closing(edges: list[Edge]) -> frozenset[Edge]:
    """The edges that would close a cycle if all are taken in order."""
    ahead: dict[str, list[str]] = {}
    behind: dict[str, list[str]] = {}
    skipped = set[tuple[str, str, str]]()
    for event, node, to in sorted(edges):
        if node == to or _path(ahead, to, behind, node):
            skipped.add((event, node, to))
        else:
            ahead.setdefault(node, []).append(to)
            behind.setdefault(to, []).append(node)
    return frozenset(skipped)


def _path(ahead: dict[str, list[str]], start: str, behind: dict[str, list[str]], goal: str) -> bool:
    """Does a path lead from start to goal? From both ends in turn: it costs the shorter search."""
    sides, seen = ((ahead, [start]), (behind, [goal])), ({start}, {goal})
    while True:
        for side, (ways, todo) in enumerate(sides):
            if not todo:
                return False
            for node in ways.get(todo.pop(), ()):
                if node in seen[1 - side]:
                    return True
                if node not in seen[side]:
                    seen[side].add(node)
                    todo.append(node)
