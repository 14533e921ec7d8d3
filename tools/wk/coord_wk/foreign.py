"""What a record of another program becomes here, so that the same record can be made of it again. Pure.

The record's id is the item's alias. What the item's own fields do not say word for word stands in the body's
`origin`; what is too long for a line goes on in comments.

    origin = {"from": "beads", "record": {…the rest…}, "without": [what the item says and the record did not]}
    a comment's origin = {"from", "comment": n, "record"}   a comment of the record
                       | {"from", "duplicate": n, "record"} another record with the same id
                       | {"from", "of": n, "over": m, "json": "…"} more of the record (0) or of duplicate n
                       | {"from", "line": "…"}              the line itself, where it was no JSON
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from coord_envelope import codec, event
from coord_wk import draft

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from coord_envelope.codec import Json

    Step = tuple[str, str, Json]  # what happened, the end of its key, the body

ROOM = 60_000
"""Most bytes of a body; the rest of a line's 65,536 is the envelope's."""
CHUNK = 15_000
"""Characters of a text that fit into a body, however they are escaped."""
AT_ONCE = 500
"""Dependencies in one event."""


@dataclass
class Foreign:
    """A record, and what it says in our words. `edges` are (item, relation or "parent", item), in its ids."""

    source: str
    name: str | None
    where: str
    record: Json
    names: dict[str, str]
    given: Json
    closed: Json | None = None
    comments: list[Json] = field(default_factory=list)
    edges: list[tuple[str, str, str]] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    also: list[Foreign] = field(default_factory=list)
    line: str = ""

    @property
    def key(self) -> str:
        """How its events' idempotency keys begin."""
        name = self.name or f"sha256-{hashlib.sha256(codec.dumps(self.record)).hexdigest()}"
        return f"{self.source}:{name}"


def name_of(value: object) -> str | None:
    """The id as text, if it can be an alias."""
    text = str(value) if type(value) is int else value
    return text if isinstance(text, str) and 0 < len(text) <= 200 else None


def given(title: object, desc: object, kind: object, priority: object, labels: object) -> Json:
    """What `wk new` takes of these: of what is no such thing nothing, of what is too long the beginning."""
    found: Json = {"title": cut(title, 200) if isinstance(title, str) and title.strip() else "(no title)"}
    if isinstance(desc, str):
        text = cut(desc, 32 * 1024)
        found["desc"] = text if len(codec.dumps(text)) <= ROOM * 2 // 3 else cut(desc, 8_000)
    if isinstance(kind, str):
        found["kind"] = kind if kind in draft.KINDS else "task"
    if type(priority) is int and 0 <= priority <= 4:
        found["priority"] = priority
    if isinstance(labels, list) and len(codec.dumps(labels)) <= 8_000:
        found["labels"] = [one for one in dict.fromkeys(map(label, labels)) if one]
    return found


def label(given: object) -> str:
    """As a label is written here: `gh:788` is gh-788. Empty if nothing is left of it."""
    plain = (
        "".join(char if event.name_ok(f"0{char}") else "-" for char in given.lower()) if isinstance(given, str) else ""
    )
    return plain.lstrip("._-")[:63]


def odd_labels(labels: object) -> list[str]:
    """What is to be said of labels that are written otherwise here."""
    odd = [one for one in labels if label(one) != one] if isinstance(labels, list) else []
    return [f"label {one!r} is written {label(one) or 'not at all'} here, kept" for one in odd]


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
            one.reports.append(f"{one.name or 'the record'} was on {same.where.rpartition(' ')[2]} already, kept there")
    return list(first.values())


def created(one: Foreign) -> tuple[Json, list[Json]]:
    """Its `work.created`, and the bodies of comments that hold what is too long for it."""
    alias = {"fields": {"alias": one.name}} if one.name else {}
    made = draft.created(one.given | alias | {"idempotency_key": one.key})
    back = _said(made["body"], one.names)
    rest = {name: what for name, what in one.record.items() if name not in back or not codec.same(back[name], what)}
    if any("record" in body["origin"] for body in one.comments):
        del rest["comments"]
    without = [name for name in back if name not in one.record]
    origin = {"from": one.source, "record": rest, **({"without": without} if without else {})}
    body, over = _fitted(made["body"] | {"origin": origin}, 0)
    return made | {"body": body}, over


