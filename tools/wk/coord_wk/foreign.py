"""What a record of another program becomes here, and what changes here when it has changed there. Pure.

The record's id is the item's alias. The record itself, with all others of its id in its file, is kept as JSON lines
in events that say nothing else or little:

    work.updated  origin = {"from": "beads", "version": 1, "part": 1, "of": 1, "text": "{…}\\n{…}"}

They are written last, so a version that is whole was taken over whole. An import compares three things: the record
as it was last time, as it is now, and the item. What changed there changes here, unless it was changed here too.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field

from coord_envelope import codec, event, world
from coord_kernel.rules import claims
from coord_wk import draft, fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import TypeGuard

    from coord_envelope.codec import Json

    Step = tuple[str, str, Json]  # the item, what happens to it, the body

CHUNK = 15_000
"""Characters of JSON text that fit into a body, however they are escaped."""
AT_ONCE = 200
"""Members added to or removed from a set in one event; labels of an item."""
REGISTERS = ("title", "desc", "kind", "priority", "hold", "defer_until")


@dataclass
class Foreign:
    """A record, and what it says in our words. `edges` are (item, relation or "parent", item), in its ids."""

    source: str
    name: str | None
    where: str
    record: Json
    given: Json
    closed: Json | None = None
    comments: list[str] = field(default_factory=list)
    edges: list[tuple[str, str, str]] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    also: list[Foreign] = field(default_factory=list)

    @property
    def key(self) -> str:
        """The idempotency key of its `work.created`."""
        name = self.name or f"sha256-{hashlib.sha256(codec.dumps(self.record)).hexdigest()}"
        return f"{self.source}:{name}"

    @property
    def text(self) -> str:
        """All records of this id, as JSON lines."""
        return "\n".join(codec.dumps(one.record).decode() for one in (self, *self.also))


def name_of(value: object) -> str | None:
    """The id as text, if it can be an alias."""
    text = str(value) if type(value) is int else value
    return text if isinstance(text, str) and 0 < len(text) <= 200 else None


def given(title: object, desc: object, kind: object, priority: object, labels: object) -> Json:
    """What `wk new` takes of these: of what is no such thing nothing, of what is too long the beginning."""
    found: Json = {
        "title": cut(title, 200) if isinstance(title, str) and title.strip() else "(no title)"
    }
    if isinstance(desc, str) and desc:
        text = cut(desc, 32 * 1024)
        found["desc"] = text if len(codec.dumps(text)) <= 40_000 else cut(desc, 6_000)
    if isinstance(kind, str):
        found["kind"] = kind if kind in draft.KINDS else "task"
    if type(priority) is int and 0 <= priority <= 4:
        found["priority"] = priority
    if isinstance(labels, list):
        found["labels"] = [one for one in dict.fromkeys(map(label, labels)) if one][:AT_ONCE]
    return found


def defer(one: Foreign, name: str) -> None:
    """Take over the record's field as the time until which it is deferred."""
    until = one.record.get(name)
    try:
        if until is not None:
            one.given["defer_until"] = world.format_ts(world.parse_ts(until))
    except (ValueError, OverflowError, TypeError, AttributeError):
        one.reports.append(f"{name} {brief(until)} is no time, kept")


def label(given: object) -> str:
    """As a label is written here: `gh:788` is gh-788. Empty if nothing is left of it."""
    if not isinstance(given, str):
        return ""
    plain = "".join(char if event.name_ok(f"0{char}") else "-" for char in given[:200].lower())
    return plain.lstrip("._-")[:63]


def odd(one: Foreign, kind: str, labels: object) -> None:
    """Note what of the record's kind, priority and labels is written otherwise here."""
    given = one.given
    if kind in one.record and one.record[kind] != given.get("kind"):
        one.notes.append(f"type {brief(one.record[kind])} is none of ours, taken for task, kept")
    if "priority" in one.record and "priority" not in given:
        one.notes.append("priority is no number from 0 to 4, taken for 2, kept")
    for what in labels if isinstance(labels, list) else ():
        if label(what) != what:
            one.notes.append(
                f"label {brief(what)} is written {label(what) or 'not at all'} here, kept"
            )
    if len(given.get("labels", ())) == AT_ONCE:
        one.notes.append(f"has {AT_ONCE} labels or more, these are the first, the others kept")
    if (
        isinstance(one.record.get("title"), str)
        and one.record["title"].strip()
        and given["title"] != one.record["title"]
    ):
        one.notes.append("title is longer than 200 bytes, cut here, kept")


def brief(value: object) -> str:
    """A value in a line of a report."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def cut(text: str, most: int) -> str:
    """Its beginning, of so many UTF-8 bytes."""
    return text.encode()[:most].decode("utf-8", "ignore")


def once(found: Iterable[Foreign]) -> list[Foreign]:
    """The records with different ids; of those with the same the first, which knows the others."""
    first: dict[str, Foreign] = {}
    for one in found:
        same = first.setdefault(one.key, one)
        if same is not one:
            same.also.append(one)
            same.comments.append(f"another record with this id: {one.given['title']}")
            one.reports.append(
                f"{one.name or 'the record'} was on {same.where.rpartition(' ')[2]} already, kept there"
            )
    return list(first.values())


def created(one: Foreign) -> Json:
    """Its `work.created`."""
    alias = {"fields": {"alias": one.name}} if one.name else {}
    return draft.created(one.given | alias | {"idempotency_key": one.key})


def restored(source: str, bodies: Iterable[Json]) -> tuple[int, list[Json]]:
    """The last version that is whole in these bodies of an item's events: its number and records; (0, []) if none."""
    parts: dict[int, dict[int, Json]] = {}
    for one in filter(_whole, (body.get("origin") for body in bodies)):
        if one["from"] == source:
            parts.setdefault(one["version"], {}).setdefault(one["part"], one)
    for version, found in sorted(parts.items(), reverse=True):
        numbers = range(1, max(one["of"] for one in found.values()) + 1)
        if found.keys() >= set(numbers):
            records = _records("".join(found[n]["text"] for n in numbers))
            if records:
                return version, records
    return 0, []


