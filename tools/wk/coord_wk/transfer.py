"""Import from other programs; export for them, and for people."""

from __future__ import annotations

import os

from coord_envelope import BadData, Usage, ids
from coord_kernel.cli.call import Call
from coord_wk import fold
from coord_wk.work import Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from coord_envelope.codec import Json
    from coord_wk import options as o
    from coord_wk.items import Items
    from coord_wk.registers import Comment

PROGRAMS = ("beads", "tbd")
_OURS = frozenset(
    (
        *("_type", "type", "id", "title", "description", "(text)", "issue_type", "kind", "key"),
        *("value", "priority", "labels", "tags", "dependencies", "depends_on", "parent_id"),
        *("comments", "version"),
    )
)
"""Fields of records that are fields of the item."""


def import_(call: Call, file: o.File, from_: o.From) -> None:
    """Import the work items of another program.

    Every field is kept, and foreign ids are accepted as ids. Importing again takes over what
    changed there; what was changed here stays.
    """
    if from_ not in PROGRAMS:
        raise Usage(f"--from: unknown program {from_}", todo="valid values: beads, tbd")
    from coord_wk import intake

    if from_ == "tbd":
        from coord_wk.tbd import item, read  # yaml: 20 ms
    else:
        from coord_wk.beads import item, read
    intake.take(call, list(read(_files(file, from_ == "tbd"))), item, file)


def _files(path: str, several: bool) -> list[tuple[str, bytes]]:
    paths = [path]
    if several and os.path.isdir(os.path.join(path, "issues")):
        path = os.path.join(path, "issues")
        paths = [path]
    if several and os.path.isdir(path):
        names = (name for name in sorted(os.listdir(path)) if name.endswith(".md"))
        paths = [os.path.join(path, name) for name in names]
        if not paths:
            raise BadData("has no Markdown file", path)
    return [("standard input" if each == "-" else each, _content(each)) for each in paths]


def _content(path: str) -> bytes:
    with open(0 if path == "-" else path, "rb", closefd=path != "-") as file:
        return file.read()


def imported(call: Call, items: Items, item: str) -> Json:
    """What the record of an imported item says beyond the fields of the item; else nothing."""
    source = str(items.known(item).get("key")).partition(":")[0]
    if source not in PROGRAMS:
        return {}
    call.journal.index.refresh()
    records = _records_of(call, items, item, source)
    rest = records[0].items() if records else ()
    return {"from": source} | {name: value for name, value in rest if value and name not in _OURS}


def _records_of(call: Call, items: Items, item: str, source: str) -> list[Json]:
    """The records of an item at its last import from this program."""
    from coord_wk import foreign

    places = map(call.journal.index.by_id, items.known(item)["dag"])
    events = (call.journal.shown(place.event) for place in places if place)
    return foreign.restored(source, (event["body"] for event in events))[1]


def export(call: Call, to: o.To, dir_: o.Dir = None) -> None:
    """Export all work items.

    --to beads prints its records, --to tbd writes its files into DIR, for `tbd import --dir`; an
    imported one is as it was, except for what was changed here since. --to md writes a file for
    each item into DIR, for people and diffs.
    """
    if to not in ("beads", "tbd", "md"):
        raise Usage(f"--to: unknown form {to}", todo="valid values: beads, tbd, md")
    if (to == "beads") == bool(dir_):
        what = "--to beads takes no DIR" if dir_ else f"--to {to} needs a DIR"
        raise Usage(what, todo="see --help")
    items = Work(call).items()
    call.journal.index.refresh()
    if not dir_:
        call.put(_records(call, items))
    elif to == "md":
        _put_files(dir_, _markdown(call, items))
    else:
        from coord_wk import tbd

        _put_files(os.path.join(dir_, "issues"), _issues(call, items))
        path, known = os.path.join(dir_, "mappings"), list(items.everything())
        file = os.path.join(path, "ids.yml")
        new = {tbd.name(None, item) for item in known}
        new &= {tbd.name(items.known(item), item) for item in known}
        old = _content(file) if os.path.isfile(file) else b""
        _put_files(path, [("ids.yml", tbd.mapping(new, old))], "")


def _markdown(call: Call, items: Items) -> Iterator[tuple[str, bytes]]:
    from coord_wk import markdown

    for item in items.everything():
        place = call.journal.index.by_id(items.known(item)["created"]["id"])
        title = str(place.event["body"].get("title", "")) if place else ""
        detail = items.detail(item)
        yield markdown.file_name(detail["id"], title), markdown.text(detail).encode()


