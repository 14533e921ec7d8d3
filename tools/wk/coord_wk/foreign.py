"""Issues of another program as items here, and what follows when they change there. Pure.

An issue's id becomes the item's alias. Its record, together with all others in the file that have
the same id, is kept as JSON lines in events of their own, in as many parts as it needs:

    work.updated  origin = {"from": "beads", "version": 1, "part": 1, "of": 1, "text": "{…}\\n{…}"}

An import compares three things: the record at the last import, the record now, and the item.

    1. Each register, label, dependency and comment is compared for itself.
    2. What changed in the record since the last import is changed here.
    3. What was changed only here stays.
    4. What was changed at both ends stays as it is here, and is reported.
    5. The origin is written last. A version with all its parts was imported completely; of one
       without, the next import starts from the version before.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field

from coord_envelope import codec, world
from coord_envelope.event import address, name_ok
from coord_kernel.rules import claims
from coord_wk import draft, fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import TypeGuard

    from coord_envelope.codec import Json
    from coord_wk.registers import State

    Step = tuple[str, str, Json]  # item, verb, body

CHUNK = 15_000
"""Characters of JSON text that fit into a body, however they are escaped."""
AT_ONCE = 200
"""Members added to or removed from a set in one event; labels of an item."""
REGISTERS = ("title", "desc", "kind", "priority", "assignee", "hold", "defer_until")


@dataclass
class Foreign:
    """An issue: its record, and the same in the fields of an item."""

    source: str
    """The program."""
    name: str | None
    """Its id there."""
    where: str
    record: Json
    words: Json
    """The fields that `wk new` takes."""
    closed: Json | None = None
    """The body of its `work.closed`."""
    comments: list[str] = field(default_factory=list)
    edges: list[tuple[str, str, str]] = field(default_factory=list)
    """(id, relation or "parent", id), in ids of the program."""
    reports: list[str] = field(default_factory=list)
    """Warnings about this record."""
    notes: list[str] = field(default_factory=list)
    """Warnings that many records may share; each is printed once."""
    also: list[Foreign] = field(default_factory=list)
    """Further records with its id."""

    @property
    def key(self) -> str:
        """The idempotency key of its `work.created`."""
        name = self.name or f"sha256-{hashlib.sha256(codec.dumps(self.record)).hexdigest()}"
        return f"{self.source}:{name}"

    @property
    def text(self) -> str:
        """All records of this id, as JSON lines."""
        return "\n".join(codec.dumps(issue.record).decode() for issue in (self, *self.also))


def name_of(value: object) -> str | None:
    """The id as text, if it can be an alias."""
    text = str(value) if type(value) is int else value
    return text if isinstance(text, str) and 0 < len(text) <= 200 else None


def words(title: object, desc: object, kind: object, priority: object, labels: object) -> Json:
    """These values as the fields of a new item: invalid ones left out, a long title cut."""
    valid = isinstance(title, str) and title.strip()
    fields: Json = {"title": cut(str(title), 200) if valid else "(no title)"}
    if isinstance(desc, str) and desc:
        fields["desc"] = desc
    if isinstance(kind, str):
        fields["kind"] = kind if draft.kind_ok(kind) else "task"
    if type(priority) is int and 0 <= priority <= 4:
        fields["priority"] = priority
    if isinstance(labels, list):
        fields["labels"] = list(dict.fromkeys(filter(draft.label_ok, labels)))[:AT_ONCE]
    return fields


def defer(issue: Foreign, name: str) -> None:
    """Take a field of the record for the time until which the item is deferred."""
    until = issue.record.get(name)
    try:
        if until is not None:
            issue.words["defer_until"] = world.format_ts(world.parse_ts(until))
    except (ValueError, OverflowError, TypeError, AttributeError):
        issue.reports.append(f"{name}: not a valid time: {brief(until)}, kept")


def assign(issue: Foreign) -> None:
    """Take the record's assignee, if that is a name here."""
    name = issue.record.get("assignee")
    try:
        if name:
            issue.words["assignee"] = address(name)
    except (ValueError, AttributeError):
        issue.notes.append(f"assignee {brief(name)} is not a name here, kept")


