"""Items as the objects of beads' JSON. Pure, except that an imported record is looked up.

What wk has no place for is in fields of the item whose names begin with `bd:`; other fields are its
metadata. A relation that wk has no word for is `relates_to` or `blocked_by`, and the type is in the
field `bd:dep:ID`.
"""

from __future__ import annotations

from coord_envelope import ids, world
from coord_wk.desk import fields_of, owner_of, shown, status_of, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coord_envelope.codec import Json
    from coord_wk.desk import Desk
    from coord_wk.items import Items

OWN = "bd:"
TEXTS = ("design", "acceptance_criteria", "notes", "spec_id", "external_ref", "due_at", "sender")
"""Kept in fields `bd:NAME`, as are these:"""
OTHERS = ("estimated_minutes", "closed_by_session", "mol_type", "wisp_type", "ephemeral", "pinned")
HOLDS = ("blocked", "deferred", "pinned", "hooked")
"""Statuses that are a hold here."""
STATUSES = ("open", "in_progress", *HOLDS, "closed")
BLOCKING = ("blocks", "conditional-blocks", "waits-for")
RELATIONS = {
    **dict.fromkeys(BLOCKING, "blocked_by"),
    "discovered-from": "discovered_from",
    "duplicates": "duplicate_of",
    "supersedes": "supersedes",
}
"""Of a dependency's type. The others are `relates_to`, and parent-child is the parent."""
_USUAL = {
    "blocked_by": "blocks",
    "discovered_from": "discovered-from",
    "duplicate_of": "duplicates",
    "supersedes": "supersedes",
    "relates_to": "relates-to",
}
INFRA = ("agent", "role", "rig", "message")
GONE = "bd:deleted"
"""The field of an item that `bd delete` took away."""


def seconds(stamp: str) -> str:
    """A time in whole seconds."""
    return f"{stamp[:19]}Z"


def name_of(address: str | None) -> str:
    """An agent as beads names it."""
    return (address or "").removeprefix("agent:")