def _put_files(path: str, files: Iterable[tuple[str, bytes]], what: str = "items") -> None:
    os.makedirs(path, exist_ok=True)
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        written = [_put_file(directory, name, content) for name, content in files]
    finally:
        os.close(directory)
    if what:
        Call.warn(f"export: {len(written)} {what}, {sum(written)} files written")


def _put_file(directory: int, name: str, content: bytes) -> bool:
    """Write the file, unless it has this content already; true if it was written.

    By renaming a new file over it, so that a symbolic link in its place is not followed.
    """
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
        with open(fd, "rb") as file:
            if file.read() == content:
                return False
    except OSError:
        pass  # missing or not a file: replaced below, or the refusal is reported there
    new = f".{name}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    fd = os.open(new, flags, 0o666, dir_fd=directory)
    try:
        with open(fd, "wb") as file:
            file.write(content)
        os.replace(new, name, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError as error:
        os.unlink(new, dir_fd=directory)
        error.filename = name
        raise
    return True


def _records(call: Call, items: Items) -> Iterator[Json]:
    from coord_wk import beads, foreign

    for item in items.everything():
        records = _records_of(call, items, item, "beads")
        if records:
            first = foreign.distinct(map(beads.item, records))[0]
            foreign.as_it_was(first, items.known(item))
            yield beads.changed(first, _now(items, item))
            yield from records[1:]
        else:
            yield beads.created_here(_now(items, item))


def _issues(call: Call, items: Items) -> Iterator[tuple[str, bytes]]:
    """The files of tbd: names and contents."""
    from coord_wk import tbd

    blocks = dict[str, dict[str, bool]]()
    for item in items.everything():
        deps = items.detail(item).get("deps", ())
        waits = {dep["to"] for dep in deps if dep["rel"] == "blocked_by"}
        for member in items.known(item)["sets"].get("deps", {}):
            relation, _, to = member.partition(" ")
            if relation == "blocked_by":
                waiting = blocks.setdefault(items.name(to), {})
                waiting[tbd.name(items.known(item), item)] = items.name(to) in waits
    for item in items.everything():
        records, state = _records_of(call, items, item, "tbd"), items.known(item)
        parent = items.detail(item).get("parent")
        now = _now(items, item) | {
            "id": tbd.name(state, item),
            "waits": bool(items.blockers(item)),
            "blocks": blocks.get(item, {}),
            "parent": parent and tbd.name(items.state(parent), parent),
            "fields": items.detail(item).get("fields", {}),
            "imported": imported(call, items, item),
        }
        record = tbd.changed(records[0], now) if records else tbd.created_here(now)
        yield f"{now['id']}.md", tbd.content(record)


def _now(items: Items, item: str) -> Json:
    """The item as `beads` and `tbd` compare it with a record."""
    state, detail = items.known(item), items.detail(item)
    closed, parent = detail.get("closed"), detail.get("parent")
    begun = "in_progress" if "owner" in detail else "blocked" if "hold" in detail else "open"
    deps = [(dep["rel"], _name(items, dep["to"])) for dep in detail.get("deps", ())]
    ever = {("parent", "")} if "parent" in state["registers"] else set[tuple[str, str]]()
    for member in state["sets"].get("deps", {}):
        relation, _, to = member.partition(" ")
        ever.add((relation, _name(items, to)))
    reason = closed and (closed.get("note") or closed["resolution"])
    names = ("title", "desc", "kind", "priority", "defer_until")
    return {
        "alias": _name(items, item),
        **{name: detail.get(name) for name in names},
        "labels": detail.get("labels", []),
        "status": "closed" if closed else begun,
        "when": {"closed_at": closed["ts"], "close_reason": reason} if closed else {},
        "assignee": detail.get("owner") or detail.get("assignee"),
        "deps": [*deps, ("parent", _name(items, parent))] if parent else deps,
        "ever": ever,
        "state": state,
        "updated_at": detail["last"]["ts"],
        "created_at": detail["created"]["ts"],
        "created_by": detail["created"]["by"].removeprefix("agent:"),
        "comments": [_comment(items, item, comment) for comment in detail.get("comments", ())],
    }


def _name(items: Items, item: str) -> str:
    """Its foreign id, or its short one."""
    state = items.state(item)
    alias = fold.text(state, "fields.alias") if state else None
    return ids.short("wk", item) if alias is None else alias


def _comment(items: Items, item: str, comment: Comment) -> Json:
    return {
        "issue_id": _name(items, item),
        "author": comment["by"].removeprefix("agent:"),
        "text": comment["text"],
        "created_at": comment["ts"],
    }
