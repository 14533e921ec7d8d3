"""Bodies of kernel types, checked against spec/schema: for events that a person emits by hand.

The tools write valid bodies and do not check them here.
"""

from __future__ import annotations

import os

from coord_envelope import codec
from coord_envelope.errors import BadData
from coord_envelope.event import KERNEL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def check_body(kind: str, body: object) -> None:
    """Raise BadData if `kind` is an unknown kernel type, or this is not a body of it."""
    if kind.partition(".")[0] not in KERNEL:
        return
    definitions = _bodies()
    if kind not in definitions or "." not in kind:
        todo = f"use a namespace other than {' '.join(KERNEL)}"
        raise BadData(f"unknown kernel type {kind!r}", todo=todo)
    from coord_envelope.validate import faults  # 1 ms, for no tool's own events

    for path, what in faults(definitions[kind], body, definitions):
        place = ".".join(map(str, ("body", *path)))
        raise BadData(f"{place}: {what[:200]}", todo=f"see {kind} in spec/types.md")


def names(kind: str) -> list[str]:
    """The fields of the body of a kernel type, by its schema."""
    return list(_bodies()[kind]["properties"])


def _bodies() -> dict[str, Any]:
    if _read:
        return _read
    path = os.path.join(os.path.dirname(__file__), "schema", "bodies.schema.json")
    with open(path, "rb") as file:
        _read.update(codec.loads(file.read())["$defs"])
    return _read


_read: dict[str, Any] = {}
