"""Which issues a list has, and in which order.

The secondary index finds the items by the filter that finds the fewest; the others are checked.
"""

from __future__ import annotations

from coord_bd.issue import INFRA, OWN, STATUSES, name_of
from coord_envelope import Usage, world
from coord_envelope.event import address
from coord_wk.desk import agent_of, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from coord_bd.issue import Issues

    Values = dict[str, Any]
    Test = Callable[[str], object]

TYPES = {
    "feat": "feature",
    "enhancement": "feature",
    "dec": "decision",
    "adr": "decision",
    "mr": "merge-request",
    "mol": "molecule",
}
NOT_READY = (
    *("merge-request", "gate", "molecule", "message", "agent", "role", "rig"),
    *("question", "memory"),
)
"""The last two are kinds of wk that are not work."""
NOT_LISTED = ("gate", *INFRA)
RESOLVED = ("done", "cancelled", "duplicate", "wontfix")
RECENT_MS = 48 * 3_600_000


def kind(word: str) -> str:
    """A type, aliases in full."""
    return TYPES.get(word.lower(), word)


def priority(text: str) -> int:
    """0-4 or P0-P4. Raises Usage."""
    digit = text.strip().upper().removeprefix("P")
    if digit not in ("0", "1", "2", "3", "4"):
        raise Usage(f"invalid priority {text!r} (expected 0-4 or P0-P4)")
    return int(digit)


