"""Import from other programs, and export for them and for people."""

from __future__ import annotations

import os

from coord_envelope import BadData, Usage, ids
from coord_kernel.cli import complaints
from coord_wk import fold
from coord_wk.work import Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_wk import options as o
    from coord_wk.items import Items


def import_(call: Call, file: o.File, from_: o.From) -> None:
    """Import the work items of another program.

    Every field is kept, and the ids there are known here. Again, it takes over what changed there, and what was
    changed here stays.
    """
    if from_ not in ("beads", "tbd"):
        raise Usage(f"--from {from_}: no such program", todo="one of beads, tbd")
    from coord_wk import intake

    if from_ == "tbd":
        from coord_wk.tbd import item, read  # yaml: 20 ms
    else:
        from coord_wk.beads import item, read
    intake.take(call, list(read(_files(file, from_ == "tbd"))), item, file)


def _files(path: str, several: bool) -> list[tuple[str, bytes]]:
    paths = [path]
    if several and os.path.isdir(path):
        paths = [
            os.path.join(path, name) for name in sorted(os.listdir(path)) if name.endswith(".md")
        ]
        if not paths:
            raise BadData("has no Markdown file", path)
    return [("standard input" if one == "-" else one, _content(one)) for one in paths]


def _content(path: str) -> bytes:
    with open(0 if path == "-" else path, "rb", closefd=path != "-") as file:
        return file.read()


def export(call: Call, to: o.To, dir_: o.Dir = None) -> None:
    """Export all work items.

    --to beads prints records; one that came from there is as it was, but for what was changed since. --to md writes
    a file an item into DIR, for people and diffs.
    """
    if to not in ("beads", "md"):
        raise Usage(f"--to {to}: no such form", todo="one of beads, md")
    if (to == "md") != bool(dir_):
        raise Usage(
            "--to md needs a DIR" if to == "md" else "--to beads prints, and has no DIR",
            todo="see --help",
        )
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
            place = call.journal.index.by_id(items.known(item)["created"]["id"])
            name = markdown.file_name(
                items.row(item), str(place.event["body"].get("title", "")) if place else ""
            )
            written.append(_put_file(directory, name, markdown.text(items.detail(item)).encode()))
    finally:
        os.close(directory)
    complaints.warn(f"export: {len(written)} items, {sum(written)} files written")


def _put_file(directory: int, name: str, content: bytes) -> bool:
    """Write the file unless it is so already. Through a file of its own: a link in its place is not followed."""
    try:
        with open(
            os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory), "rb"
        ) as file:
            if file.read() == content:
                return False
    except OSError:
        pass  # not there, or no file: it is put there, or the refusal is said then
    new = f".{name}.new"
    fd = os.open(
        new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o666, dir_fd=directory
    )
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
        events = [
            place.event
            for each in items.known(item)["dag"]
            if (place := call.journal.index.by_id(each))
        ]
        _, records = foreign.restored("beads", (event["body"] for event in events))
        if records:
            first = foreign.once(map(beads.item, records))[0]
            yield beads.changed(first, _now(items, item))
            yield from records[1:]
        else:
            yield beads.made_here(_now(items, item))


def _now(items: Items, item: str) -> Json:
    """The item as beads' records tell of it."""
    state, detail = items.known(item), items.detail(item)
    closed, parent = fold.value(state, "closed"), detail.get("parent")
    begun = "in_progress" if "owner" in detail else "blocked" if "hold" in detail else "open"
    reason = detail["closed"].get("note") or detail["closed"]["resolution"] if closed else None
    deps = [(dep["rel"], _name(items, dep["to"])) for dep in detail.get("deps", ())]
    ever = [
        (rel, _name(items, to))
        for rel, _, to in (dep.partition(" ") for dep in state["sets"].get("deps", {}))
    ]
    who = detail.get("owner") or detail.get("assignee") or ""
    return {
        "alias": _name(items, item),
        **{
            name: detail.get(name)
            for name in ("title", "desc", "kind", "priority", "defer_until", "labels")
        },
        "status": "closed" if closed else begun,
        "when": {"closed_at": detail["closed"]["ts"], "close_reason": reason} if closed else {},
        "assignee": who.removeprefix("agent:"),
        "deps": [*deps, ("parent", _name(items, parent))] if parent else deps,
        "ever": {*ever, *([("parent", "")] if "parent" in state["registers"] else [])},
        "updated_at": detail["last"]["ts"],
        "created_at": detail["created"]["ts"],
        "created_by": detail["created"]["by"].removeprefix("agent:"),
        "said": [_said(items, item, one) for one in state["comments"]],
    }


def _name(items: Items, item: str) -> str:
    """Its foreign id, else its short one."""
    state = items.state(item)
    alias = fold.value(state, "fields.alias") if state else None
    return alias if isinstance(alias, str) else ids.short("wk", item)


def _said(items: Items, item: str, one: Json) -> Json:
    author = one["by"].removeprefix("agent:")
    return {
        "issue_id": _name(items, item),
        "author": author,
        "text": one["text"],
        "created_at": one["ts"],
    }
