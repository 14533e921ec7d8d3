"""Many changes at once: operations as JSON lines, one lock, one write. Pure but for the items it looks at.

    {"op":"new", "as":"$parser", "title":"Write the parser"}
    {"op":"dep", "id":"$parser", "to":"wk-k3f9x2ab"}

What `as` names can be used by the operations after it, wherever an id is.
"""

from __future__ import annotations

from coord_envelope import BadData, No, event
from coord_envelope.bodies import check_body
from coord_envelope.event import Made
from coord_wk import draft, fold
from coord_wk.graph import Graph

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from coord_envelope.codec import Json
    from coord_wk.items import Items

OPERATIONS = {
    "new": (*draft.NEW, "as"),
    "update": ("id", "set", "add", "rm"),
    "dep": ("id", "to", "rel"),
    "comment": ("id", "text"),
    "close": ("id", "resolution", "note"),
    "reopen": ("id", "reason"),
}
"""What each operation takes, besides op and idempotency_key."""


class Batch:
    """Turns operations into drafts, each seeing what the ones before it did."""

    def __init__(self, items: Items, resolve: Callable[[str], str], mine: Callable[[Json], bool]) -> None:
        """`mine` says whether a claim is this session's."""
        self._items, self._resolve, self._mine = items, resolve, mine
        self._closed = set[str]()
        self._heads: dict[str, list[str]] = {}
        self._waits: dict[str, list[tuple[str, str]]] = {}
        self._count = 0

    def draft(self, operation: Json) -> Json:
        """The draft of an operation. Raises BadData, No, Usage: why there is none."""
        found = self._draft(operation)
        made = dict.fromkeys((*self._heads, str(operation.get("as"))), "0" * 26) | {event.SELF: "0" * 26}
        check_body(found["type"], event.resolved(found["body"], made))
        if "idempotency_key" in operation:
            found["idempotency_key"] = operation["idempotency_key"]
        self._count += 1
        item = found["refs"]["work_id"]
        label = str(operation.get("as", f"operation {self._count}"))
        self._heads[label if operation["op"] == "new" else item] = [Made(label)]
        return found | {"$as": label}

    def _draft(self, operation: Json) -> Json:
        kind = operation.get("op")
        if kind not in OPERATIONS:
            raise BadData(f"op {kind!r} is none of {' '.join(OPERATIONS)}")
        for name in operation:
            if name not in (*OPERATIONS[kind], "op", "idempotency_key"):
                raise BadData(f"field {name!r} is none of {kind}'s", todo=f"it has {', '.join(OPERATIONS[kind])}")
        if kind == "new":
            return self._new(operation)
        item = self._id(operation, "id")
        body, verb = self._body(kind, item, operation)
        return {"type": f"work.{verb}", "refs": {"work_id": item}, "base": self._base(item), "body": body}

    def _new(self, operation: Json) -> Json:
        name = operation.get("as")
        if name is not None and (not isinstance(name, str) or not name.startswith("$") or name in self._heads):
            raise BadData(f"as {name!r} is no new name that begins with $")
        given = {key: value for key, value in operation.items() if key not in ("op", "as")}
        if "parent" in given:
            given["parent"] = self._id(given, "parent")
        if "deps" in given:
            given["deps"] = [self._dep(one) for one in given["deps"]] if isinstance(given["deps"], list) else []
            waits = [("", dep["to"]) for dep in given["deps"] if dep["rel"] == "blocked_by"]
            self._waits[Made(name or "")] = waits
        return draft.created(given)

    def _body(self, kind: str, item: str, operation: Json) -> tuple[Json, str]:
        given = {name: operation[name] for name in OPERATIONS[kind][1:] if operation.get(name) is not None}
        if kind == "dep":
            dep = self._dep({"rel": given.get("rel", "blocked_by"), "to": given.get("to")})
            self._no_circle(item, dep)
            return {"add": {"deps": [dep]}}, "updated"
        if kind in ("close", "update"):
            self._open(item)
        if kind in ("update", "comment") and not given:
            raise BadData(f"{kind} has nothing to say", todo=f"give {' or '.join(OPERATIONS[kind][1:])}")
        if kind == "close":
            given.setdefault("resolution", "done")
            self._closed.add(item)
        if kind == "reopen":
            self._closed.discard(item)
        draft.check(given)
        return given, {"update": "updated", "comment": "commented", "close": "closed", "reopen": "reopened"}[kind]

    def _open(self, item: str) -> None:
        state = None if isinstance(item, Made) else self._items.known(item)
        if item in self._closed or (state and item not in self._heads and fold.value(state, "closed")):
            raise No(f"{item} is closed", todo="reopen it first")
        holder = state and fold.owner(state)
        if holder and not self._mine(holder):
            raise No(f"{item} is held by {holder['agent']}")

    def _no_circle(self, item: str, dep: Json) -> None:
        if dep["rel"] != "blocked_by":
            return
        if item == dep["to"] or Graph(self._edges).reaches(dep["to"], item):
            raise BadData(f"{dep['to']} waits on {item} already")
        self._waits.setdefault(item, []).append(("", dep["to"]))

    def _edges(self, item: str) -> list[tuple[str, str]]:
        known = [] if isinstance(item, Made) else self._items.edges(item)
        return known + self._waits.get(item, [])

    def _dep(self, given: object) -> Json:
        if not isinstance(given, dict) or given.get("rel") not in draft.RELATIONS:
            raise BadData(f"a dependency is {{rel, to}} with a rel of {' '.join(draft.RELATIONS)}")
        return {"rel": given["rel"], "to": self._id(given, "to")}

    def _id(self, operation: Json, name: str) -> str:
        text = operation.get(name)
        if not isinstance(text, str):
            raise BadData(f"{name} is missing or no id")
        if not text.startswith("$"):
            return self._resolve(text)
        if text not in self._heads:
            raise BadData(f"{name} {text} was not made before")
        return Made(text)

    def _base(self, item: str) -> list[str]:
        return self._heads.get(item) or fold.heads(self._items.known(item))