def followed(one: Foreign, item: str, over: list[Json], deps: list[tuple[str, str]]) -> list[Json]:
    """What happens to the item after that, each without its base."""
    steps: list[Step] = [("commented", f"over:{n}", body) for n, body in enumerate(over, 1)]
    steps += _deps(deps)
    steps += [("closed", "closed", one.closed)] if one.closed else []
    steps += [("commented", f"comment:{n}", body) for n, body in enumerate(one.comments)]
    for n, other in enumerate(one.also, 1):
        steps += _duplicate(other, n)
    steps += [
        ("commented", f"line:{n}", {"text": "its line was no JSON", "origin": {"from": one.source, "line": text}})
        for n, text in enumerate(_chunks(one.line), 1)
    ]
    about = {"refs": {"work_id": item}}
    return [
        {"type": f"work.{what}", **about, "idempotency_key": f"{one.key}:{end}", "body": body}
        for what, end, body in steps
    ]


def _deps(found: list[tuple[str, str]]) -> Iterator[Step]:
    parent = [to for rel, to in found if rel == "parent"]
    deps = [{"rel": rel, "to": to} for rel, to in dict.fromkeys(found) if rel != "parent"]
    for n in range(0, max(len(deps), len(parent)), AT_ONCE):
        some = deps[n : n + AT_ONCE]
        body = {"add": {"deps": some}} if some else {}
        yield (
            "updated",
            f"deps:{n}" if n else "deps",
            body | ({"set": {"parent": parent[0]}} if parent and not n else {}),
        )


def _duplicate(other: Foreign, n: int) -> Iterator[Step]:
    text = f"another record with this id: {other.given['title']}"
    origin = {"from": other.source, "duplicate": n, "record": other.record}
    body, over = _fitted({"text": text, "origin": origin}, n)
    yield "commented", f"duplicate:{n}", body
    for m, more in enumerate(over, 1):
        yield "commented", f"duplicate:{n}:over:{m}", more


def _fitted(body: Json, of: int) -> tuple[Json, list[Json]]:
    """The body with as much of its origin's record as it can hold, and bodies of comments with the rest."""
    origin, over = body["origin"], {}
    excess = len(codec.dumps(body)) - ROOM
    sizes = {name: len(codec.dumps({name: what})) for name, what in origin["record"].items()}
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        if excess > 0:
            over[name] = origin["record"][name]
            excess -= sizes[name] - 2
    kept = {name: what for name, what in origin["record"].items() if name not in over}
    chunks = _chunks(codec.dumps(over).decode() if over else "")
    text = f"more of the imported record: {cut(', '.join(over), 200)}"
    more = [
        {"text": text, "origin": {"from": origin["from"], "of": of, "over": m, "json": chunk}}
        for m, chunk in enumerate(chunks, 1)
    ]
    return body | {"origin": origin | {"record": kept}}, more


def _chunks(text: str) -> list[str]:
    return [text[begin : begin + CHUNK] for begin in range(0, len(text), CHUNK)]


def _said(body: Json, names: dict[str, str]) -> Json:
    """What a created item's own fields say of the record."""
    fields = body.get("fields")
    own = body | {"alias": fields.get("alias") if isinstance(fields, dict) else None}
    return {theirs: own[ours] for ours, theirs in names.items() if own.get(ours) is not None}


def came_from(source: str, body: Json) -> bool:
    """Is this the body of an imported item's `work.created`?"""
    origin = body.get("origin")
    return isinstance(origin, dict) and origin.get("from") == source and isinstance(origin.get("record"), dict)


def restored(body: Json, comments: list[Json], names: dict[str, str]) -> list[Json]:
    """The record of these bodies of an item's events, and the others that had its id. Total, if it `came_from`."""
    given = [one["origin"] | {"text": one.get("text")} for one in comments if isinstance(one.get("origin"), dict)]
    without = body["origin"].get("without")
    hidden = without if isinstance(without, list) else []
    said = {name: what for name, what in _said(body, names).items() if name not in hidden}
    told = [one["record"] | {"text": one["text"]} for one in _numbered(given, "comment", "record", dict)]
    first = said | body["origin"]["record"] | _over(given, 0) | ({"comments": told} if told else {})
    others = _numbered(given, "duplicate", "record", dict)
    return [first, *(one["record"] | _over(given, one["duplicate"]) for one in others)]


def _numbered(origins: list[Json], number: str, name: str, kind: type) -> list[Json]:
    found = (one for one in origins if type(one.get(number)) is int and isinstance(one.get(name), kind))
    return sorted(found, key=lambda one: one[number])


def _over(origins: list[Json], of: int) -> Json:
    chunks = [one["json"] for one in _numbered(origins, "over", "json", str) if one.get("of") == of]
    try:
        found = codec.loads("".join(chunks).encode()) if chunks else {}
    except ValueError:  # a part has not come yet
        return {}
    return found if isinstance(found, dict) else {}


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
