"""The beads provider: work items as Gas City's beads.

`from`, `ref` and `needs` are in fields that begin with `gc:`, the type of a dependency that wk has
no word for in `bd:dep:ID`; all other fields are the bead's metadata.
"""

from __future__ import annotations

from coord_envelope import No, Usage, world
from coord_gc.cli import call, given, received
from coord_wk.desk import Desk, agent_of, fields_of, owner_of, present, shown, spread, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from coord_envelope.codec import Json
    from coord_wk.desk import Wish
    from coord_wk.items import Items

OWN = "gc:"
GONE, DEP = "bd:deleted", "bd:dep:"
"""As coord-bd has them: an item is one and the same for both."""
BLOCKING = ("blocks", "waits-for", "conditional-blocks")
RELATIONS = {**dict.fromkeys(BLOCKING, "blocked_by"), "discovered-from": "discovered_from"}
USUAL = {"blocked_by": "blocks", "discovered_from": "discovered-from", "relates_to": "relates-to",
         "duplicate_of": "duplicates", "supersedes": "supersedes"}  # fmt: skip
NOT_WORK = (
    *("merge-request", "gate", "molecule", "message", "session", "agent", "role", "rig"),
    *("question", "memory"),
)
"""The last two are kinds of wk that are not work."""
CLOSED = ["status done", "status cancelled", "status duplicate", "status wontfix"]


def desk() -> Desk:
    """The items of the store, with the prefix of GC_BEADS_PREFIX, or that in coord.toml."""
    from coord_kernel.store import locate

    made = call()
    prefix: object = world.getenv("GC_BEADS_PREFIX")
    prefix = prefix or locate.section(made.journal.store, "beads").get("prefix", "")
    return Desk(made, prefix if isinstance(prefix, str) else "")


class Beads:
    """The items at one moment, as beads."""

    def __init__(self, desk: Desk, items: Items) -> None:
        self.desk, self.items = desk, items

    def find(self, name: str) -> str:
        """The item of a bead. Raises No with `no issue found`, which Gas City looks for."""
        try:
            item = self.desk.resolve(self.items, name)
        except (No, Usage):
            item = None
        if item is None or value(self.items.known(item), f"fields.{GONE}"):
            raise No(f"no issue found: {name}", code="not_found")
        return item

    def status(self, item: str) -> str:
        """open, in_progress or closed."""
        state = self.items.known(item)
        if value(state, "closed"):
            return "closed"
        return "in_progress" if owner_of(state) else "open"

    def bead(self, item: str) -> Json:
        """The bead of an item."""
        state = self.items.known(item)
        fields, holder = fields_of(state), owner_of(state)
        who = value(state, "assignee") or (holder["agent"] if holder else None)
        parent = next(iter(self.items.ancestors(item)), None)
        level = value(state, "priority")
        own = {name[len(OWN) :]: each for name, each in fields.items() if name.startswith(OWN)}
        bead = {
            "id": shown(self.items, item),
            "title": value(state, "title"),
            "status": self.status(item),
            "type": self.items.kind(item),
            "priority": level,
            "created_at": state["created"]["ts"],
            "assignee": own.get("assignee") or str(who or "").removeprefix("agent:"),
            "from": own.get("from"),
            "parent_id": shown(self.items, parent) if parent else None,
            "ref": own.get("ref"),
            "needs": [each for each in str(own.get("needs", "")).split("\n") if each],
            "description": self.items.description(item),
            "labels": list(present(state, "labels")),
            "metadata": {
                name: each if isinstance(each, str) else _plain(each)
                for name, each in fields.items()
                if name != "alias" and not name.startswith((OWN, "bd:", "tbd:"))
            },
        }
        kept = {name: each for name, each in bead.items() if each not in (None, "", [], {})}
        return {**kept, "labels": bead["labels"], "metadata": bead["metadata"]}

    def there(self, item: str) -> bool:
        """Is it a bead that was not deleted?"""
        state = self.items.known(item)
        return not value(state, f"fields.{GONE}")

    def type(self, item: str, rel: str, to: str) -> str:
        """The type of a dependency."""
        kept = value(self.items.known(item), f"fields.{DEP}{to}")
        return str(kept or USUAL.get(rel, rel))


def _plain(each: object) -> str:
    return (
        {True: "true", False: "false"}.get(each, str(each)) if isinstance(each, bool) else str(each)
    )


def _looked() -> Beads:
    made = desk()
    return Beads(made, made.items())


def _field(name: str, text: str) -> Json:
    if not name or name == "alias" or "~" in name or name.startswith(OWN):
        raise Usage(f"not a valid metadata key: {name!r}")
    return spread(name, text)


def _metadata(record: Json) -> Json:
    """Fields for `metadata`: numbers and booleans are kept as text, as Gas City does."""
    fields: Json = {}
    for name, each in (record.get("metadata") or {}).items():
        fields |= _field(name, each if isinstance(each, str) else _plain(each))
    return fields


