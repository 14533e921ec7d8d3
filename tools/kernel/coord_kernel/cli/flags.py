"""The command line of another program, parsed from a table of its verbs and options.

Options stand anywhere, also before the verb and after the arguments; `--name=value`, `--name
value`, `-n5`, `-n=5`, `-n 5`; `--` ends them. Each is either

    the same       the other program's option, which does here what it does there
    different      does nearly that; the remark says how it differs
    not there      known, and refused in one line; the remark says what to do

so one table is the parser, and the list of what is compatible (`rows`).
"""

from __future__ import annotations

from coord_envelope.errors import Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any, NamedTuple

    class Option(NamedTuple):
        """An option of a verb."""

        name: str
        """Of the value that it sets."""
        kind: str
        """flag, one, many (repeatable), list (repeatable, and split at commas) or none"""
        remark: str = ""
        """How it differs, or why it is not there."""
else:
    from collections import namedtuple

    Option = namedtuple("Option", "name kind remark", defaults=("",))

NONE = "none"
"""The kind of an option that is not there."""


class Verb:
    """A verb: its options by spelling, how many arguments it takes, and a remark on itself."""

    def __init__(
        self, least: int, most: int, options: Mapping[str, Option], remark: str = ""
    ) -> None:
        self.least, self.most, self.options, self.remark = least, most, options, remark


def options(**kinds: str) -> dict[str, Option]:
    """Options from `name="kind -s --long ; remark"`; the spellings stand between."""
    table: dict[str, Option] = {}
    for name, text in kinds.items():
        words, _, remark = text.partition(";")
        kind, *spellings = words.split()
        option = Option(name.rstrip("_"), kind, remark.strip())
        table |= dict.fromkeys(spellings, option)
    return table


def parse(
    verbs: Mapping[str, Verb], common: Mapping[str, Option], argv: Sequence[str]
) -> tuple[str, list[str], dict[str, Any]]:
    """The verb, its arguments, the values of its options. Raises Usage.

    A verb of two words (`dep add`) is in the table as such. The verb is "" if there is none.
    """
    values: dict[str, Any] = {}
    words: list[str] = []
    plain: list[str] = []
    verb, known = "", common
    rest = iter(argv)
    for word in rest:
        if word == "--":
            plain += rest
        elif len(word) > 1 and word[0] == "-" and not word[1:].isdigit():
            _take(values, known, word, rest)
        else:
            words.append(word)
            if len(words) <= 2 and (found := _verb(verbs, words)):
                verb, known = found, {**common, **verbs[found].options}
                if verbs[found].most < 0:
                    raise Usage(f"{verb} is not there: {verbs[found].remark}")
    arguments = words[len(verb.split()) :] + plain
    if verb and not values.get("help"):
        _count(verb, verbs[verb], arguments)
    elif words:
        raise Usage(f'unknown command "{words[0]}"')
    return verb, arguments, values


def _verb(verbs: Mapping[str, Verb], words: list[str]) -> str:
    both = " ".join(words)
    return both if both in verbs else words[0] if words[0] in verbs else ""


def _count(verb: str, entry: Verb, arguments: list[str]) -> None:
    if len(arguments) < entry.least:
        raise Usage(f"{verb} needs {entry.least} argument(s), got {len(arguments)}")
    if len(arguments) > entry.most:
        raise Usage(f"{verb} takes {entry.most} argument(s), got {len(arguments)}")


def _take(
    values: dict[str, Any], known: Mapping[str, Option], word: str, rest: Iterator[str]
) -> None:
    spelling, equals, text = word.partition("=")
    if not word.startswith("--") and len(spelling) > 2:  # -n5, -vq
        spelling, equals, text = word[:2], "=", word[2:]
        option = known.get(spelling)
        if option and option.kind == "flag":
            equals = ""
            _take(values, known, f"-{text}", rest)
    option = known.get(spelling)
    if option is None:
        raise Usage(f"unknown flag: {spelling}")
    if option.kind == NONE:
        raise Usage(f"{spelling} is not there: {option.remark}")
    if option.kind == "flag":
        values[option.name] = not equals or text not in ("false", "0")
        return
    value = text if equals else next(rest, None)
    if value is None:
        raise Usage(f"flag needs an argument: {spelling}")
    if option.kind == "one":
        values[option.name] = value
    else:
        parts = [part.strip() for part in value.split(",")] if option.kind == "list" else [value]
        values.setdefault(option.name, []).extend(part for part in parts if part)


def rows(verbs: Mapping[str, Verb]) -> Iterator[tuple[str, str, str]]:
    """(verb, option, how it is): the table of what is compatible."""
    for verb, entry in verbs.items():
        if entry.remark:
            yield verb, "", _how(entry.remark, entry.most < 0)
        spelled: dict[Option, list[str]] = {}
        for spelling, option in entry.options.items():
            spelled.setdefault(option, []).append(spelling)
        same = [" ".join(each) for option, each in spelled.items() if not option.remark]
        if same or not entry.remark:
            yield verb, ", ".join(same), "same"
        for option, spellings in spelled.items():
            if option.remark:
                yield verb, " ".join(spellings), _how(option.remark, option.kind == NONE)


def described(verbs: Mapping[str, Verb], verb: str) -> Iterator[str]:
    """The lines of the help of a verb."""
    entry = verbs[verb]
    if entry.remark:
        yield _how(entry.remark, entry.most < 0).capitalize() + "."
    spelled: dict[Option, list[str]] = {}
    for spelling, option in entry.options.items():
        spelled.setdefault(option, []).append(spelling)
    for option, spellings in spelled.items():
        value = "" if option.kind in ("flag", NONE) else f" {option.name.upper()}"
        yield f"  {', '.join(spellings)}{value}"
        if option.remark:
            yield f"      {_how(option.remark, option.kind == NONE)}"


def _how(remark: str, missing: bool) -> str:
    return f"not there: {remark}" if missing else f"differs: {remark}"


def table(verbs: Mapping[str, Verb]) -> str:
    """The same in Markdown."""
    lines = ["| verb | option | |", "|---|---|---|"]
    for verb, option, how in rows(verbs):
        spelled = ", ".join(f"`{each}`" for each in option.split(", ")) if option else ""
        lines.append(f"| `{verb}` | {spelled} | {how} |")
    return "\n".join(lines) + "\n"