def as_it_was(issue: Foreign, state: State) -> None:
    """Change the fields to what an earlier release imported of the record, where that differed.

    It rewrote labels (`spelled`), knew six kinds, took no assignee, and cut long descriptions.
    """
    words, kinds = issue.words, state["registers"].get("kind", {})
    for most in (32 * 1024, 6_000) if isinstance(words.get("desc"), str) else ():
        if cut(words["desc"], most) in state["registers"].get("desc", {}).values():
            words["desc"] = cut(words["desc"], most)
    if "labels" in words:
        words["labels"] = [spelled(label, state) for label in words["labels"]]
    if kinds == {state["created"]["id"]: "task"} and words.get("kind") not in _ONCE:
        words["kind"] = "task"
    if "assignee" not in state["registers"]:
        words.pop("assignee", None)


_ONCE = (None, "task", "bug", "feature", "epic", "chore", "question")


def spelled(label: str, state: State) -> str:
    """The label as the item has or had it: an earlier release made gh-788 of `gh:788`."""
    ever = state["sets"].get("labels", {})
    plain = "".join(char if name_ok(f"0{char}") else "-" for char in label.lower())
    plain = plain.lstrip("._-")[:63]
    return plain if label not in ever and plain in ever else label


def note_differences(issue: Foreign, kind: str, labels: object) -> None:
    """Note where the item differs from the record in its kind, priority, labels and title."""
    record, words, notes = issue.record, issue.words, issue.notes
    if kind in record and record[kind] != words.get("kind"):
        notes.append(f"type {brief(record[kind])} is not a word, imported as task, kept")
    if "priority" in record and "priority" not in words:
        notes.append("priority is not a number from 0 to 4, imported as 2, kept")
    for name in labels if isinstance(labels, list) else ():
        if not draft.label_ok(name):
            notes.append(f"label {brief(name)} not imported, kept")
    if len(words.get("labels", ())) == AT_ONCE:
        notes.append(f"only the first {AT_ONCE} labels imported, the others kept")
    title = record.get("title")
    if isinstance(title, str) and title.strip() and words["title"] != title:
        notes.append("title exceeds 200 bytes, cut, kept")


