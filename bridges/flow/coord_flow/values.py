"""Variables of a formula: their values, texts with them, conditions, ranges.

Pure, except that a child matches patterns.

`{{name}}` is replaced if the formula declares `name` and it has a value; otherwise it is left as it
is, since many texts are templates of whoever does the step. What is put in is not looked at again;
a default may name variables that are given.
"""

from __future__ import annotations

import ast
import operator
import re

from coord_envelope import BadData
from coord_kernel.proc.bounded import bounded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from coord_envelope.codec import Json
    from coord_flow.shape import Problems

NAME = re.compile(r"\{\{\s*([A-Za-z_][\w.-]*)\s*\}\}")
_SINGLE = re.compile(r"\{([A-Za-z_][\w.-]*)\}")
_CONDITION = re.compile(r"(!?)\s*\{\{\s*([A-Za-z_][\w.-]*)\s*\}\}\s*(?:(==|!=)\s*(.+))?", re.DOTALL)
_FALSE = ("", "false", "0", "no", "off")
MOST_ROUNDS = 10_000
"""Iterations of one loop."""
LONGEST = 1 << 20
"""Characters of a text with the values of its variables."""
NOT_PATTERN = (re.error, OverflowError, RecursionError)
"""What compiling a text that is not a pattern raises."""
_SUMS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.floordiv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}


def bound(declared: Json, given: Mapping[str, str], problems: Problems) -> dict[str, str]:
    """The values of the variables that have one. `declared`: the tables `vars` and `inputs`."""
    values: dict[str, str] = {}
    for name in given:
        if name not in declared:
            known = f"declared: {', '.join(sorted(declared))}" if declared else "it declares none"
            problems.add(f"--var {name}", "is not a variable of the formula", known)
    for name, about in declared.items():
        spec = about if isinstance(about, dict) else {"default": about}
        default = spec.get("default")
        if name in given:
            values[name] = given[name]
            _valid(name, given[name], spec, problems)
        elif default is not None:
            values[name] = filled(written(default), given)
        elif spec.get("required") is True:
            problems.add(f"vars.{name}", "is unbound, and required", f"give it: --var {name}=VALUE")
        else:
            _needed(name, spec, given, problems)
    return values


def _needed(name: str, spec: Json, given: Mapping[str, str], problems: Problems) -> None:
    others = spec.get("required_unless")
    if isinstance(others, list) and others and not any(other in given for other in others):
        todo = f"give one of: {', '.join(sorted({name, *map(str, others)}))}"
        problems.add("inputs", "is unbound, and one of them is required", todo)


def written(value: object) -> str:
    """A value as it is put into a text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _valid(name: str, text: str, spec: Json, problems: Problems) -> None:
    where, kind = f"--var {name}", spec.get("type", "string")
    allowed = spec.get("enum")
    if isinstance(allowed, list) and allowed and text not in map(written, allowed):
        problems.add(where, f"not a valid value: {text!r}", f"use {', '.join(map(str, allowed))}")
    pattern = spec.get("pattern")
    if isinstance(pattern, str):
        try:
            if not _found(pattern, text):
                problems.add(where, f"{text!r} does not match {pattern}")
        except BadData as fault:
            problems.add(where, f"matching it with {pattern} {fault.what}", "simplify the pattern")
    if kind in ("int", "integer", "number") and not re.fullmatch(r"-?\d+(\.\d+)?", text):
        problems.add(where, f"not a number: {text!r}")
    if kind in ("bool", "boolean") and text not in ("true", "false"):
        problems.add(where, f"not true or false: {text!r}")


def _found(pattern: str, text: str) -> bool:
    """Raises BadData for a pattern that costs too much: its time may grow with 2^length."""
    try:
        compiled = re.compile(pattern)
    except NOT_PATTERN:  # a fault of the formula
        return True
    return bounded(lambda: compiled.search(text) is not None, "")


def _fits(text: str, values: Mapping[str, str], pattern: re.Pattern[str]) -> None:
    """Raise BadData if the text with its values would be too long."""
    size = len(text) + sum(len(values.get(match[1], "")) for match in pattern.finditer(text))
    if size > LONGEST:
        what = f"a text with the values of its variables exceeds {LONGEST:,} characters"
        raise BadData(what, todo="shorten it")


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with the values of `{{name}}`. Raises BadData if that is too long."""
    if "{{" not in text:
        return text
    _fits(text, values, NAME)
    return NAME.sub(lambda match: values.get(match[1], match[0]), text)


def replaced(text: str, values: Mapping[str, str]) -> str:
    """The text with the values of `{name}`, and of `{{name}}`. Raises BadData as `filled`."""
    if not values or "{" not in text:
        return text
    text = filled(text, values)
    _fits(text, values, _SINGLE)
    return _SINGLE.sub(lambda match: values.get(match[1], match[0]), text)


def names(text: str) -> Iterator[str]:
    """The names of `{{name}}` in a text."""
    return (match[1] for match in NAME.finditer(text))


def holds(condition: str, values: Mapping[str, str], known: Json) -> bool:
    """`{{x}}`, `!{{x}}`, `{{x}} == value` or `{{x}} != value`. Raises ValueError with the reason.

    True of `{{x}}` is what is not empty, false, 0, no or off. `known`: what may be named.
    """
    match = _CONDITION.fullmatch(condition.strip())
    if match is None:
        raise ValueError(f"not a condition: {condition!r}")
    negated, name, how, other = match.groups()
    if name not in known and name not in values:
        raise ValueError(f"unbound variable {name!r}")
    value = values.get(name, "")
    if how:
        if negated:
            raise ValueError(f"not a condition: {condition!r}")
        return (value == _unquoted(other.strip())) == (how == "==")
    return (value.lower() not in _FALSE) != bool(negated)


def _unquoted(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if quoted else text


def rounds(text: str, values: Mapping[str, str]) -> range:
    """The numbers of `1..10`, `{a}..{b}` or `1..2^{n}`. Raises ValueError with the reason."""
    first, dots, last = replaced(text, values).partition("..")
    if not dots:
        raise ValueError(f"not a range: {text!r}")
    begin, end = number(first), number(last)
    if end < begin:
        raise ValueError(f"range {text!r} ends before it begins: {begin}..{end}")
    if end - begin >= MOST_ROUNDS:
        raise ValueError(f"range {text!r} has more than {MOST_ROUNDS:,} rounds")
    return range(begin, end + 1)


def number(text: str) -> int:
    """The value of whole numbers with + - * / ^ and parentheses. Raises ValueError."""
    unbound = _SINGLE.search(text) or NAME.search(text)
    if unbound:
        raise ValueError(f"unbound variable {unbound[1]!r}")
    if len(text) > 200:
        raise ValueError("range is too long")
    try:
        return _sum(ast.parse(text.strip().replace("^", "**"), mode="eval").body)
    except (SyntaxError, TypeError, ZeroDivisionError, RecursionError, MemoryError):
        raise ValueError(f"not a number: {text.strip()!r}") from None


def _sum(node: ast.expr) -> int:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        value = node.value
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = -_sum(node.operand)
    elif isinstance(node, ast.BinOp) and type(node.op) in _SUMS:
        left, right = _sum(node.left), _sum(node.right)
        if isinstance(node.op, ast.Pow) and not 0 <= right <= 64:
            raise TypeError
        value = _SUMS[type(node.op)](left, right)
    else:
        raise TypeError
    if abs(value) > 10**9:
        raise TypeError
    return int(value)
