"""The expressions of `bd query`: conditions joined by AND, OR, NOT and parentheses. Pure.

    expression  term {OR term}
    term        factor {AND factor}
    factor      NOT factor | ( expression ) | NAME SIGN VALUE

A value with blanks or brackets stands in quotes. NOT binds more than AND, AND more than OR.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from coord_bd.issue import STATUSES
from coord_bd.query import kind, moment, priority
from coord_envelope import Usage, world
from coord_envelope.event import name_ok

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from coord_envelope.codec import Json

    Test = Callable[[Json], bool]
    """Of an issue as `list` has it."""
    Tokens = Sequence[re.Match[str]]

_TOKEN = re.compile(
    r"""\s*(?:(?P<mark>[()])|(?P<name>[A-Za-z_][\w.:-]*)\s*(?P<sign>!=|<=|>=|=|<|>)\s*"""
    r"""(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<unclosed>["'])|(?P<bare>[^\s()]*))"""
    r"""|(?P<word>[^\s()]+))"""
)
_SIGNS: dict[str, Callable[[int, int], bool]] = {
    "=": lambda known, asked: known == asked,
    "!=": lambda known, asked: known != asked,
    "<": lambda known, asked: known < asked,
    "<=": lambda known, asked: known <= asked,
    ">": lambda known, asked: known > asked,
    ">=": lambda known, asked: known >= asked,
}
_PARTS = ("title", "description", "notes")
_TIMES = {"created": "created_at", "updated": "updated_at", "closed": "closed_at"}
DEEPEST = 50


class Expression:
    """A parsed expression. `fits` is its test, `fields` are the names in its conditions."""

    def __init__(self, expression: str, spelled: Mapping[str, Callable[[str], str]]) -> None:
        """`spelled`: by field, what makes of a value how issues have it: id, parent, assignee.

        Raises Usage, and what `spelled` raises.
        """
        self.fields: set[str] = set()
        self._spelled = spelled
        self.fits, rest = self._either(list(_TOKEN.finditer(expression.strip())), 0)
        if rest:
            raise Usage(f"invalid query: unexpected {_text(rest[0])!r}")

    def _either(self, tokens: Tokens, depth: int) -> tuple[Test, Tokens]:
        term, rest = self._both(tokens, depth)
        terms = [term]
        while rest and _is(rest[0], "OR"):
            term, rest = self._both(rest[1:], depth)
            terms.append(term)
        return (lambda row: any(term(row) for term in terms)), rest

    def _both(self, tokens: Tokens, depth: int) -> tuple[Test, Tokens]:
        factor, rest = self._factor(tokens, depth)
        factors = [factor]
        while rest and _is(rest[0], "AND"):
            factor, rest = self._factor(rest[1:], depth)
            factors.append(factor)
        return (lambda row: all(factor(row) for factor in factors)), rest

    def _factor(self, tokens: Tokens, depth: int) -> tuple[Test, Tokens]:
        if not tokens:
            raise Usage("invalid query: a condition is missing at its end")
        if depth > DEEPEST:
            raise Usage("invalid query: nested too deeply")
        token, rest = tokens[0], tokens[1:]
        if _is(token, "NOT"):
            inner, rest = self._factor(rest, depth + 1)
            return (lambda row: not inner(row)), rest
        if token["mark"] == "(":
            inner, rest = self._either(rest, depth + 1)
            if not rest or rest[0]["mark"] != ")":
                raise Usage("invalid query: missing )")
            return inner, rest[1:]
        if token["sign"] is None:
            raise Usage(f"invalid query: not a condition: {_text(token)!r}")
        if token["unclosed"]:
            raise Usage(f"invalid query: missing {token['unclosed']}")
        return self._condition(token["name"], token["sign"], _value(token)), rest

    def _condition(self, name: str, sign: str, content: str) -> Test:
        head, dot, key = name.partition(".")
        name = head.lower() + dot + key
        self.fields.add(name)
        if name == "priority":
            level = priority(content)
            return lambda row: _SIGNS[sign](row["priority"], level)
        if name in _TIMES and content.lower() != "none":
            return _time(_TIMES[name], sign, content)
        if sign not in ("=", "!="):
            raise Usage(f"invalid query: {name} cannot be compared by {sign}")
        equal = self._equal(name, content)
        return equal if sign == "=" else lambda row: not equal(row)

    def _equal(self, name: str, content: str) -> Test:
        wanted = "" if content.lower() == "none" else content
        if name in _PARTS:
            return lambda row: (
                wanted.lower() in row.get(name, "").lower() and bool(wanted or not row.get(name))
            )
        if name == "status":
            if content not in STATUSES:
                raise Usage(f"invalid status {content!r} (valid: {', '.join(STATUSES)})")
            return lambda row: row["status"] == content
        if name == "type":
            if not name_ok(kind(content), 64):
                raise Usage(f"invalid type {content!r} (expected a word of a-z 0-9 . _ -)")
            return lambda row: row["issue_type"] == kind(content)
        if name in ("label", "labels"):
            return lambda row: wanted in row.get("labels", ()) or not (wanted or row.get("labels"))
        if name in _TIMES:
            return lambda row: _TIMES[name] not in row
        if name.startswith("metadata."):
            key = name.removeprefix("metadata.")
            return lambda row: str(row.get("metadata", {}).get(key, "")) == wanted
        if name not in self._spelled:
            raise Usage(f"invalid query: unknown field {name!r}")
        spelled = self._spelled[name](wanted) if wanted or name == "id" else ""
        return lambda row: row.get(name, "") == spelled


def _time(field: str, sign: str, content: str) -> Test:
    then = world.parse_ts(moment(_ago(content))) // 1_000
    return lambda row: field in row and _SIGNS[sign](world.parse_ts(row[field]) // 1_000, then)


def _text(token: re.Match[str]) -> str:
    return token[0].strip()


def _value(token: re.Match[str]) -> str:
    return next(token[name] for name in ("double", "single", "bare") if token[name] is not None)


def _is(token: re.Match[str], word: str) -> bool:
    return (token["word"] or "").upper() == word


def _ago(content: str) -> str:
    """`7d` is a time seven days ago."""
    return f"-{content}" if content[:1].isdigit() and content[-1:] in "mhdw" else content
