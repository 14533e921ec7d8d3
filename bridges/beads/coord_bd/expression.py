"""The expressions of `bd query`: conditions joined by AND, OR, NOT and parentheses. Pure.

    expression  term {OR term}
    term        factor {AND factor}
    factor      NOT factor | ( expression ) | NAME SIGN VALUE

A value with blanks or brackets stands in quotes. NOT binds more than AND, AND more than OR.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from coord_bd.query import kind, moment, priority
from coord_envelope import Usage, world

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_envelope.codec import Json

    Test = Callable[[Json], bool]
    """Of an issue as `list` has it."""

_TOKEN = re.compile(
    r"""\s*(?:(?P<mark>[()])|(?P<name>[A-Za-z_.]+)\s*(?P<sign>!=|<=|>=|=|<|>)\s*"""
    r"""(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\s()]*))|(?P<word>[^\s()]+))"""
)
_SIGNS: dict[str, Callable[[int, int], bool]] = {
    "=": lambda known, asked: known == asked,
    "!=": lambda known, asked: known != asked,
    "<": lambda known, asked: known < asked,
    "<=": lambda known, asked: known <= asked,
    ">": lambda known, asked: known > asked,
    ">=": lambda known, asked: known >= asked,
}
_TEXTS = {"id": "id", "status": "status", "assignee": "assignee", "parent": "parent"}
_PARTS = {"title": "title", "description": "description", "notes": "notes"}
_TIMES = {"created": "created_at", "updated": "updated_at", "closed": "closed_at"}
CLOSED = re.compile(r"\b(status|closed)\b", re.I)
"""An expression with such a condition is about closed issues, too."""
DEEPEST = 50


def test(expression: str) -> Test:
    """The test that an expression is. Raises Usage."""
    tokens = list(_tokens(expression))
    found, rest = _either(tokens, 0)
    if rest:
        raise Usage(f"invalid query: unexpected {_named(rest[0])!r}")
    return found


def _tokens(expression: str) -> Sequence[re.Match[str]]:
    return list(_TOKEN.finditer(expression.strip()))


def _named(token: re.Match[str]) -> str:
    return token[0].strip()


def _either(tokens: Sequence[re.Match[str]], depth: int) -> tuple[Test, Sequence[re.Match[str]]]:
    one, rest = _both(tokens, depth)
    parts = [one]
    while rest and _is(rest[0], "OR"):
        one, rest = _both(rest[1:], depth)
        parts.append(one)
    return (lambda row: any(part(row) for part in parts)), rest


def _both(tokens: Sequence[re.Match[str]], depth: int) -> tuple[Test, Sequence[re.Match[str]]]:
    one, rest = _factor(tokens, depth)
    parts = [one]
    while rest and _is(rest[0], "AND"):
        one, rest = _factor(rest[1:], depth)
        parts.append(one)
    return (lambda row: all(part(row) for part in parts)), rest


def _factor(tokens: Sequence[re.Match[str]], depth: int) -> tuple[Test, Sequence[re.Match[str]]]:
    if not tokens:
        raise Usage("invalid query: a condition is missing at its end")
    if depth > DEEPEST:
        raise Usage("invalid query: nested too deeply")
    token, rest = tokens[0], tokens[1:]
    if _is(token, "NOT"):
        inner, rest = _factor(rest, depth + 1)
        return (lambda row: not inner(row)), rest
    if token["mark"] == "(":
        inner, rest = _either(rest, depth + 1)
        if not rest or rest[0]["mark"] != ")":
            raise Usage("invalid query: missing )")
        return inner, rest[1:]
    if token["sign"] is None:
        raise Usage(f"invalid query: not a condition: {_named(token)!r}")
    content = next(token[name] for name in ("double", "single", "bare") if token[name] is not None)
    return _condition(token["name"].lower(), token["sign"], content), rest


def _is(token: re.Match[str], word: str) -> bool:
    return (token["word"] or "").upper() == word


def _condition(name: str, sign: str, content: str) -> Test:
    if name == "priority":
        level = priority(content)
        return lambda row: _SIGNS[sign](row["priority"], level)
    if name in _TIMES and content.lower() != "none":
        field, then = _TIMES[name], world.parse_ts(moment(_ago(content))) // 1_000
        return lambda row: field in row and _SIGNS[sign](world.parse_ts(row[field]) // 1_000, then)
    if sign not in ("=", "!="):
        raise Usage(f"invalid query: {name} cannot be compared by {sign}")
    equal = _equal(name, content)
    return equal if sign == "=" else lambda row: not equal(row)


def _equal(name: str, content: str) -> Test:
    wanted = "" if content.lower() == "none" else content
    if name in _PARTS:
        field = _PARTS[name]
        return lambda row: (
            wanted.lower() in row.get(field, "").lower() and bool(wanted or not row.get(field))
        )
    if name == "type":
        return lambda row: row["issue_type"] == kind(wanted)
    if name in ("label", "labels"):
        return lambda row: wanted in row.get("labels", ()) or not (wanted or row.get("labels"))
    if name in _TIMES:
        return lambda row: _TIMES[name] not in row
    if name.startswith("metadata."):
        key = name.removeprefix("metadata.")
        return lambda row: str(row.get("metadata", {}).get(key, "")) == wanted
    if name in _TEXTS:
        return lambda row: row.get(_TEXTS[name], "") == wanted
    raise Usage(f"invalid query: unknown field {name!r}")


def _ago(content: str) -> str:
    """`7d` is a time seven days ago."""
    return f"-{content}" if content[:1].isdigit() and content[-1:] in "mhdw" else content