class Issues:
    """The items of a store at one moment, as issues."""

    def __init__(self, desk: Desk, items: Items) -> None:
        self.desk, self.items = desk, items

    def id(self, item: str) -> str:
        """The id of an issue."""
        return shown(self.items, item)

    def status(self, item: str) -> str:
        """The status of an issue."""
        state = self.items.known(item)
        status = status_of(state, HOLDS)
        waits = str(value(state, "defer_until") or "") > self.items.now
        return "deferred" if status == "open" and waits else status

    def assignee(self, item: str) -> str:
        """Who should do it: who holds it, else who it is assigned to."""
        state = self.items.known(item)
        holder = owner_of(state)
        return name_of(holder["agent"] if holder else str(value(state, "assignee") or ""))

    def fields(self, item: str) -> Json:
        """The item's fields, and those of the record that it was imported from."""
        state = self.items.known(item)
        own = fields_of(state)
        if str(state.get("key")).startswith("beads:"):
            record = self.desk.imported(self.items, item)
            kept = {f"{OWN}{name}": record[name] for name in (*TEXTS, *OTHERS) if name in record}
            metadata = record.get("metadata")
            own = {**kept, **(metadata if isinstance(metadata, dict) else {}), **own}
        return own

    def metadata(self, item: str) -> Json:
        """The metadata of an issue."""
        fields = self.fields(item)
        return {
            k: v
            for k, v in fields.items()
            if k != "alias" and not k.startswith((OWN, "gc:", "tbd:"))
        }

    def gone(self, item: str) -> bool:
        """Was it deleted?"""
        return value(self.items.known(item), f"fields.{GONE}") is not None

    def issue(self, item: str) -> Json:
        """Issue."""
        state, fields = self.items.known(item), self.fields(item)
        closed, created = value(state, "closed"), state["created"]
        started = min(state["claims"], default="")
        ended: Json = closed if isinstance(closed, dict) else {}
        issue: Json = {
            "id": self.id(item),
            "title": value(state, "title") or "(no title)",
            "description": self.items.description(item),
            **{name: fields.get(f"{OWN}{name}") for name in ("design", "acceptance_criteria")},
            "notes": fields.get(f"{OWN}notes"),
            "spec_id": fields.get(f"{OWN}spec_id"),
            "status": self.status(item),
            "priority": _priority(value(state, "priority")),
            "issue_type": self.items.kind(item),
            "assignee": self.assignee(item),
            "estimated_minutes": fields.get(f"{OWN}estimated_minutes"),
            "created_at": seconds(created["ts"]),
            "created_by": name_of(created["by"]),
            "updated_at": seconds(state["last"]["ts"]),
            "started_at": seconds(world.format_ts(ids.stamp_of(started) >> 16)) if started else "",
            "closed_at": seconds(ended["ts"]) if ended else "",
            "close_reason": (ended.get("note") or "Closed") if ended else "",
            "external_ref": fields.get(f"{OWN}external_ref"),
            "due_at": fields.get(f"{OWN}due_at"),
            "defer_until": _time(value(state, "defer_until")),
            "metadata": self.metadata(item),
        }
        issue |= {name: fields.get(f"{OWN}{name}") for name in (*OTHERS, "sender")}
        return {name: each for name, each in issue.items() if each or name == "priority"}

    def labels(self, item: str) -> Json:
        """Its labels, where it has some."""
        labels = self.items.row(item).get("labels", [])
        return {"labels": labels} if labels else {}

    def deps(self, item: str) -> list[Json]:
        """Deps: what it depends on, its parent first."""
        links = [
            ("parent-child", parent, _at(self.items.known(item), "parent"))
            for parent in self._parents(item)
        ]
        links += [
            (self.type(item, rel, to), to, event)
            for (rel, to), event in sorted(self.items.links(item).items(), key=lambda it: it[1])
        ]
        return [
            {
                "issue_id": self.id(item),
                "depends_on_id": self.id(to),
                "type": kind,
                "created_at": seconds(world.format_ts(ids.stamp_of(event) >> 16)),
                "metadata": "{}",
            }
            for kind, to, event in links
        ]

    def _parents(self, item: str) -> list[str]:
        return self.items.ancestors(item)[:1]

    def type(self, item: str, rel: str, to: str) -> str:
        """The type of a dependency."""
        kept = value(self.items.known(item), f"fields.{OWN}dep:{to}")
        return str(kept or _USUAL.get(rel, rel))

    def down(self, item: str) -> list[tuple[str, str]]:
        """(item, type) of what it depends on, its parent first."""
        links = [(to, self.type(item, rel, to)) for rel, to in self.items.links(item)]
        return [(parent, "parent-child") for parent in self._parents(item)] + links

    def up(self, item: str) -> list[tuple[str, str]]:
        """(item, type) of what depends on it, its parts first."""
        parts = [(part, "parent-child") for part in self.items.children(item)]
        others = self.items.dependents(item)
        found = parts + [(other, self.type(other, rel, item)) for rel, other in others]
        return [each for each in found if not self.gone(each[0])]

    def linked(self, links: list[tuple[str, str]]) -> list[Json]:
        """Linked, of those that are here."""
        return [
            {**self.issue(item), **self.labels(item), "dependency_type": kind}
            for item, kind in links
            if self.items.state(item) is not None
        ]

    def counted(self, item: str, brief: bool = False) -> Json:
        """Counted; `brief`: without dependencies and parent, as search has it."""
        parent = self._parents(item)
        deps = [] if brief else self.deps(item)
        down = [kind for _, kind in self.down(item)]
        up = [kind for _, kind in self.up(item)]
        return {
            **self.issue(item),
            **self.labels(item),
            **({"dependencies": deps} if deps else {}),
            "dependency_count": down.count("blocks"),
            "dependent_count": up.count("blocks"),
            "comment_count": len(self.items.known(item)["comments"]),
            **({"parent": self.id(parent[0])} if parent and not brief else {}),
        }

    def shown(self, item: str, dependents: bool, comments: bool) -> Json:
        """Issue as `show` has it."""
        down, up, parent = self.down(item), self.up(item), self._parents(item)
        more: Json = {"dependencies": self.linked(down)} if down else {}
        if dependents and up:
            more["dependents"] = self.linked(up)
        if dependents and self.items.kind(item) == "epic":
            total, closed = self.parts(item)
            more |= {"epic_total_children": total, "epic_closed_children": closed}
            more["epic_closeable"] = total > 0 and total == closed
        if comments and (said := self.comments(item)):
            more["comments"] = said
        counts = {
            "dependency_count": len(down),
            "dependent_count": len(up),
            "comment_count": len(self.items.known(item)["comments"]),
        }
        above = {"parent": self.id(parent[0])} if parent else {}
        return {**self.issue(item), **self.labels(item), **more, **counts, **above}

    def parts(self, item: str) -> tuple[int, int]:
        """How many parts it has, and how many of them are closed."""
        parts = [part for part in self.items.children(item) if not self.gone(part)]
        return len(parts), sum(not self.items.is_open(part) for part in parts)

    def comments(self, item: str) -> list[Json]:
        """Comments."""
        return [
            {
                "id": comment["event_id"],
                "issue_id": self.id(item),
                "author": name_of(comment["by"]),
                "text": comment["text"],
                "created_at": seconds(comment["ts"]),
            }
            for comment in self.items.detail(item).get("comments", [])
        ]

    def blockers(self, item: str) -> list[str]:
        """What blocks it: open items that it, or a parent of it, depends on."""
        return self.items.waits_on(item)


def _priority(level: object) -> int:
    return level if isinstance(level, int) else 2


def _time(stamp: object) -> str:
    return seconds(stamp) if isinstance(stamp, str) else ""


def _at(state: Any, register: str) -> str:
    return max(state["registers"].get(register, {}), default="")
