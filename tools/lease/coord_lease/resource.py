"""What can be leased, and whether two resources overlap. Pure: no file is looked at.

    file:GLOB   work:ID   env:NAME   port:N   run:ID   x-SLUG:NAME

A file glob is a path from the root of the repository. `*` and `?` stand for characters of one
segment, `**` alone for any number of segments, zero included. Before it is compared, a path is
folded (NFC, then without case), because some file systems do that: README and readme are the same.
Braces are expanded as a shell does it: `lib/{a,b}.py` is two resources.
"""

from __future__ import annotations

from itertools import pairwise

from coord_envelope import BadData
from coord_envelope.event import name_ok

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST_BYTES, MOST = 256, 32
"""Bytes of a resource, and resources of a lease."""
LONGEST, MOST_WORDS = 4096, 256
"""Characters of a resource with braces, and how many words it may stand for."""
BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the order in which others are shown."""
_KINDS = ("file", "work", "env", "port", "run")
_LITERAL = str.maketrans("*?", "\x00\x00")


def parsed(text: str) -> str:
    """The resource as it is stored and compared. Raises BadData."""
    kind, colon, name = text.partition(":")
    own = kind.startswith("x-") and name_ok(kind[2:])
    if not colon or not name or not (own or kind in _KINDS):
        forms = "file:GLOB work:ID env:NAME port:N run:ID, or x-KIND:NAME"
        path = not colon and ("/" in text or "." in text)
        todo = f"a file is file:{text}" if path else forms
        raise BadData("not a valid resource", text, todo=todo)
    if len(text.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise BadData(f"exceeds {MOST_BYTES} bytes", text)
    if not text.isprintable():
        _refuse_unprintable(text)
    if kind == "port" and not (name.isascii() and name.isdigit() and 0 < int(name) < 65536):
        raise BadData("not a valid port", text, todo="port:1 to port:65535")
    if kind != "file":
        return f"port:{int(name)}" if kind == "port" else text
    if any(part in ("", ".", "..") for part in name.split("/")):
        raise BadData("not a repository-relative path", text, todo="file:src/*.py, file:src/**")
    return f"file:{_folded(name)}"


def all_parsed(texts: Sequence[str]) -> list[str]:
    """The resources, braces expanded, each once, in order. Raises BadData."""
    resources = sorted({parsed(word) for text in texts for word in _expanded(text)})
    if len(resources) > MOST:
        what = f"{len(resources)} resources exceed the {MOST} of one lease"
        raise BadData(what, todo="use a glob, or several leases")
    return resources


def _expanded(text: str) -> list[str]:
    """`lib/{a,b}.py` as a shell understands it. Braces without a comma stand for themselves.

    Raises BadData for a range such as {1..3}, and if there are too many words.
    """
    if "{" not in text:
        return [text]
    if len(text) > LONGEST:
        raise BadData(f"exceeds {LONGEST:,} characters", text[:80])
    words, todo = list[str](), [text]
    while todo:
        if len(words) + len(todo) > MOST_WORDS:
            raise BadData(f"its braces stand for more than {MOST_WORDS} resources", text)
        word = todo.pop()
        braces = _braces(word)
        if braces is None:
            words.append(word)
            continue
        begin, *commas, end = braces
        cuts = [begin, *commas, end]
        parts = [word[one + 1 : other] for one, other in pairwise(cuts)]
        todo += [word[:begin] + part + word[end + 1 :] for part in reversed(parts)]
    return words


def _braces(word: str) -> list[int] | None:
    """Where the first braces with a comma stand: `{`, the commas, `}`. Raises BadData."""
    pending: list[list[int]] = []
    closed: list[list[int]] = []
    for at, character in enumerate(word):
        if character == "{":
            pending.append([at])
        elif character == "," and pending:
            pending[-1].append(at)
        elif character == "}" and pending:
            closed.append([*pending.pop(), at])
    for begin, *_, end in (braces for braces in closed if len(braces) == 2):
        if _is_range(word[begin + 1 : end]):
            what = f"the range {word[begin : end + 1]} is not expanded"
            raise BadData(what, word, todo="list its members: {1,2,3}")
    return min((braces for braces in closed if len(braces) > 2), default=None)


def _is_range(text: str) -> bool:
    first, dots, last = text.partition("..")
    numbers = first.lstrip("-").isdecimal() and last.partition("..")[0].lstrip("-").isdecimal()
    return bool(dots) and (numbers or len(first) == len(last) == 1)


def _refuse_unprintable(text: str) -> None:
    """Raise BadData for what no name is written with. Blanks and joiners of any kind are."""
    from unicodedata import category  # 1 ms

    for character in text:
        if "\ud800" <= character <= "\udfff":
            raise BadData("is not UTF-8", text)
        if category(character) in ("Cc", "Zl", "Zp") or character in BIDIRECTIONAL:
            raise BadData(f"has the control character U+{ord(character):04X}", text)


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
