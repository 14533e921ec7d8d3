"""A plain, well-formed command line, parsed from a table that was made from the Typer application.

Starting Typer costs six times a bare Python, so it handles only what is unusual: help, errors,
completion. Where `parse` answers, Typer would call the same command with equal arguments; a test
compares the two.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any, Literal

    Kind = Literal["flag", "one", "many"] | tuple[int, int]
    """A tuple is a whole number, and its bounds."""
    Options = Mapping[str, tuple[str, Kind]]
    """Spelling of an option → the parameter that it sets."""
    Arguments = Sequence[tuple[str, Kind]]
    """The parameters of the positional arguments; only the last may take many."""
    Table = Mapping[str, tuple[Options, Arguments, Sequence[str]]]
    """Command → its options, its arguments, and the names of required parameters."""

COMMON: Options = {
    "--as": ("as_", "one"),
    "--output": ("output", "one"),
    "-o": ("output", "one"),
    "--color": ("color", "one"),
    "--errors": ("errors", "one"),
}
"""The options that every command has."""
DIGITS = 9
"""Maximum digits of a plain number."""
MOST = 10**DIGITS
"""The greatest number that an option without a bound of its own takes; a greater one means this."""


def parse(table: Table, argv: Sequence[str]) -> tuple[str, dict[str, Any]] | None:
    """The command and the values of its parameters; None if the line is not plain. Never raises."""
    if not argv or argv[0] not in table:
        return None
    options, arguments, required = table[argv[0]]
    given: dict[str, Any] = {}
    words: list[str] = []
    rest = iter(argv[1:])
    for word in rest:
        if word == "--":
            words += rest
        elif len(word) < 2 or word[0] != "-":
            words.append(word)
        elif not _option(given, options, word, rest):
            return None
    if _places(given, arguments, words) and all(name in given for name in required):
        return argv[0], given
    return None


def _option(given: dict[str, Any], options: Options, word: str, rest: Iterator[str]) -> bool:
    spelling, equals, text = word.partition("=") if word.startswith("--") else (word, "", "")
    found = options.get(spelling) or COMMON.get(spelling)
    if not found:
        return False
    name, kind = found
    if kind == "flag":
        given[name] = True
        return not equals
    value = text if equals else next(rest, None)
    return value is not None and _set(given, name, kind, value)


def _places(given: dict[str, Any], arguments: Arguments, words: list[str]) -> bool:
    for name, kind in arguments:
        taken, words = (words, []) if kind == "many" else (words[:1], words[1:])
        if not all(_set(given, name, kind, word) for word in taken):
            return False
    return not words


def _set(given: dict[str, Any], name: str, kind: Kind, text: str) -> bool:
    if kind == "many":
        given.setdefault(name, []).append(text)
    elif isinstance(kind, str):
        given[name] = text
    else:
        plain = len(text) <= DIGITS and text.isascii() and text.isdecimal()
        given[name] = int(text) if plain else -1
        return plain and kind[0] <= given[name] <= kind[1]
    return True
