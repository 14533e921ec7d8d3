"""Many changes at once: operations as JSON lines, one lock, one write. Pure but for the items it looks at.

    {"op":"new", "as":"$parser", "title":"Write the parser"}
    {"op":"dep", "id":"$parser", "to":"wk-k3f9x2ab"}

What `as` names can be used by the operations after it, wherever an id is.
"""

from __future__ import annotations

from coord_envelope import BadData, No, event
from coord_envelope.bodies import check_body
from coord_envelope.event import Made
from coord_kernel.rules import claims
from coord_wk import draft, fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

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

    def __init__(
        self, items: Items, resolve: Callable[[str], str], mine: Callable[[Json], bool]
    ) -> None:
        """`mine` says whether a claim is this session's."""
        self._items, self._resolve, self._mine = items, resolve, mine
        self._closed: dict[str, bool] = {}
        self._heads: dict[str, list[str]] = {}
        self._count = 0

    def draft(self, operation: Json) -> Json:
        """The draft of an operation. Raises BadData, No, Usage: why there is none."""
        self._count += 1
        label = Made(operation.get("as") or f"operation {self._count}")
        found = self._draft(operation)
        made = dict.fromkeys((*self._heads, label), "0" * 26) | {event.SELF: "0" * 26}
        check_body(found["type"], event.resolved(found["body"], made))
        item = label if operation["op"] == "new" else found["refs"]["work_id"]
        self._items.suppose(item, *draft.waits(found["body"]))
        if operation["op"] in ("close", "reopen"):
            self._closed[item] = operation["op"] == "close"
        if "idempotency_key" in operation:
            found["idempotency_key"] = operation["idempotency_key"]
        self._heads[item] = [label]
        return found | {"$as": str(label)}

    def _draft(self, operation: Json) -> Json:
        kind = operation.get("op")
        if not isinstance(kind, str) or kind not in OPERATIONS:
            raise BadData(f"op {kind!r} is none of {' '.join(OPERATIONS)}")
        for name in operation:
            if name not in (*OPERATIONS[kind], "op", "idempotency_key"):
                raise BadData(
                    f"field {name!r} is none of {kind}'s",
                    todo=f"it has {', '.join(OPERATIONS[kind])}",
                )
        if kind == "new":
            return self._new(operation)
        item = self._id(operation, "id")
        body, verb = self._body(kind, item, operation)
        return {
            "type": f"work.{verb}",
            "refs": {"work_id": item},
            "base": self._base(item),
            "body": body,
        }

    def _new(self, operation: Json) -> Json:
        name = operation.get("as")
        if name is not None and (
            not isinstance(name, str) or not name.startswith("$") or name in self._heads
        ):
            raise BadData(f"as {name!r} is no new name that begins with $")
        given = {key: value for key, value in operation.items() if key not in ("op", "as")}
        return draft.created(self._linked(given))

    def _body(self, kind: str, item: str, operation: Json) -> tuple[Json, str]:
        given = {
            name: operation[name]
            for name in OPERATIONS[kind][1:]
            if operation.get(name) is not None
        }
        if kind == "dep":
            deps = [{"rel": given.get("rel", "blocked_by"), "to": given.get("to")}]
            return {"add": self._linked({"deps": deps})}, "updated"
        if kind in ("update", "comment") and not given:
            raise BadData(
                f"{kind} has nothing to say", todo=f"give {' or '.join(OPERATIONS[kind][1:])}"
            )
        if kind == "update":
            self._refuse_closed(item)
            return {name: self._linked(part) for name, part in given.items()}, "updated"
        if kind == "close":
            self._refuse_closed(item)
            given = {"resolution": "done", **given, **self._own_claim(item)}
        if kind == "reopen" and not self._is_closed(item):
            raise No(f"{item} is not closed")
        draft.check(given)
        return given, {"comment": "commented", "close": "closed", "reopen": "reopened"}[kind]

    def _is_closed(self, item: str) -> bool:
        state = self._items.state(item)
        return self._closed.get(item, bool(state and fold.value(state, "closed")))

    def _refuse_closed(self, item: str) -> None:
        if self._is_closed(item):
            raise No(f"{item} is closed", todo="reopen it first")

    def _own_claim(self, item: str) -> Json:
        state = self._items.state(item)
        holder = claims.owner(state) if state and item not in self._closed else None
        if holder and not self._mine(holder):
            raise No(f"{item} is held by {holder['agent']}")
        return {"claim": holder["id"]} if holder else {}

    def _linked(self, given: Any) -> Any:
        """The same with full ids for the short ones and names it may have as a parent and in deps."""
        if not isinstance(given, dict):
            return given
        found = dict(given)
        if found.get("parent") is not None:
            found["parent"] = self._id(found, "parent")
        if isinstance(found.get("deps"), list):
            found["deps"] = [self._dep(one) for one in found["deps"]]
        return found

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
        return self._heads.get(item) or claims.base(self._items.known(item))