def brief(value: object) -> str:
    """A value in a line of a report."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def cut(text: str, most: int) -> str:
    """The beginning of a text, of at most so many UTF-8 bytes."""
    return text.encode()[:most].decode("utf-8", "ignore")


def distinct(issues: Iterable[Foreign]) -> list[Foreign]:
    """The issues with different ids. Of several with one id the first, which holds the others."""
    first: dict[str, Foreign] = {}
    for issue in issues:
        same = first.setdefault(issue.key, issue)
        if same is not issue:
            same.also.append(issue)
            same.comments.append(f"another record with this id: {issue.words['title']}")
            what = "id" if issue.name else "record"
            issue.reports.append(f"same {what} as {same.where}, kept there")
    return list(first.values())


def created(issue: Foreign) -> Json:
    """Its `work.created`. A description may be in a blob already: `{"blob": …}`."""
    alias = {"fields": {"alias": issue.name}} if issue.name else {}
    words, blob = dict(issue.words), {}
    if isinstance(words.get("desc"), dict):
        blob = words.pop("desc")
    return draft.created(words | alias | {"idempotency_key": issue.key}, blob)


def restored(source: str, bodies: Iterable[Json]) -> tuple[int, list[Json]]:
    """Number and records of the last complete version in the bodies of an item's events.

    (0, []) if there is none.
    """
    versions: dict[int, dict[int, Json]] = {}
    for origin in filter(_is_origin, (body.get("origin") for body in bodies)):
        if origin["from"] == source:
            versions.setdefault(origin["version"], {}).setdefault(origin["part"], origin)
    for version, parts in sorted(versions.items(), reverse=True):
        numbers = range(1, max(origin["of"] for origin in parts.values()) + 1)
        if parts.keys() >= set(numbers):
            records = _records("".join(parts[number]["text"] for number in numbers))
            if records:
                return version, records
    return 0, []


def _is_origin(origin: object) -> TypeGuard[Json]:
    types = {"from": str, "text": str, "version": int, "part": int, "of": int}
    return isinstance(origin, dict) and all(
        type(origin.get(name)) is kind for name, kind in types.items()
    )


def _records(text: str) -> list[Json]:
    try:
        records = [codec.loads(line.encode()) for line in text.split("\n")]
    except ValueError:
        return []
    return records if all(isinstance(record, dict) for record in records) else []


def steps(
    new: Foreign, then: Foreign, item: str, states: Mapping[str, State], ids: Mapping[str, str]
) -> Iterator[Step]:
    """The changes of the item, and of those that wait on it by this record, from `then` to `new`.

    `states` are those of all these items by id; `ids` maps foreign ids to items.
    """
    state = states[item]
    yield from ((item, verb, body) for verb, body in _closing(new, then, state))
    here = Counter(comment["text"] for comment in state["comments"])
    for text in (Counter(new.comments) - here).elements():
        yield item, "commented", {"text": text, "origin": {"from": new.source}}
    for src in dict.fromkeys(ids[src] for src, *_ in (*new.edges, *then.edges) if src in ids):
        for body in _members(_deps(new, src, ids), _deps(then, src, ids), states[src], "deps"):
            yield src, "updated", body
    labels = new.words.get("labels", ()), then.words.get("labels", ())
    for body in _members(*labels, state, "labels"):
        yield item, "updated", body
    if changed := _registers(new, then, state) | _parent(new, then, item, state, ids):
        blob = changed.pop("desc") if isinstance(changed.get("desc"), dict) else {}
        yield item, "updated", {"set": changed, **blob}


def _closing(new: Foreign, then: Foreign, state: State) -> Iterator[tuple[str, Json]]:
    holder, here = claims.owner(state), bool(fold.value(state, "closed"))
    if bool(new.closed) == bool(then.closed) or bool(new.closed) == here:
        return
    if not new.closed:
        yield "reopened", {}
    elif holder:
        new.reports.append(f"closed there, but held here by {holder['agent']}: it stays open")
    else:
        yield "closed", new.closed


def _registers(new: Foreign, then: Foreign, state: State) -> Json:
    changed = {}
    for name in REGISTERS:
        was, now, here = then.words.get(name), new.words.get(name), fold.value(state, name)
        if now in (was, here):
            continue
        if here == was:
            changed[name] = now
        else:
            new.reports.append(f"{name} changed there and here: the value here stays")
    return changed


def _parent(new: Foreign, then: Foreign, item: str, state: State, ids: Mapping[str, str]) -> Json:
    was, now = _parent_of(then, item, ids), _parent_of(new, item, ids)
    here = fold.value(state, "parent")
    if now == here or (now == was and "parent" in state["registers"]):
        return {}
    if here in (None, was):
        return {"parent": now}
    new.reports.append("parent changed there and here: the value here stays")
    return {}


def _parent_of(issue: Foreign, item: str, ids: Mapping[str, str]) -> str | None:
    for src, relation, to in issue.edges:
        if relation == "parent" and ids.get(src) == item and to in ids:
            return ids[to]
    return None


def _deps(issue: Foreign, item: str, ids: Mapping[str, str]) -> list[str]:
    return [
        f"{relation} {ids[to]}"
        for src, relation, to in issue.edges
        if relation != "parent" and ids.get(src) == item and to in ids
    ]


def _members(now: Iterable[str], was: Iterable[str], state: State, which: str) -> Iterator[Json]:
    """Bodies that add and remove members of a set.

    A member that was never here, because its item was not, is new.
    """
    here, ever = fold.present(state, which), state["sets"].get(which, {})
    before, after = {member for member in was if member in ever}, dict.fromkeys(now)
    added = [member for member in after if member not in before and member not in here]
    removed = sorted(member for member in before if member not in after and member in here)
    for how, members in (("add", added), ("rm", removed)):
        for begin in range(0, len(members), AT_ONCE):
            part = [_member(which, text) for text in members[begin : begin + AT_ONCE]]
            yield {how: {which: part}}


def _member(which: str, text: str) -> object:
    return dict(zip(("rel", "to"), text.split(" ", 1), strict=True)) if which == "deps" else text


def origins(issue: Foreign, version: int) -> list[Json]:
    """The bodies that keep its records."""
    text = issue.text
    chunks = [text[begin : begin + CHUNK] for begin in range(0, len(text), CHUNK)]
    head = {"from": issue.source, "version": version}
    return [
        {"origin": {**head, "part": part, "of": len(chunks), "text": chunk}}
        for part, chunk in enumerate(chunks, 1)
    ]


def cycles(waits: dict[str, list[str]]) -> Iterator[list[str]]:
    """Cycles, depth first: one for each edge that leads back to the path to it."""
    done = set[str]()
    for start in waits:
        path = {} if start in done else {start: iter(waits[start])}
        done.add(start)
        while path:
            to = next(path[next(reversed(path))], None)
            if to is None:
                path.popitem()
            elif to in path:
                nodes = list(path)
                yield [*nodes[nodes.index(to) :], to]
            elif to not in done:
                done.add(to)
                path[to] = iter(waits.get(to, ()))