def _assignee(name: str) -> tuple[str | None, Json]:
    """The agent, and the field that keeps a name which is spelled in another way."""
    agent = agent_of(name) if name else None
    exact = name if agent and agent.removeprefix("agent:") != name else None
    return agent, {f"{OWN}assignee": exact}


def create(args: list[str]) -> Json:
    """create"""
    record, made = given(), desk()
    if not isinstance(record.get("title"), str):
        raise Usage("title is missing")
    agent, exact = _assignee(record.get("assignee") or "")
    fields = {**_metadata(record), **exact}
    fields |= spread(f"{OWN}from", record.get("from") or "")
    fields |= spread(f"{OWN}ref", record.get("ref") or "")
    fields |= spread(f"{OWN}needs", "\n".join(record.get("needs") or ()))
    words: Json = {
        "title": record["title"].strip() or "(no title)",
        "desc": record.get("description") or None,
        "kind": record.get("type") or "task",
        "priority": record.get("priority"),
        "labels": list(dict.fromkeys(record.get("labels") or ())) or None,
        "assignee": agent,
        "fields": {name: each for name, each in fields.items() if each not in (None, "")},
    }
    with made.transaction() as (t, items):
        if record.get("parent_id"):
            words["parent"] = Beads(made, items).find(record["parent_id"])
        event = made.create(t, items, words)
    return Beads(made, made.items()).bead(event.id)


def get(args: list[str]) -> Json:
    """get ID"""
    beads = _looked()
    return beads.bead(beads.find(args[0]))


def _bring(name: str, wish: Wish) -> None:
    made = desk()
    with made.transaction() as (t, items):
        made.bring(t, items, Beads(made, items).find(name), wish)


def update(args: list[str]) -> None:
    """update ID: what is absent stays"""
    record, made = given(), desk()
    words: Json = {f"fields.{name}": each for name, each in _metadata(record).items()}
    for theirs, ours in (("title", "title"), ("description", "desc"), ("priority", "priority"),
                         ("type", "kind")):  # fmt: skip
        if record.get(theirs) is not None:
            words[ours] = record[theirs] if record[theirs] != "" else None
    if record.get("assignee") is not None:
        words["assignee"], exact = _assignee(record["assignee"])
        words |= {f"fields.{name}": each for name, each in exact.items()}
    wish: Wish = {"set": words}
    status = record.get("status")
    if status is not None:
        if status not in ("open", "in_progress", "closed"):
            raise Usage(f"not a valid status: {status!r}; use open, in_progress or closed")
        wish["status"] = status
    if record.get("labels"):
        wish["add"] = {"labels": record["labels"]}
    if record.get("remove_labels"):
        wish["rm"] = {"labels": record["remove_labels"]}
    with made.transaction() as (t, items):
        beads = Beads(made, items)
        item = beads.find(args[0])
        if record.get("parent_id") is not None:
            parent = record["parent_id"]
            words["parent"] = beads.find(parent) if parent else None
        made.bring(t, items, item, wish)


def close(args: list[str]) -> None:
    """close ID: a closed bead stays closed, status 0"""
    _bring(args[0], {"status": "closed", "closing": {"resolution": "done"}})


def list_(args: list[str]) -> list[Json]:
    """list [--status= --assignee= --type= --limit=]"""
    asked: dict[str, str] = {}
    rest = iter(args)
    for word in rest:
        name, equals, text = word.removeprefix("--").partition("=")
        asked[name] = text if equals else next(rest, "")
    beads = _looked()
    wanted: list[list[str]] = []
    if asked.get("type"):
        wanted.append([f"kind {asked['type']}"])
    if asked.get("assignee"):
        who = agent_of(asked["assignee"])
        wanted.append([f"assignee {who}", f"owner {who}"])
    status = asked.get("status", "")
    if status in ("closed", "in_progress"):
        wanted.append(CLOSED if status == "closed" else ["status active"])
    return _rows(beads, wanted, status, int(asked.get("limit") or 0))


def _rows(beads: Beads, wanted: list[list[str]], status: str = "", most: int = 0) -> list[Json]:
    found = beads.desk.selected(beads.items, wanted, status not in ("open", "in_progress"))
    rows: list[Json] = []
    for item in found:
        if beads.there(item) and status in ("", beads.status(item)):
            rows.append(beads.bead(item))
            if len(rows) == most:
                break
    return rows


def ready(args: list[str]) -> list[Json]:
    """ready: open, a kind that is work, with no open blocker of its own; parents play no part"""
    beads = _looked()
    items = beads.items
    return [
        beads.bead(item)
        for item in items.ranked("free")
        if beads.there(item)
        and beads.status(item) == "open"
        and items.kind(item) not in NOT_WORK
        and not items.holds(item)
        and not any(
            rel == "blocked_by" and (items.state(to) is None or items.is_open(to))
            for rel, to in items.links(item)
        )
    ]