def _whole(origin: object) -> TypeGuard[Json]:
    kinds = {"from": str, "text": str, "version": int, "part": int, "of": int}
    return isinstance(origin, dict) and all(
        type(origin.get(name)) is kind for name, kind in kinds.items()
    )


def _records(text: str) -> list[Json]:
    try:
        records = [codec.loads(line.encode()) for line in text.split("\n")]
    except ValueError:
        return []
    return records if all(isinstance(one, dict) for one in records) else []


def steps(
    new: Foreign, then: Foreign, item: str, states: Mapping[str, Json], ids: Mapping[str, str]
) -> Iterator[Step]:
    """What happens to the item, and to those that the record says wait on it, for what it says now and not `then`.

    `states` are those of the items by id, `ids` what foreign names are known as here.
    """
    state = states[item]
    yield from ((item, what, body) for what, body in _closing(new, then, state))
    for text in (
        Counter(new.comments) - Counter(one["text"] for one in state["comments"])
    ).elements():
        yield item, "commented", {"text": text, "origin": {"from": new.source}}
    for src in dict.fromkeys(ids[src] for src, *_ in (*new.edges, *then.edges) if src in ids):
        for body in _members(_deps(new, src, ids), _deps(then, src, ids), states[src], "deps"):
            yield src, "updated", body
    for body in _members(
        new.given.get("labels", ()), then.given.get("labels", ()), state, "labels"
    ):
        yield item, "updated", body
    if changed := _registers(new, then, state) | _parent(new, then, item, state, ids):
        yield item, "updated", {"set": changed}


def _closing(new: Foreign, then: Foreign, state: Json) -> Iterator[tuple[str, Json]]:
    holder, here = claims.owner(state), bool(fold.value(state, "closed"))
    if bool(new.closed) == bool(then.closed) or bool(new.closed) == here:
        return
    if not new.closed:
        yield "reopened", {}
    elif holder:
        new.reports.append(f"is closed there, and {holder['agent']} holds it here: it stays open")
    else:
        yield "closed", new.closed


def _registers(new: Foreign, then: Foreign, state: Json) -> Json:
    found = {}
    for name in REGISTERS:
        was, now, here = then.given.get(name), new.given.get(name), fold.value(state, name)
        if now in (was, here):
            continue
        if here == was:
            found[name] = now
        else:
            new.reports.append(f"{name} was changed there and here: what is here stays")
    return found


def _parent(new: Foreign, then: Foreign, item: str, state: Json, ids: Mapping[str, str]) -> Json:
    was, now = (
        next(
            (
                ids[to]
                for src, rel, to in one.edges
                if rel == "parent" and ids.get(src) == item and to in ids
            ),
            None,
        )
        for one in (then, new)
    )
    here = fold.value(state, "parent")
    if now == here or (now == was and "parent" in state["registers"]):
        return {}
    if here in (None, was):
        return {"parent": now}
    new.reports.append("parent was changed there and here: what is here stays")
    return {}


def _deps(one: Foreign, item: str, ids: Mapping[str, str]) -> list[str]:
    return [
        f"{rel} {ids[to]}"
        for src, rel, to in one.edges
        if rel != "parent" and ids.get(src) == item and to in ids
    ]


def _members(now: Iterable[str], was: Iterable[str], state: Json, which: str) -> Iterator[Json]:
    """Bodies that add and remove members; one that was never here, since its item was not, is new."""
    here, ever = fold.present(state, which), state["sets"].get(which, {})
    had, has = {one for one in was if one in ever}, dict.fromkeys(now)
    for how, some in (
        ("add", [one for one in has if one not in had and one not in here]),
        ("rm", sorted(one for one in had if one not in has and one in here)),
    ):
        for n in range(0, len(some), AT_ONCE):
            yield {how: {which: [_member(which, one) for one in some[n : n + AT_ONCE]]}}


def _member(which: str, text: str) -> object:
    return dict(zip(("rel", "to"), text.split(" ", 1), strict=True)) if which == "deps" else text


def origins(one: Foreign, version: int) -> list[Json]:
    """The bodies that keep its records."""
    text = one.text
    chunks = [text[begin : begin + CHUNK] for begin in range(0, len(text), CHUNK)]
    head = {"from": one.source, "version": version}
    return [
        {"origin": {**head, "part": n, "of": len(chunks), "text": chunk}}
        for n, chunk in enumerate(chunks, 1)
    ]


def circles(waits: dict[str, list[str]]) -> Iterator[list[str]]:
    """Circles of waiting: one for each edge that leads back onto the way taken to it, depth first."""
    done = set[str]()
    for start in waits:
        path = {} if start in done else {start: iter(waits[start])}
        done.add(start)
        while path:
            to = next(path[next(reversed(path))], None)
            if to is None:
                path.popitem()
            elif to in path:
                way = list(path)
                yield [*way[way.index(to) :], to]
            elif to not in done:
                done.add(to)
                path[to] = iter(waits.get(to, ()))
