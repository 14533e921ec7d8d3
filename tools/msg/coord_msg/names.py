"""Names for files that others sent: plain, visible, and each another. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from coord_envelope.codec import Json

LONGEST = 200
"""Bytes of a name, before what makes it another."""
_REPLACED = frozenset('<>:"|?*\\')
_DEVICES = {"con", "prn", "aux", "nul", "git~1"}
_DEVICES |= {f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³"}
"""Names that some systems take for something else, with any ending."""


def plain_names(files: Iterable[Json]) -> list[str]:
    """A name for each file, whatever its sender called it."""
    names: list[str] = []
    taken = set[str]()
    for file in files:
        name = _plain(file.get("name")) or str(file.get("sha256"))[:16]
        stem, dot, ending = name.rpartition(".")
        number = 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}{dot}{ending}" if stem else f"{ending}-{number}"
        taken.add(name.casefold())
        names.append(name)
    return names


def _plain(name: object) -> str:
    """One component of a path: no hidden file, no option, no device, nothing that is not seen."""
    last = name.rpartition("/")[2] if isinstance(name, str) else ""
    seen = "".join(c if c.isprintable() and c not in _REPLACED else "_" for c in last)
    short = seen.lstrip(" .-~").encode("utf-8", "replace")[:LONGEST].decode("utf-8", "ignore")
    plain = short.rstrip(" .")
    return f"_{plain}" if plain.partition(".")[0].strip().casefold() in _DEVICES else plain