def number(text: str, option: str = "--limit") -> int:
    """A whole number of an option. Raises Usage."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise Usage(f"invalid argument {text!r} for {option}: not a whole number")
    return int(text)


def moment(text: str) -> str:
    """A date, a time, or a time from now: +6h, +2d, +1w, -3d. Raises Usage."""
    unit = {"m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}.get(text[-1:], 0)
    if unit and text[:1] in "+-" and text[1:-1].isdecimal():
        away = int(text[1:-1]) * unit * 1_000
        return world.format_ts(max(0, world.now_ms() + (away if text[0] == "+" else -away)))
    try:
        return world.format_ts(world.parse_ts(text))
    except (ValueError, OverflowError):
        what = f"invalid time {text!r} (expected 2026-01-17, 2026-01-17T12:00:00Z, +6h, +2d, +1w)"
        raise Usage(what) from None


class Query:
    """The filters of a list."""

    def __init__(self, issues: Issues, values: Values) -> None:
        """Raises Usage, and No if the parent is not found."""
        self.issues, self._items, self._values = issues, issues.items, values
        self.statuses = [s for s in values.get("status", ()) if s != "all"]
        for status in self.statuses:
            if status not in STATUSES:
                raise Usage(f"invalid status {status!r} (valid: {', '.join(STATUSES)})")
        self._tests = [test for test in self._all_tests() if test]

    def groups(self) -> list[list[str]]:
        """What the index is asked for."""
        values = self._values
        groups = [[f"label {label}"] for label in values.get("label", ())]
        groups += [[f"field {pair}"] for pair in values.get("metadata_field", ())]
        if "type_" in values or "type" in values:
            groups.append([f"kind {kind(values['type'])}"])
        if "priority" in values:
            groups.append([f"priority {priority(values['priority'])}"])
        if values.get("label_any"):
            groups.append([f"label {label}" for label in values["label_any"]])
        if values.get("no_assignee") or values.get("unassigned"):
            groups.append(["assignee "])
        elif values.get("assignee"):
            who = agent_of(values["assignee"])
            groups.append([f"assignee {who}", f"owner {who}"])
        if "parent" in values and not values.get("deep"):
            parent = self.issues.desk.resolve(self._items, values["parent"])
            groups.append([f"parent {each}" for each in self._items.look(parent)[1]])
        closed = [f"status {how}" for how in RESOLVED]
        traits = {"in_progress": ["status active"], "closed": closed}
        if self.statuses and all(status in traits for status in self.statuses):
            groups.append([trait for status in self.statuses for trait in traits[status]])
        return groups

    def names(self, closed: bool, rest: str = "open") -> Iterator[str]:
        """The items that fit, in no order that matters. `closed`: closed ones, too."""
        found = self.issues.desk.selected(self._items, self.groups(), closed, rest)
        ids = self._values.get("id")
        if ids:
            found = iter([self.issues.desk.resolve(self._items, text) for text in ids])
        return (item for item in found if not self.issues.gone(item) and self.fits(item))

    def fits(self, item: str) -> bool:
        """Does it pass the filters that the index does not check?"""
        return all(test(item) for test in self._tests)

    def _all_tests(self) -> Iterator[Test | None]:
        values, issues, items = self._values, self.issues, self._items
        if self.statuses:
            yield lambda item: issues.status(item) in self.statuses
        if values.get("no_assignee") or values.get("unassigned"):
            yield lambda item: not issues.assignee(item)
        elif values.get("assignee"):
            who = name_of(address(agent_of(values["assignee"])))
            yield lambda item: issues.assignee(item) == who
        left_out = {kind(word) for word in values.get("exclude_type", ())}
        if left_out:
            yield lambda item: items.kind(item) not in left_out
        if values.get("exclude_label"):
            bad = set(values["exclude_label"])
            yield lambda item: bad.isdisjoint(issues.labels(item).get("labels", ()))
        if values.get("no_parent"):
            yield lambda item: not items.ancestors(item)
        if values.get("deep"):
            top = issues.desk.resolve(items, values["parent"])
            yield lambda item: top in items.ancestors(item)
        if values.get("ids_only"):
            yield None
        if "has_metadata_key" in values:
            yield lambda item: values["has_metadata_key"] in issues.metadata(item)
        if values.get("empty_description"):
            yield lambda item: not items.description(item)
        for name, at in (("priority_min", 1), ("priority_max", -1)):
            if name in values:
                yield _bound(self, priority(values[name]), at)
        for name, register in (("title", "title"), ("desc_contains", "desc")):
            if values.get(name):
                yield _contains(self, register, values[name].lower())
        for what in ("created", "updated", "closed"):
            for side in ("after", "before"):
                if f"{what}_{side}" in values:
                    yield _time(self, what, side, moment(values[f"{what}_{side}"]))

    def level(self, item: str) -> int:
        """The priority of an item."""
        level = value(self._items.known(item), "priority")
        return level if isinstance(level, int) else 2

    def text(self, item: str, register: str) -> str:
        """A text of an item, in lower case."""
        if register == "desc":
            return (self._items.description(item) or "").lower()
        return str(value(self._items.known(item), register) or "").lower()

    def at(self, item: str, what: str) -> str:
        """When it was created, updated or closed."""
        state = self._items.known(item)
        if what == "closed":
            closed = value(state, "closed")
            return str(closed["ts"]) if isinstance(closed, dict) else ""
        return str(state["created" if what == "created" else "last"]["ts"])


def _bound(query: Query, level: int, sign: int) -> Test:
    return lambda item: sign * query.level(item) >= sign * level


def _contains(query: Query, register: str, text: str) -> Test:
    return lambda item: text in query.text(item, register)


def _time(query: Query, what: str, side: str, then: str) -> Test:
    if side == "after":
        return lambda item: query.at(item, what) > then
    return lambda item: "" < query.at(item, what) < then


def ordered(
    query: Query, names: Iterator[str], sort: str = "", backwards: bool = False
) -> list[str]:
    """By priority, then the newest; or by the field that is asked for. Raises Usage."""
    found = sorted(names, reverse=True)  # ids rise with time
    issues = query.issues
    if sort in ("", "priority"):
        found.sort(key=query.level)
    elif sort in ("created", "updated", "closed"):
        found.sort(key=lambda item: query.at(item, sort), reverse=True)
    elif sort in ("status", "id", "title", "type", "assignee"):
        keys: dict[str, Callable[[str], str]] = {
            "status": issues.status,
            "id": issues.id,
            "title": lambda item: query.text(item, "title"),
            "type": issues.items.kind,
            "assignee": issues.assignee,
        }
        found.sort(key=keys[sort])
    elif sort == "oldest":
        found.reverse()
    elif sort == "hybrid":
        since = world.format_ts(world.now_ms() - RECENT_MS)
        new = [item for item in found if query.at(item, "created") >= since]
        return sorted(new, key=query.level) + [item for item in reversed(found) if item not in new]
    else:
        raise Usage(f"invalid sort field {sort!r}")
    return found[::-1] if backwards else found


def listed(query: Query, values: Values, everything: bool = False) -> list[str]:
    """The issues of `list`, all of them, in order."""
    if values.get("ready"):
        return ready(query, values)
    shown = values.get("all") or values.get("pinned") or bool(values.get("status"))
    closed = (
        everything
        or bool(values.get("all"))
        or bool({"closed", "all"} & set(values.get("status", ())))
        or bool(values.get("id"))
    )
    hidden = () if values.get("infra") or "type" in values else NOT_LISTED
    issues = query.issues

    def fits(item: str) -> bool:
        if issues.items.kind(item) in hidden and not everything:
            return False
        pinned = issues.status(item) == "pinned"
        if values.get("no_pinned") or not (shown or everything):
            return not pinned
        return pinned or not values.get("pinned")

    names = (item for item in query.names(closed) if fits(item))
    return ordered(query, names, values.get("sort", ""), bool(values.get("reverse")))


def ready(query: Query, values: Values) -> list[str]:
    """The issues of `ready`, in order."""
    issues, items = query.issues, query.issues.items
    left_out = () if "type" in values else NOT_READY
    deferred = values.get("deferred")

    def fits(item: str) -> bool:
        if items.kind(item) in left_out:
            return False
        status = issues.status(item)
        if status != "open" and not (deferred and status == "deferred"):
            return False
        if value(items.known(item), f"fields.{OWN}ephemeral") and not values.get("ephemeral"):
            return False
        late = not deferred and any(map(items.holds, items.ancestors(item)))
        return not late and not issues.blockers(item)

    names = (item for item in query.names(False, "free") if fits(item))
    return ordered(query, names, values.get("sort", ""))