def children(args: list[str]) -> list[Json]:
    """children ID: closed ones, too"""
    beads = _looked()
    parts = beads.items.children(beads.find(args[0]))
    return [beads.bead(part) for part in parts if beads.there(part)]


def list_by_label(args: list[str]) -> list[Json]:
    """list-by-label LABEL LIMIT: newest first, 0: all"""
    beads = _looked()
    found = sorted(beads.desk.selected(beads.items, [[f"label {args[0]}"]], True), reverse=True)
    there = [item for item in found if beads.there(item)]
    most = int(args[1]) if len(args) > 1 and args[1].isdecimal() else 0
    return [beads.bead(item) for item in (there[:most] if most else there)]


def set_metadata(args: list[str]) -> None:
    """set-metadata ID KEY: the value is stdin"""
    text = received().decode("utf-8", "replace")
    words = {f"fields.{name}": each for name, each in _field(args[1], text).items()}
    _bring(args[0], {"set": words})


def delete(args: list[str]) -> None:
    """delete --force ID: cancelled, and never shown again"""
    names = [word for word in args if not word.startswith("-")]
    for name in names:
        wish: Wish = {"status": "closed", "set": {f"fields.{GONE}": True}}
        wish["closing"] = {"resolution": "cancelled", "note": "deleted"}
        _bring(name, wish)


def dep_add(args: list[str]) -> None:
    """dep-add ID ID TYPE: another type for the same pair replaces the first"""
    made = desk()
    how = args[2] if len(args) > 2 else "blocks"
    with made.transaction() as (t, items):
        beads = Beads(made, items)
        item, to = beads.find(args[0]), beads.find(args[1])
        if how == "parent-child":
            made.bring(t, items, item, {"set": {"parent": to}})
            return
        rel = RELATIONS.get(how, "relates_to")
        old = [{"rel": r, "to": o} for r, o in items.links(item) if o == to and r != rel]
        kept = None if USUAL.get(rel) == how else how
        wish: Any = {"set": {f"fields.{DEP}{to}": kept}}
        wish |= {"add": {"deps": [{"rel": rel, "to": to}]}, "rm": {"deps": old}}
        made.bring(t, items, item, wish)


def dep_remove(args: list[str]) -> None:
    """dep-remove ID ID"""
    made = desk()
    with made.transaction() as (t, items):
        beads = Beads(made, items)
        item, to = beads.find(args[0]), beads.find(args[1])
        links = [{"rel": rel, "to": other} for rel, other in items.links(item) if other == to]
        wish: Any = {"set": {f"fields.{DEP}{to}": None}, "rm": {"deps": links}}
        made.bring(t, items, item, wish)


def dep_list(args: list[str]) -> list[Json]:
    """dep-list ID down|up"""
    beads = _looked()
    item = beads.find(args[0])
    if (args[1] if len(args) > 1 else "down") == "up":
        edges = [(other, rel, item) for rel, other in beads.items.dependents(item)]
    else:
        edges = [(item, rel, to) for rel, to in beads.items.links(item)]
    return [
        {
            "issue_id": shown(beads.items, a),
            "depends_on_id": shown(beads.items, b),
            "type": beads.type(a, rel, b),
        }
        for a, rel, b in edges
    ]


def begin(args: list[str]) -> None:
    """init DIR PREFIX, start, ensure-ready: make or complete the store"""
    from coord_kernel.cli.link import tool

    root = args[0] if args else world.getenv("GC_STORE_ROOT")
    if root:
        import os

        os.chdir(root)
    tool("ev", "init")


def nothing(args: list[str]) -> None:
    """stop, shutdown, recover: there is no process"""


def health(args: list[str]) -> None:
    """health, probe: is the store readable? Raises Unreachable"""
    desk().items()


OPERATIONS: dict[str, tuple[Callable[[list[str]], object], int]] = {
    "create": (create, 0),
    "get": (get, 1),
    "update": (update, 1),
    "close": (close, 1),
    "list": (list_, 0),
    "ready": (ready, 0),
    "children": (children, 1),
    "list-by-label": (list_by_label, 1),
    "set-metadata": (set_metadata, 2),
    "delete": (delete, 1),
    "dep-add": (dep_add, 2),
    "dep-remove": (dep_remove, 2),
    "dep-list": (dep_list, 1),
    "init": (begin, 0),
    "start": (begin, 0),
    "ensure-ready": (begin, 0),
    "stop": (nothing, 0),
    "shutdown": (nothing, 0),
    "recover": (nothing, 0),
    "health": (health, 0),
    "probe": (health, 0),
}
"""Operation → what does it, and how many arguments it needs."""
