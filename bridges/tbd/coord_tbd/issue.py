"""Items as the objects of tbd's JSON. Pure, except that an imported record is looked up.

What wk has no place for is in fields of the item whose names begin with `tbd:`.
"""

from __future__ import annotations

from coord_envelope import No
from coord_wk.desk import fields_of, owner_of, present, shown, status_of, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_wk.desk import Desk
    from coord_wk.items import Items

OWN = "tbd:"
STATUSES = ("open", "in_progress", "blocked", "deferred", "closed")
KINDS = ("bug", "feature", "task", "epic", "chore")
HOLDS = ("blocked", "deferred")


class NotFound(No):
    """No issue has this id."""

    code = "not_found"


class Issues:
    """The items of a store at one moment, as issues."""

    def __init__(self, desk: Desk, items: Items) -> None:
        self.desk, self.items = desk, items

    def find(self, name: str) -> str:
        """The item with an id: PREFIX-xxxx, the part behind the hyphen, or is-ULID. Raises No."""
        text = name.lower().removeprefix("is-")
        try:
            return self.desk.resolve(self.items, text.upper() if len(text) == 26 else text)
        except No:
            raise NotFound(f"Issue not found: {name}") from None

    def id(self, item: str) -> str:
        """The id that is shown."""
        return shown(self.items, item)

    def internal(self, item: str) -> str:
        """The internal id."""
        return f"is-{self.items.name(item).lower()}"

    def status(self, item: str) -> str:
        """The status of an issue."""
        return status_of(self.items.known(item), HOLDS)

    def kind(self, item: str) -> str:
        """The kind; task for a kind unknown to tbd."""
        kind = self.items.kind(item)
        return kind if kind in KINDS else "task"

    def priority(self, item: str) -> int:
        """The priority."""
        level = value(self.items.known(item), "priority")
        return level if isinstance(level, int) else 2

    def assignee(self, item: str) -> str | None:
        """Who should do it: who it is assigned to, else who holds it."""
        state = self.items.known(item)
        holder = owner_of(state)
        who = value(state, "assignee") or (holder["agent"] if holder else None)
        return str(who).removeprefix("agent:") if who else None

    def parent(self, item: str) -> str | None:
        """Its parent, if that is here."""
        return next(iter(self.items.ancestors(item)), None)

    def order(self, item: str) -> list[str]:
        """Its parts, as its order says, the others behind them."""
        parts = self.items.children(item)
        asked = fields_of(self.items.known(item)).get(f"{OWN}child_order", "")
        first = [part for part in str(asked).split(",") if part in parts]
        return first + [part for part in parts if part not in first]

    def blocks(self, item: str) -> list[str]:
        """What waits on it."""
        return [to for rel, to in self.items.dependents(item) if rel == "blocked_by"]

    def blocked_by(self, item: str) -> list[str]:
        """What it waits on."""
        return [to for rel, to in self.items.links(item) if rel == "blocked_by"]

    def blockers(self, item: str) -> list[str]:
        """What it waits on that is here and open."""
        return [to for to in self.blocked_by(item) if self.items.is_open(to)]

    def fields(self, item: str) -> Json:
        """Fields `tbd:NAME`, and those of the record that it was imported from."""
        state = self.items.known(item)
        own = {k[len(OWN) :]: v for k, v in fields_of(state).items() if k.startswith(OWN)}
        if str(state.get("key")).startswith("tbd:"):
            own = self.desk.imported(self.items, item) | own
        return own

    def row(self, item: str) -> Json:
        """An issue in `list`."""
        parent = self.parent(item)
        order = [self.internal(part) for part in self.order(item)]
        row = {
            "id": self.id(item),
            "internalId": self.internal(item),
            "parentId": self.id(parent) if parent else None,
            **self.brief(item),
            "assignee": self.assignee(item),
            "labels": list(present(self.items.known(item), "labels")),
            "spec_path": self.fields(item).get("spec_path"),
            "child_order_hints": order or None,
        }
        return {name: each for name, each in row.items() if each is not None}

    def brief(self, item: str) -> Json:
        """What every list has of an issue."""
        row = {
            "id": self.id(item),
            "priority": self.priority(item),
            "status": self.status(item),
            "kind": self.kind(item),
            "title": value(self.items.known(item), "title"),
            "description": self.items.description(item),
        }
        return {name: each for name, each in row.items() if each is not None}

    def issue(self, item: str) -> Json:
        """An issue as it is in its file."""
        state, fields, parent = self.items.known(item), self.fields(item), self.parent(item)
        closed, then = value(state, "closed"), value(state, "defer_until")
        ended: Json = closed if isinstance(closed, dict) else {}
        brief = self.brief(item)
        deferred = fields.get("deferred_until") or then
        issue = {
            "type": "is",
            "id": self.internal(item),
            "version": len(state["dag"]),
            "created_at": state["created"]["ts"],
            "updated_at": state["last"]["ts"],
            **{name: brief[name] for name in ("title", "kind", "status", "priority")},
            "description": brief.get("description"),
            "notes": fields.get("notes"),
            "spec_path": fields.get("spec_path"),
            "assignee": self.assignee(item),
            "labels": list(present(state, "labels")),
            "dependencies": [
                {"type": "blocks", "target": self.internal(to)} for to in self.blocks(item)
            ],
            "parent_id": self.internal(parent) if parent else None,
            "child_order_hints": [self.internal(part) for part in self.order(item)] or None,
            "due_date": fields.get("due_date"),
            "deferred_until": deferred,
            "closed_at": ended.get("ts"),
            "close_reason": ended.get("note"),
        }
        return {name: each for name, each in issue.items() if each is not None}

    def shown(self, item: str, parent: bool) -> Json:
        """An issue as `show` has it, with its parent."""
        above = self.parent(item) if parent else None
        whole = {**self.issue(item), "displayId": self.id(item)}
        if above:
            whole["parent"] = {**self.issue(above), "displayId": self.id(above)}
        return whole
