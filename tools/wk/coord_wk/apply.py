"""Many changes at once: operations as JSON lines, one lock, one write. Pure, given the items.

    {"op":"new", "as":"$parser", "title":"Write the parser"}
    {"op":"dep", "id":"$parser", "to":"wk-k3f9x2ab"}

Operations after the one with `as` may use its name wherever an id is.
"""

from __future__ import annotations

from coord_envelope import BadData, No
from coord_envelope.bodies import check_body
from coord_kernel.rules import claims
from coord_wk import draft as drafts
from coord_wk import fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.rules.claims import Owner
    from coord_wk.items import Items

OPERATIONS = {
    "new": (*drafts.NEW, "as"),
    "update": ("id", "set", "add", "rm"),
    "dep": ("id", "to", "rel"),
    "comment": ("id", "text"),
    "close": ("id", "resolution", "note"),
    "reopen": ("id", "reason"),
}
"""The fields of each operation, besides op and idempotency_key."""
VERBS = {"comment": "commented", "close": "closed", "reopen": "reopened"}


class Batch:
    """Turns operations into drafts, each with the effects of the operations before it.

    For each operation: `draft`, then append the draft in the transaction under whose lock the items
    were looked at, then `record` the event. A draft that is not recorded has no effect.
    """

    def __init__(self, items: Items, mine: Callable[[Owner], bool]) -> None:
        """`mine`: is a claim this session's?"""
        self._items, self._mine = items, mine
        self._names: dict[str, str] = {}
        self._closed: dict[str, bool] = {}
        self._heads: dict[str, list[str]] = {}

    def draft(self, operation: Json) -> Json:
        """The draft of an operation. Raises BadData, No, Usage."""
        kind = operation.get("op")
        if not isinstance(kind, str) or kind not in OPERATIONS:
            raise BadData(f"unknown op {kind!r}", todo=f"valid ops: {' '.join(OPERATIONS)}")
        for name in operation:
            if name not in (*OPERATIONS[kind], "op", "idempotency_key"):
                todo = f"valid fields: {', '.join(OPERATIONS[kind])}"
                raise BadData(f"unknown field {name!r}", todo=todo)
        draft = self._new(operation) if kind == "new" else self._change(kind, operation)
        check_body(draft["type"], draft["body"])
        self._items.refuse_cycle(draft["refs"]["work_id"], *drafts.waits(draft["body"]))
        if "idempotency_key" in operation:
            draft["idempotency_key"] = operation["idempotency_key"]
        return draft

    def record(self, operation: Json, event: Event) -> None:
        """Give the operations after this one the effects of its event."""
        item = event["refs"]["work_id"]
        self._heads[item] = [event.id]
        self._items.suppose(item, *drafts.waits(event["body"]))
        if operation.get("as"):
            self._names[operation["as"]] = item
        if operation["op"] in ("new", "close", "reopen"):
            self._closed[item] = operation["op"] == "close"

    def _new(self, operation: Json) -> Json:
        name = operation.get("as")
        if name is not None and (not isinstance(name, str) or not name.startswith("$")):
            raise BadData(f"not a valid name in as: {name!r}", todo="begin it with $")
        if name in self._names:
            raise BadData(f"{name} is the name of an earlier operation", todo="use another name")
        words = {field: value for field, value in operation.items() if field not in ("op", "as")}
        return drafts.created(self._linked(words))

    def _change(self, kind: str, operation: Json) -> Json:
        item = self._id(operation, "id")
        verb, body = self._body(kind, item, operation)
        return {
            "type": f"work.{verb}",
            "refs": {"work_id": item},
            "base": self._heads.get(item) or claims.base(self._items.known(item)),
            "body": body,
        }

    def _body(self, kind: str, item: str, operation: Json) -> tuple[str, Json]:
        names = OPERATIONS[kind][1:]
        body = {name: operation[name] for name in names if operation.get(name) is not None}
        if kind == "dep":
            dep = {"rel": body.get("rel", "blocked_by"), "to": body.get("to")}
            return "updated", {"add": self._linked({"deps": [dep]})}
        if kind in ("update", "comment") and not body:
            raise BadData(f"{kind} without {' or '.join(names)}")
        if kind in ("update", "close") and self._is_closed(item):
            raise No(f"{item} is closed", todo="reopen it first")
        if kind == "update":
            return "updated", {name: self._linked(part) for name, part in body.items()}
        if kind == "close":
            body = {"resolution": "done", **body, **self._own_claim(item)}
        if kind == "reopen" and not self._is_closed(item):
            raise No(f"{item} is not closed")
        drafts.check(body)
        return VERBS[kind], body

    def _is_closed(self, item: str) -> bool:
        if item in self._closed:
            return self._closed[item]
        return bool(fold.value(self._items.known(item), "closed"))

    def _own_claim(self, item: str) -> Json:
        holder = None if item in self._closed else claims.owner(self._items.known(item))
        if holder and not self._mine(holder):
            raise No(f"{item} is held by {holder['agent']}")
        return {"claim": holder["id"]} if holder else {}

    def _linked(self, words: Any) -> Any:
        """The same with full ids for short ids and names, in `parent` and `deps`."""
        if not isinstance(words, dict):
            return words
        linked = dict(words)
        if linked.get("parent") is not None:
            linked["parent"] = self._id(linked, "parent")
        if isinstance(linked.get("deps"), list):
            linked["deps"] = [self._dep(dep) for dep in linked["deps"]]
        return linked

    def _dep(self, dep: object) -> Json:
        if not isinstance(dep, dict) or dep.get("rel") not in drafts.RELATIONS:
            todo = f"valid values of rel: {' '.join(drafts.RELATIONS)}"
            raise BadData("not a dependency: {rel, to}", todo=todo)
        return {"rel": dep["rel"], "to": self._id(dep, "to")}

    def _id(self, operation: Json, name: str) -> str:
        text = operation.get(name)
        if not isinstance(text, str):
            raise BadData(f"{name} is missing or not an id")
        if not text.startswith("$"):
            return self._items.resolve(text)
        if text not in self._names:
            raise BadData(f"{name}: no earlier operation has the name {text}")
        return self._names[text]
