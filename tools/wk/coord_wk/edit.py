"""wk edit: an item as a text in an editor. What was changed in the text is one update.

The form is pure: `form` writes it, `fields` reads it, `update` compares two of them.

    title: Login fails on Safari
    kind: bug
    priority: 1
    label: ui
    fields.route: east

    The description is what stands behind the first blank line.
"""

from __future__ import annotations

import os

from coord_envelope import BadData, Fault, No, Usage, codec, world
from coord_wk import draft, found
from coord_wk.change import write
from coord_wk.work import Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_wk import options as o
    from coord_wk.items import Detail, Items
    from coord_wk.registers import State

NAMES = ("title", "kind", "priority", "parent", "assignee", "hold", "defer_until")
HELP = """\
# label: and fields.NAME: may stand here as often as needed. A value that is left empty is removed.
# Lines that begin with # are ignored here; the description begins behind the first blank line.
"""


def edit(call: Call, id_: o.OneId, allow_secret: o.AllowSecret = False) -> None:
    """Change a work item in an editor.

    In $VISUAL or $EDITOR; what was changed is saved as one change. If somebody else changed the
    same values meanwhile, nothing is written, and your text is kept. For agents: wk update.
    """
    work = Work(call, allow_secret)
    items = work.items()
    item = items.resolve(id_)
    seen, before = items.known(item), form(items.detail(item))
    path = _file(call, before)
    _run_editor(path, before)
    try:
        with open(path, encoding="utf-8") as file:
            after = file.read()
        words = update(fields(before), fields(after))
        _checked(call, words)
        blob = work.shortened(words["set"], "desc")
        if not (words["set"] or blob or words["add"] or words["rm"]):
            call.warn(f"{id_}: nothing to do: nothing was changed")
        else:
            with work.transaction() as (t, now):
                _refuse_conflict(
                    seen, now.known(item), [*words["set"], *(["desc"] if blob else [])]
                )
                write(call, t, now, item, _body(now, words) | blob)
            call.put(t.events)
    except (Fault, UnicodeDecodeError) as error:
        fault = error if isinstance(error, Fault) else BadData("is not UTF-8")
        fault.where = fault.where or id_
        fault.todo = "; ".join(filter(None, (fault.todo, f"your text is in {path}")))
        raise fault from None
    os.unlink(path)


def form(item: Detail) -> str:
    """An item as text."""
    lines = [f"{name}: {_line(item.get(name, ''))}" for name in NAMES]
    lines += [f"label: {_line(label)}" for label in item.get("labels", ())]
    for name, value in item.get("fields", {}).items():
        text = found.as_text(value)
        if text is not None and _plain(name):
            lines.append(f"fields.{name}: {_line(text)}")
    head = "\n".join(line.rstrip() for line in lines)
    return f"{head}\n{HELP}\n{item.get('desc', '')}"


def _line(value: object) -> str:
    """The value in one line: as it is, or as a JSON string."""
    text = str(value)
    plain = text == text.strip() and text.isprintable() and not text.startswith('"')
    return text if plain else codec.dumps(text).decode()


def _plain(name: str) -> bool:
    return name == name.strip() and name.isprintable() and ":" not in name


def fields(text: str) -> Json:
    """What a form says: registers by name, and `labels`. Raises BadData."""
    head, _, desc = text.replace("\r\n", "\n").partition("\n\n")
    said: Json = {"labels": [], "desc": desc}
    for number, line in enumerate(head.split("\n"), 1):
        if line.startswith("#") or not line.strip():
            continue
        name, colon, value = line.partition(":")
        known = name in (*NAMES, "label") or name.startswith("fields.")
        if not colon or not known:
            raise BadData(f"line {number}: not `NAME: VALUE`: {line[:40]!r}")
        value = _value(value.strip())
        if name == "label":
            said["labels"] += [value] if value else []
        else:
            said[name] = value
    return said


def _value(text: str) -> str:
    if not text.startswith('"'):
        return text
    try:
        value = codec.loads(text.encode())
    except ValueError:
        return text
    return value if isinstance(value, str) else text


def update(before: Json, after: Json) -> Json:
    """{set, add, rm}: what makes one of the other. A line that is gone counts as empty."""
    names = dict.fromkeys([*before, *after])
    names.pop("labels")
    new = {name: after.get(name, "") for name in names}
    changed = {name: value for name, value in new.items() if value != before.get(name, "")}
    if changed.get("desc", "").rstrip("\n") == before["desc"].rstrip("\n"):
        changed.pop("desc", None)  # editors end the last line
    added = [label for label in after["labels"] if label not in before["labels"]]
    removed = [label for label in before["labels"] if label not in after["labels"]]
    return {"set": changed, "add": added, "rm": removed}


def _checked(call: Call, words: Json) -> None:
    """Values as an update has them. Raises BadData, Usage."""
    new = words["set"]
    if new.get("title", "x") == "":
        raise BadData("title is missing or not text")
    if level := new.get("priority"):
        if level not in tuple("01234"):
            raise BadData(f"not a valid priority: {level!r}", todo="valid values: 0 to 4")
        new["priority"] = int(level)
    if new.get("assignee"):
        new["assignee"] = call.agent_id(new["assignee"], "assignee")
    if new.get("defer_until"):
        new["defer_until"] = call.moment(new["defer_until"], ahead=True)
    for name in [name for name in new if name.startswith("fields.") and new[name]]:
        new[name] = draft.fields([f"{name[7:]}={new[name]}"])[name[7:]]
    draft.check({name: value for name, value in new.items() if value != ""})
    draft.check({"labels": [*words["add"], *words["rm"]]})


def _body(items: Items, words: Json) -> Json:
    new = {name: None if value == "" else value for name, value in words["set"].items()}
    if new.get("parent"):
        new["parent"] = items.resolve(str(new["parent"]))
    lists = {how: {"labels": words[how]} for how in ("add", "rm") if words[how]}
    return ({"set": new} if new else {}) | lists


def _refuse_conflict(seen: State, now: State, names: list[str]) -> None:
    before, registers = seen["registers"], now["registers"]
    changed = [
        name for name in names if before.get(name, {}).keys() != registers.get(name, {}).keys()
    ]
    if changed:
        what = f"{' '.join(changed)} changed meanwhile, by {now['last']['by']}"
        raise No(what, todo="`wk edit` it again", code="conflict")


def _file(call: Call, text: str) -> str:
    import tempfile  # random: 5 ms

    local = os.path.join(call.journal.store.path, "local")
    fd, path = tempfile.mkstemp(prefix="edit-", suffix=".md", dir=local)
    with open(fd, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def _run_editor(path: str, before: str) -> None:
    import subprocess  # 10 ms

    editor = world.getenv("VISUAL") or world.getenv("EDITOR")
    if not editor and not os.isatty(0):
        os.unlink(path)
        raise Usage("no editor", todo="set VISUAL or EDITOR, or use `wk update`")
    # As git does: the editor may have arguments.
    status = subprocess.run(["sh", "-c", f'{editor or "vi"} "$@"', "sh", path]).returncode
    if status:
        with open(path, encoding="utf-8", errors="replace") as file:
            kept = file.read() != before
        if not kept:
            os.unlink(path)
        todo = f"your text is in {path}" if kept else ""
        raise No(f"the editor ended with status {status}; nothing was changed", todo=todo)
