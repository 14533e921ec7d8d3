"""What is held, as a tree of the directories it is in. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coord_lease.fold import Row


class Node(NamedTuple):
    """A directory, or what is held: then with its leases."""

    name: str
    children: list[Node]
    leases: list[Row]


def tree(leases: Iterable[Row]) -> list[Node]:
    """The roots: files first, then a root for each other scheme. Directories alone are joined."""
    root = Node("", [], [])
    for lease in leases:
        for resource in lease["resources"]:
            scheme, _, rest = resource.partition(":")
            parts = [part for part in rest.split("/") if part] or ["."]
            node = _child(root, scheme)
            for part in parts if scheme == "file" else [rest]:
                node = _child(node, part)
            node.leases.append(lease)
    roots = sorted(root.children, key=lambda node: (node.name != "file", node.name))
    return [_joined(node, top=True) for node in roots]


def _child(node: Node, name: str) -> Node:
    for child in node.children:
        if child.name == name:
            return child
    child = Node(name, [], [])
    node.children.append(child)
    return child


def _joined(node: Node, top: bool = False) -> Node:
    children = sorted(map(_joined, node.children), key=lambda child: child.name)
    if len(children) == 1 and not node.leases and not top:
        only = children[0]
        return Node(f"{node.name}/{only.name}", only.children, only.leases)
    return Node(node.name, children, node.leases)
