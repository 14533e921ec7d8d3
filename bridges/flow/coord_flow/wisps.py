"""The end of what a formula was poured into: squash and burn, as operations. Pure."""

from __future__ import annotations

import hashlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope.codec import Json
    from coord_wk.items import Items

LONGEST = 1 << 20
"""Characters of the comment; what is longer is cut, and says so."""


def below(items: Items, root: str) -> list[str]:
    """The parts of an item, and theirs, each behind its own parts; the item last."""
    order, todo, seen = list[str](), [root], set[str]()
    while todo:
        item = todo.pop()
        if item not in seen:
            seen.add(item)
            order.append(item)
            todo += items.children(item)
    return order[::-1]


def squash(items: Items, root: str, note: str = "") -> list[Json]:
    """One comment with what the steps said, on the root's parent if it has one; all is closed."""
    parts = below(items, root)
    text = "\n".join(_said(items, root, parts, note))
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}\n(cut: it has {len(text):,} characters)"
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
    home = items.row(root).get("parent") or root
    key = f"squash:{root}:{digest}"
    comment: Json = {"op": "comment", "id": home, "text": text, "idempotency_key": key}
    return [comment, *_closed(items, parts, "squash", "done", "squashed")]


def burn(items: Items, root: str, note: str = "") -> list[Json]:
    """All of it closed as cancelled."""
    return list(_closed(items, below(items, root), "burn", "cancelled", note or "burned"))


def _closed(items: Items, parts: list[str], verb: str, how: str, note: str) -> Iterator[Json]:
    for item in parts:
        if items.is_open(item):
            state = items.known(item)
            since = max(state["registers"].get("closed", {}), default=state["created"]["id"])
            close: Json = {"op": "close", "id": item, "resolution": how, "note": note}
            yield {**close, "force": True, "idempotency_key": f"{verb}:{item}:{since}"}


def _said(items: Items, root: str, parts: list[str], note: str) -> Iterator[str]:
    row = items.row(root)
    steps = [item for item in reversed(parts) if item != root]
    yield f"{row['title']}: {len(steps)} step{'s' * (len(steps) != 1)}"
    if note:
        yield note
    for item in sorted(steps):
        detail = items.detail(item)
        closed = detail.get("closed") or {}
        by = f" by {closed['by']}" if closed.get("by") else ""
        yield f"- {detail['title']}: {detail['status']}{by}"
        said = [str(closed.get("note", "")), *(str(c["text"]) for c in detail.get("comments", ()))]
        for text in filter(None, said):
            yield from (f"  {line}" for line in text.split("\n"))
