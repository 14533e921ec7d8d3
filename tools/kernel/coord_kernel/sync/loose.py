"""Refs of the store's repository as files, without a process of git: 3 ms each.

As gitrepository-layout(5) has them. Only under the sync's lock, which keeps every git out that
writes there. What is not as it should be is left to git.
"""

from __future__ import annotations

import os

from coord_envelope.platform import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from coord_kernel.store.directory import Store

_HEX = frozenset("0123456789abcdef")
_USUAL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
_PACKS = 50
"""Packs from which git packs them as one."""
_TOGETHER = 8
"""Refs from which they are written as one file: each file of its own waits for the disk twice."""


def refs(repository: str, prefix: str) -> dict[str, str] | None:
    """The refs below a prefix that ends with a slash, and their objects. None: ask git."""
    top = os.path.join(repository, prefix)
    try:
        found = _packed(repository, prefix)
        for above, _, names in os.walk(top, onerror=_raise) if os.path.isdir(top) else ():
            for name in names:
                path = os.path.join(above, name)
                if name.endswith((".lock", ".tmp")):
                    continue
                with open(path, encoding="ascii") as file:
                    found[os.path.relpath(path, repository)] = file.read(64).rstrip("\n")
    except (OSError, ValueError):
        return None
    whole = all(map(_is_object, found.values())) and not _elsewhere(repository)
    return found if whole else None


def _packed(repository: str, prefix: str) -> dict[str, str]:
    try:
        with open(os.path.join(repository, "packed-refs"), encoding="utf-8") as file:
            rows = (line.rstrip("\n").partition(" ") for line in file if line[0] not in "#^")
            return {ref: oid for oid, _, ref in rows if ref.startswith(prefix)}
    except FileNotFoundError:
        return {}


def written(store: Store, tips: Mapping[str, str]) -> bool:
    """Have these refs these objects now? False: some may have, and git is to do it."""
    if _elsewhere(os.path.join(store.path, ".git")):
        return False
    for ref, oid in tips.items():
        parts = ref.split("/")
        if not _is_object(oid) or not all(part and _USUAL.issuperset(part) for part in parts):
            return False
    if len(tips) >= _TOGETHER:
        return _written_together(store, tips)
    for ref, oid in tips.items():
        parts = ref.split("/")
        try:
            store.save(f"{oid}\n".encode(), ".git", *parts)
        except OSError:
            return False
    return True


def _written_together(store: Store, tips: Mapping[str, str]) -> bool:
    """As one file, `packed-refs`, in place of a file for each ref, which would hide it.

    A ref whose own file is left there by a crash has its former object, and is taken in again.
    """
    repository = os.path.join(store.path, ".git")
    try:
        refs = {**_packed(repository, ""), **tips}
        if not all(map(_is_object, refs.values())) or _nested(refs):
            return False
        lines = [f"{oid} {ref}\n" for ref, oid in sorted(refs.items())]
        store.save("".join(lines).encode(), ".git", "packed-refs")
        for ref in tips:
            with suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(os.path.join(repository, ref))
    except (OSError, ValueError):
        return False
    return True


def _nested(refs: Collection[str]) -> bool:
    """Is one of these refs a directory of another? git has no such refs."""
    return any(ref[:at] in refs for ref in refs for at, char in enumerate(ref) if char == "/")


def many(repository: str, most: int) -> bool:
    """Are there about so many loose objects, or many packs? As `git gc --auto` looks at it."""
    packs = sum(name.endswith(".pack") for name in _names(repository, "pack"))
    return packs > _PACKS or len(_names(repository, "17")) > most // 256


def _names(repository: str, of: str) -> list[str]:
    try:
        return os.listdir(os.path.join(repository, "objects", of))
    except FileNotFoundError:
        return []


def _elsewhere(repository: str) -> bool:
    """Does it keep its refs in another way?"""
    return os.path.exists(os.path.join(repository, "reftable"))


def _is_object(oid: str) -> bool:
    return len(oid) == 40 and _HEX.issuperset(oid)


def _raise(error: OSError) -> None:
    raise error
