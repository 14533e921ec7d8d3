"""What the items and the mail of a replica must be, said anew in the shortest way: by vector clocks.

Each event has with it all that its replica held when it was written. So who knew of whom is a look at a set: no
`base`, no graph and no order of arrival. Nothing of the tools is used here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from proof.replicas import Told, ordered
from support import Json

Writes = dict[str, list[tuple[Told, Any]]]
ABOUT = ("msg.acked", "msg.claimed", "msg.nacked", "agent.updated")
"""Types that are never mail themselves."""


def top(found: Iterable[Told]) -> list[Told]:
    """Those that no other of them knew of, by id."""
    known = list(found)
    return ordered(one for one in known if not any(one.bit & other.knew for other in known))


class Oracle:
    """The truth about a set of events."""

    def __init__(self, events: list[Told]) -> None:
        self.events = events
        self._redacted = {
            one.event["body"]["target"] for one in events if one.event["type"] == "coord.redacted"
        }
        self.items: dict[str, Item] = {}
        """By the id of each creation; several may be one."""
        by_key: dict[str, Item] = {}
        for one in self._of("work.created"):
            key = None if self.hidden(one) else one.event.get("idempotency_key")
            item = by_key.setdefault(key, Item(self, one)) if key else Item(self, one)
            self.items[one.event["event_id"]] = item
        for one in events:
            if one.event["type"].startswith(("work.", "artifact.")):
                self.items[one.event["refs"]["work_id"]].events.append(one)

    def _of(self, kind: str) -> Iterator[Told]:
        return (one for one in self.events if one.event["type"] == kind)

    def hidden(self, one: Told) -> bool:
        return one.event["event_id"] in self._redacted

    def body(self, one: Told) -> Json:
        """What an event says, or what its tombstone leaves of that."""
        body: Json = one.event["body"]
        return (
            {name: body[name] for name in ("claim",) if name in body} if self.hidden(one) else body
        )

    def waiting(self, agent: str, now: str) -> list[str]:
        """The mail that waits for an agent, oldest first."""
        done = {
            one.event["refs"]["msg_id"]
            for one in self._of("msg.acked")
            if self.body(one).get("kind") == "done" and one.event["actor"]["agent_id"] == agent
        }
        return [
            twins[0].event["event_id"]
            for twins in self._mail()
            if agent in twins[0].event["to"]
            and done.isdisjoint(one.event["event_id"] for one in twins)
            and self.body(twins[0]).get("expires_at", "~") > now
        ]

    def queued(self, queue: str) -> set[str]:
        """The messages of a queue that nobody processed."""
        done = {
            one.event["refs"]["msg_id"]
            for one in self._of("msg.acked")
            if "claim" in self.body(one)
        }
        return {
            twins[0].event["event_id"]
            for twins in self._mail()
            if queue in twins[0].event["to"]
            and done.isdisjoint(one.event["event_id"] for one in twins)
        }

    def _mail(self) -> list[list[Told]]:
        """All messages; those with one key together, the oldest first."""
        found: dict[Any, list[Told]] = {}
        for one in self.events:
            if one.event.get("to") and one.event["type"] not in ABOUT:
                key = None if self.hidden(one) else one.event.get("idempotency_key")
                found.setdefault(
                    (one.event["type"], key) if key else one.event["event_id"], []
                ).append(one)
        return list(found.values())

    def first_of_key(self) -> dict[tuple[str, str], Json]:
        """Of each type and idempotency key the event that stands for all."""
        found: dict[tuple[str, str], Json] = {}
        for one in self.events:
            if "idempotency_key" in one.event:
                found.setdefault((one.event["type"], one.event["idempotency_key"]), one.event)
        return found


class Item:
    """A work item."""

    def __init__(self, oracle: Oracle, created: Told) -> None:
        self._oracle, self.id = oracle, str(created.event["event_id"])
        self.events: list[Told] = []

    def _bodies(self, *verbs: str) -> list[tuple[Told, Json]]:
        return [
            (one, self._oracle.body(one))
            for one in self.events
            if one.event["type"].partition(".")[2] in verbs
        ]

    @cached_property
    def registers(self) -> dict[str, list[Any]]:
        """Of each register the values that stand: the last one counts, the others are in the attic."""
        writes: Writes = {}
        for one, body in self._bodies("created", "updated"):
            given = (
                body.get("set", {}) if one.event["type"] == "work.updated" else self._first(body)
            )
            for name, value in given.items():
                writes.setdefault(name, []).append((one, value))
        for one, body in self._bodies("closed", "reopened"):
            said: Json = {"by": one.event["actor"]["agent_id"], "ts": one.event["ts"]}
            some: Json = {name: body[name] for name in ("note", "dup_of") if name in body}
            closed: Json = {"resolution": body.get("resolution", "done"), **said, **some}
            writes.setdefault("closed", []).append(
                (one, closed if one.event["type"] == "work.closed" else None)
            )
        found: dict[str, list[Any]] = {}
        for name, pairs in writes.items():
            values = {one.bit: value for one, value in pairs}
            found[name] = [values[one.bit] for one in top(one for one, _ in pairs)]
        return found

    def _first(self, body: Json) -> Json:
        fields = {f"fields.{name}": value for name, value in body.get("fields", {}).items()}
        return {
            name: value for name, value in body.items() if name not in ("fields", "labels", "deps")
        } | fields

    def value(self, register: str) -> Any:
        return self.registers.get(register, [None])[-1]

    def members(self, which: str) -> list[Any]:
        """A set: an add stands unless a remove knew of it."""
        changes = [
            *self._bodies("created"),
            *((one, body.get("add", {})) for one, body in self._bodies("updated")),
        ]
        gone = [(one, body.get("rm", {}).get(which, [])) for one, body in self._bodies("updated")]
        adds = [(one, member) for one, body in changes for member in body.get(which, [])]
        return [
            member
            for one, member in adds
            if not any(member in removed and one.bit & other.knew for other, removed in gone)
        ]

    @cached_property
    def owner(self) -> Told | None:
        """Without an arbiter: the oldest claim that is not over."""
        ended = {body["claim"] for _, body in self._bodies("released")}
        closes = [one for one, _ in self._bodies("closed")]
        steals = [one for one, body in self._bodies("claimed") if body.get("steal")]
        for one, _ in self._bodies("claimed"):
            over = one.event["event_id"] in ended or any(
                not close.bit & one.knew for close in closes
            )
            if not over and not any(one.bit & steal.knew for steal in steals):
                return one
        return None

    def name(self, item: str) -> str:
        """What an item is called: of several that are one the oldest's id."""
        return self._oracle.items[item].id if item in self._oracle.items else item

    @cached_property
    def parent(self) -> str | None:
        return self.value("parent") and self.name(self.value("parent"))

    @cached_property
    def waits(self) -> set[str]:
        """What it depends on by itself."""
        return {self.name(dep["to"]) for dep in self.members("deps") if dep["rel"] == "blocked_by"}

    def above(self) -> list[Item]:
        """Its parent, that one's parent, and so on."""
        found: list[Item] = []
        at = self._oracle.items.get(self.parent or "")
        while at and at is not self and at not in found:
            found.append(at)
            at = self._oracle.items.get(at.parent or "")
        return found

    def blockers(self) -> set[str]:
        """What it would wait on if there were no circles: what is open or missing."""
        items = self._oracle.items
        named = {to for one in (self, *self.above()) for to in one.waits}
        parts = {one.id for one in items.values() if one.parent == self.id}
        return {one for one in named | parts if one not in items or not items[one].value("closed")}

    def shown(self) -> Json:
        """What `wk show` must say of it, as far as events alone decide."""
        attic = {name: found[:-1] for name, found in self.registers.items() if len(found) > 1}
        fields = {
            name[7:]: self.value(name) for name in self.registers if name.startswith("fields.")
        }
        said = {
            "title": self.value("title") or "(no title)",
            "kind": self.value("kind") or "task",
            "priority": 2 if self.value("priority") is None else self.value("priority"),
            "owner": self.owner and self.owner.event["actor"]["agent_id"],
            "claim": self.owner and self.owner.event["event_id"],
            "labels": sorted(set(self.members("labels"))),
            "deps": sorted(
                {f"{dep['rel']} {self.name(dep['to'])}" for dep in self.members("deps")}
            ),
            "comments": [body.get("text", "") for _, body in self._bodies("commented")],
            **{name: self.value(name) for name in ("desc", "assignee", "hold", "closed")},
            "parent": self.parent,
            "conflicts": attic,
            "fields": fields,
        }
        return {name: what for name, what in said.items() if what or name == "priority"}

    def status(self) -> str:
        """Its status; `ready` also where it is blocked."""
        if self.value("closed"):
            return str(self.value("closed")["resolution"])
        if self.owner:
            return "active"
        return "held" if any(one.value("hold") for one in (self, *self.above())) else "ready"
