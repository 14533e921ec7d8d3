"""Import from other programs, and export for them and for people."""

from __future__ import annotations

import os

from coord_envelope import BadData, Fault, Usage, tool
from coord_envelope.disk import write_all
from coord_wk import fold
from coord_wk.work import Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeVar

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_envelope.tool import Call
    from coord_wk import options as o
    from coord_wk.foreign import Foreign
    from coord_wk.items import Items

    T = TypeVar("T")

BATCH = 1_000
"""Events in one append."""


def import_(call: Call, file: o.File, from_: o.From, allow_secret: o.AllowSecret = False) -> None:
    """Import the work items of another program.

    Every field is kept, and the ids there are known here. What was imported before stays as it is.
    """
    if from_ not in ("beads", "tbd"):
        raise Usage(f"--from {from_}: no such program", todo="one of beads, tbd")
    from coord_wk import beads, foreign

    read = beads.read
    if from_ == "tbd":
        from coord_wk.tbd import read  # yaml: 20 ms

    found = list(read(_files(file)))
    for fault in found:
        if isinstance(fault, BadData):
            call.fail(fault)
    records = [one for one in found if not isinstance(one, BadData)]
    _Import(call, allow_secret).run(foreign.once(records), len(records), file)


def _files(path: str) -> list[tuple[str, bytes]]:
    if os.path.isdir(path):
        paths = [os.path.join(path, name) for name in sorted(os.listdir(path)) if name.endswith(".md")]
    else:
        paths = [path]
    return [(one, _content(one)) for one in paths]


def _content(path: str) -> bytes:
    with open(0 if path == "-" else path, "rb", closefd=path != "-") as file:
        return file.read()


class _Import:
    """First every item is made; with their ids known, what else happened to each follows, one round after another."""

    def __init__(self, call: Call, allow_secret: bool) -> None:
        self._call, self._allow_secret = call, allow_secret
        self._ids: dict[str, str] = {}
        self._done, self._there, self._reported = 0, 0, 0

    def run(self, ones: list[Foreign], records: int, file: str) -> None:
        over = self._create(ones)
        named = {one.name: self._ids[one.key] for one in ones if one.name and one.key in self._ids}
        deps = self._deps(ones, named)
        self._follow({one.key: one for one in ones if one.key in over}, over, deps)
        _progress("")
        self._say(ones, file)
        made = f"{len(self._ids) - self._there} created, {self._there} already there"
        tool.warn(f"import: {records} records, {made}, {self._reported} reported")

    def _create(self, ones: list[Foreign]) -> dict[str, list[Json]]:
        """Make the items; what is too long for their lines, by key."""
        from coord_wk import foreign

        over = {}
        for batch in _batches(ones):
            drafts = [foreign.created(one) for one in batch]
            for one, (draft, more), answer in zip(batch, drafts, self._append([d for d, _ in drafts]), strict=True):
                if isinstance(answer, Fault):
                    self._refused(one, draft, answer)
                    continue
                self._ids[one.key], over[one.key] = answer.id, more
                self._there += "$dup" in answer
        return over

    def _refused(self, one: Foreign, draft: Json, fault: Fault) -> None:
        place = self._call.journal.index.refresh().by_key("work.created", draft["idempotency_key"])
        if place:
            self._ids[one.key] = place.event.id
            self._there += 1
            fault = BadData("is not as it was when it was imported", todo="what is here stays; change it with wk")
        self._call.fail(fault, one.where)

    def _deps(self, ones: list[Foreign], named: dict[str, str]) -> dict[str, list[tuple[str, str]]]:
        """(relation, id) of what each item depends on, by the item's id; what is not in the file is reported."""
        deps: dict[str, list[tuple[str, str]]] = {}
        names = {one.name for one in ones}
        for one in ones:
            for src, relation, dst in one.edges:
                if src in named and dst in named:
                    deps.setdefault(named[src], []).append((relation, named[dst]))
                else:
                    missing = dst if src in named else src
                    why = "was not imported" if missing in names else "is not in the file"
                    one.reports.append(f"{src} {relation} {dst}: {missing} {why}, kept in its origin only")
        return deps

    def _follow(
        self, ones: dict[str, Foreign], over: dict[str, list[Json]], deps: dict[str, list[tuple[str, str]]]
    ) -> None:
        from coord_wk import foreign

        last = {key: self._ids[key] for key in ones}
        queues = {
            key: foreign.followed(one, last[key], over[key], deps.get(last[key], [])) for key, one in ones.items()
        }
        while queues := {key: queue for key, queue in queues.items() if queue}:
            for batch in _batches(list(queues)):
                drafts = [queues[key].pop(0) | {"base": [last[key]]} for key in batch]
                for key, answer in zip(batch, self._append(drafts), strict=True):
                    if isinstance(answer, Fault):
                        self._call.fail(answer, ones[key].where)
                    else:
                        last[key] = answer.id

    def _append(self, drafts: list[Json]) -> list[Event | Fault]:
        answers = self._call.journal.append_each(self._call.actor(), drafts, self._allow_secret)
        self._done += len(drafts)
        _progress(f"import: {self._done} events")
        return answers

    def _say(self, ones: list[Foreign], file: str) -> None:
        from coord_wk import foreign

        every = [one for first in ones for one in (first, *first.also)]
        notes: dict[str, list[str]] = {}
        for one in every:
            for note in one.notes:
                notes.setdefault(note, []).append(one.where)
        waits: dict[str, list[str]] = {one.name: [] for one in ones if one.name}
        for src, relation, dst in (edge for one in ones for edge in one.edges if edge[0] in waits and edge[2] in waits):
            if relation == "blocked_by":
                waits[src].append(dst)
            elif relation == "parent":
                waits[dst].append(src)
        said = [f"{one.where}: {what}" for one in every for what in one.reports]
        said += [f"{file}: cycle: {' → '.join(way)}" for way in foreign.circles(waits)]
        said += [
            f"{where[0]}: {note}" + (f" ({len(where)} times)" if where[1:] else "") for note, where in notes.items()
        ]
        for line in said:
            tool.warn(f"import: {line}")
        self._reported += len(said)


