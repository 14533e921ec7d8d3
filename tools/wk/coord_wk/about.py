"""What a question is about, as a digest: a file, a work item, or a digest that is given."""

from __future__ import annotations

import os

from coord_envelope import BadData, No, codec, ids
from coord_envelope.platform import suppress
from coord_kernel.store import locate
from coord_wk import question

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel import Store
    from coord_wk.items import Items
    from coord_wk.registers import About, State

SHORTEST, LONGEST = 7, 128
"""Characters of a digest in hex."""


def about(store: Store, items: Items, text: str) -> About:
    """What `--about TEXT` names: a work item `wk-…`, a file, or a digest. Raises BadData, No."""
    if text.startswith("wk-") or ids.valid(text):
        item = items.resolve(text)
        return {"digest": _of_item(items, item), "work": item}
    if os.path.exists(text):
        path, tree = os.path.realpath(text), os.path.realpath(locate.tree(store))
        inside = os.path.commonpath((path, tree)) == tree
        name = os.path.relpath(path, tree) if inside else path
        return {"digest": _of_file(path), "file": name}
    algorithm, _, digits = text.rpartition(":")
    plain = SHORTEST <= len(digits) <= LONGEST and not set(digits) - set("0123456789abcdefABCDEF")
    if not plain or len(algorithm) > 16:
        todo = "give a path, wk-…, or a digest in hex"
        raise BadData("no such file, work item or digest", f"--about {text}", todo)
    return {"digest": text}


def changed(store: Store, items: Items, state: State) -> str:
    """What has changed since the question was asked; empty if nothing has, as far as is known."""
    asked = question.of(state)
    thing = asked.get("about") if asked else None
    if question.reworded(state):
        return "its text"
    if thing is None:
        return ""
    if "work" in thing:
        there = items.state(thing["work"]) is not None
        same = there and _of_item(items, thing["work"]) == thing["digest"]
        return "" if same else f"work item {thing['work']}"
    if "file" in thing:
        path = os.path.join(locate.tree(store), thing["file"])
        with suppress(OSError, BadData):
            if _of_file(path) == thing["digest"]:
                return ""
        return thing["file"]
    return ""


def _of_item(items: Items, item: str) -> str:
    state = items.state(item)
    if state is None:
        raise No("no such work item", where=item, code="not_found")
    return _digest([codec.dumps(question.describe(state))])


def _of_file(path: str) -> str:
    if not os.path.isfile(path):  # reading a pipe would wait
        raise BadData("not a plain file", where=path, todo="give a file, or the digest of a commit")
    with open(path, "rb") as file:
        return _digest(iter(lambda: file.read(1 << 20), b""))


def _digest(parts: object) -> str:
    import hashlib  # OpenSSL: 3 ms

    digest = hashlib.sha256()
    for part in parts:  # type: ignore[attr-defined]
        digest.update(part)
    return f"sha256:{digest.hexdigest()}"
