"""Bodies of kernel types, checked against spec/schema: for events that a person emits by hand.

The tools write valid bodies and do not check them here.
"""

from __future__ import annotations

import os

from coord_envelope import codec
from coord_envelope.errors import BadData
from coord_envelope.event import KERNEL, USERLAND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def check_body(kind: str, body: object) -> None:
    """Raise BadData if `kind` is an unknown kernel type, or this is not a body of it.

    Also of a type of spec/userland.md; other types are the user's.
    """
    space, page = kind.partition(".")[0], "types.md"
    if space in USERLAND:
        definitions, page = _definitions("userland"), "userland.md"
        if kind not in definitions:
            return
    elif space in KERNEL:
        definitions = _definitions("bodies")
    else:
        return
    if kind not in definitions or "." not in kind:
        todo = f"use a namespace other than {' '.join(KERNEL)}"
        raise BadData(f"unknown kernel type {kind!r}", todo=todo)
    from coord_envelope.validate import faults  # 1 ms, for no tool's own events

    for path, what in faults(definitions[kind], body, definitions):
        place = ".".join(map(str, ("body", *path)))
        raise BadData(f"{place}: {what[:200]}", todo=f"see {kind} in spec/{page}")


def names(kind: str) -> list[str]:
    """The fields of the body of a kernel type, by its schema."""
    return list(_definitions("bodies")[kind]["properties"])


def _definitions(schema: str) -> dict[str, Any]:
    if schema not in _read:
        path = os.path.join(os.path.dirname(__file__), "schema", f"{schema}.schema.json")
        with open(path, "rb") as file:
            _read[schema] = codec.loads(file.read())["$defs"]
    return _read[schema]


_read: dict[str, dict[str, Any]] = {}
