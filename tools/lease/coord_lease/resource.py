"""What can be leased, and whether two resources overlap. Pure: no file is looked at.

    file:GLOB   work:ID   env:NAME   port:N   run:ID   x-SLUG:NAME

A file glob is a path from the root of the repository. `*` and `?` stand for characters of one
segment, `**` alone for any number of segments, zero included. Before it is compared, a path is
folded (NFC, then without case), because some file systems do that: README and readme are the same.
"""

from __future__ import annotations

from coord_envelope import BadData
from coord_envelope.event import name_ok

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST_BYTES, MOST = 256, 32
"""Bytes of a resource, and resources of a lease."""
_KINDS = ("file", "work", "env", "port", "run")
_LITERAL = str.maketrans("*?", "\x00\x00")


def parsed(text: str) -> str:
    """The resource as it is stored and compared. Raises BadData."""
    kind, colon, name = text.partition(":")
    own = kind.startswith("x-") and name_ok(kind[2:])
    if not colon or not name or not (own or kind in _KINDS):
        forms = "file:GLOB work:ID env:NAME port:N run:ID, or x-KIND:NAME"
        raise BadData("not a valid resource", text, todo=forms)
    if len(text.encode("utf-8", "surrogatepass")) > MOST_BYTES or not text.isprintable():
        raise BadData(f"exceeds {MOST_BYTES} bytes, or has unprintable characters", text)
    if kind == "port" and not (name.isascii() and name.isdigit() and 0 < int(name) < 65536):
        raise BadData("not a valid port", text, todo="port:1 to port:65535")
    if kind != "file":
        return f"port:{int(name)}" if kind == "port" else text
    if any(part in ("", ".", "..") for part in name.split("/")):
        raise BadData("not a repository-relative path", text, todo="file:src/*.py, file:src/**")
    return f"file:{_folded(name)}"


def all_parsed(texts: Sequence[str]) -> list[str]:
    """The resources, each once, in order. Raises BadData."""
    resources = sorted({parsed(text) for text in texts})
    if len(resources) > MOST:
        what = f"{len(resources)} resources exceed the {MOST} of one lease"
        raise BadData(what, todo="use a glob, or several leases")
    return resources


def of_path(path: str) -> str:
    """The resource of one file, in whose name `*` and `?` are plain characters."""
    return f"file:{_folded(path).translate(_LITERAL)}"


def overlap(one: str, other: str) -> bool:
    """Is there anything that both name? Exact, in time of the product of their lengths."""
    if one == other:
        return True
    if not (one.startswith("file:") and other.startswith("file:")):
        return False
    return _meet(one[5:].split("/"), other[5:].split("/"), "**", _segments_meet)


def any_overlap(some: Sequence[str], others: Sequence[str]) -> bool:
    """Does any of these resources overlap with any of the others?"""
    return any(overlap(one, other) for one in some for other in others)


def key(resource: str) -> str:
    """The key under which a secondary index has it.

    Of a file glob its segments before the first wild one, of anything else the resource itself.
    """
    if not resource.startswith("file:"):
        return resource
    segments = resource[5:].split("/")
    wild = next(
        (n for n, segment in enumerate(segments) if "*" in segment or "?" in segment), len(segments)
    )
    return f"file:{'/'.join(segments[:wild])}"


def near(resource: str) -> tuple[list[str], tuple[str, str]]:
    """The keys of all that may overlap with it: single ones, and a range (from, up to but without).

    Two globs can only meet if the key of one is a path above the other's, or the same.
    """
    own = key(resource)
    if not resource.startswith("file:"):
        return [own], ("", "")
    segments = own[5:].split("/")
    above = [f"file:{'/'.join(segments[:n])}" for n in range(len(segments) + 1)]
    below = (
        (own, "file;") if own == "file:" else (f"{own}/", f"{own}0")
    )  # "0" and ";" come after "/" and ":"
    return above, below


def _folded(path: str) -> str:
    if path.isascii():
        return path.lower()
    from unicodedata import normalize

    return normalize("NFC", normalize("NFC", path).casefold())


def _segments_meet(one: str, other: str) -> bool:
    return one == other or _meet(one, other, "*", _characters_meet)


def _characters_meet(one: str, other: str) -> bool:
    return one == other or "?" in (one, other)


def _meet(
    one: Sequence[str], other: Sequence[str], many: str, alike: Callable[[str, str], bool]
) -> bool:
    """Is there a sequence that both patterns match, where `many` stands for any run of items?

    Row by row: does a sequence match the first i items of the one and the first j of the other?
    """
    row = [True]
    for item in other:
        row.append(row[-1] and item == many)
    for mine in one:
        before, row = row, [row[0] and mine == many]
        for j, item in enumerate(other):
            if many in (mine, item):
                # It stands for nothing, or for the other pattern's item and maybe more.
                row.append(before[j + 1] or row[j])
            else:
                row.append(before[j] and alike(mine, item))
    return row[-1]