def _progress(text: str) -> None:
    if os.isatty(2):
        write_all(2, f"\r\x1b[K{text}".encode())


def _batches(found: list[T]) -> Iterator[list[T]]:
    for begin in range(0, len(found), BATCH):
        yield found[begin : begin + BATCH]


def export(call: Call, to: o.To, dir_: o.Dir = None) -> None:
    """Export all work items.

    --to beads prints records; one that came from there is as it was, but for what was changed since. --to md writes
    a file an item into DIR, for people and diffs.
    """
    if to not in ("beads", "md"):
        raise Usage(f"--to {to}: no such form", todo="one of beads, md")
    if (to == "md") != bool(dir_):
        raise Usage("--to md needs a DIR" if to == "md" else "--to beads prints, and has no DIR", todo="see --help")
    items = Work(call).items()
    call.journal.index.refresh()
    if dir_:
        _export_files(call, items, dir_)
    else:
        call.put(_records(call, items))


def _export_files(call: Call, items: Items, path: str) -> None:
    from coord_wk import markdown

    os.makedirs(path, exist_ok=True)
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        written = []
        for item in items.everything():
            name = markdown.file_name(items.row(item), _first_title(call, items.known(item)))
            written.append(_put_file(directory, name, markdown.text(items.detail(item)).encode()))
    finally:
        os.close(directory)
    tool.warn(f"export: {len(written)} items, {sum(written)} files written")


def _first_title(call: Call, state: Json) -> str:
    return str(_body(call, state["created"]["id"]).get("title", ""))


def _put_file(directory: int, name: str, content: bytes) -> bool:
    """Write the file unless it is so already. Through a file of its own: a link in its place is not followed."""
    try:
        with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory), "rb") as file:
            if file.read() == content:
                return False
    except OSError:
        pass  # not there, or no file: it is put there, or the refusal is said then
    new = f".{name}.new"
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o666, dir_fd=directory)
    with open(fd, "wb") as file:
        file.write(content)
    os.replace(new, name, src_dir_fd=directory, dst_dir_fd=directory)
    return True


def _records(call: Call, items: Items) -> Iterator[Json]:
    from coord_wk import beads, foreign

    for item in items.everything():
        body = _body(call, items.known(item)["created"]["id"])
        said = [(one, _body(call, one["event_id"])) for one in items.known(item)["comments"]]
        now = _now(items, item) | {"said": [_said(items, item, one) for one, told in said if "origin" not in told]}
        if foreign.came_from("beads", body):
            first, *others = foreign.restored(body, [told for _, told in said], beads.NAMES)
            yield beads.changed(first, now)
            yield from others
        else:
            yield beads.made_here(now)


def _body(call: Call, event: str) -> Json:
    place = call.journal.index.by_id(event)
    return place.event["body"] if place else {}


def _now(items: Items, item: str) -> Json:
    """The item as beads' records tell of it."""
    state, detail = items.known(item), items.detail(item)
    closed, parent = fold.value(state, "closed"), fold.value(state, "parent")
    status = "closed" if closed else {"active": "in_progress", "held": "blocked"}.get(detail["status"], "open")
    reason = detail["closed"].get("note") or detail["closed"]["resolution"] if closed else None
    deps = [(rel, _name(items, to)) for rel, _, to in (dep.partition(" ") for dep in fold.present(state, "deps"))]
    ever = [(rel, _name(items, to)) for rel, _, to in (dep.partition(" ") for dep in state["sets"].get("deps", {}))]
    who = detail.get("owner") or detail.get("assignee") or ""
    return {
        "alias": _name(items, item),
        **{name: detail.get(name) for name in ("title", "desc", "kind", "priority", "labels")},
        "status": status,
        "when": {"closed_at": detail["closed"]["ts"], "close_reason": reason} if closed else {},
        "assignee": who.removeprefix("agent:"),
        "deps": [*deps, ("parent", _name(items, parent))] if isinstance(parent, str) else deps,
        "ever": {*ever, *([("parent", "")] if "parent" in state["registers"] else [])},
        "updated_at": detail["last"]["ts"],
        "created_at": detail["created"]["ts"],
        "created_by": detail["created"]["by"].removeprefix("agent:"),
    }


def _name(items: Items, item: str) -> str:
    """Its foreign id, else its short one."""
    state = items.state(item)
    alias = fold.value(state, "fields.alias") if state else None
    return alias if isinstance(alias, str) else f"wk-{item[-8:].lower()}"


def _said(items: Items, item: str, one: Json) -> Json:
    author = one["by"].removeprefix("agent:")
    return {"issue_id": _name(items, item), "author": author, "text": one["text"], "created_at": one["ts"]}
