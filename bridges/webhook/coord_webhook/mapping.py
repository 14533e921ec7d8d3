"""From what was received to drafts of events: the `[[emit]]` tables of a hook's file. Pure, total.

    ".labels.severity"          the value at a path of what was received (see coord_envelope.fields)
    "$.receiver"                with `each`: a path of the whole, not of the element
    "@x-request-id"             a header
    ".severity // .level // \"low\""   the first of these that is there
    "{.alertname} on {.instance}"     a text with values in it; what is missing is empty
    anything else               itself

A field whose value is missing is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coord_envelope import BadData, codec
from coord_envelope.event import recipient, type_fault
from coord_envelope.fields import Where, flat, found, parsed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from coord_envelope.codec import Json

    Make = Callable[["Received", Any], Any]
    """From what was received, and the element of it, to a value; None if there is none."""

MOST = 1_000
"""Events of one delivery."""
KEYS = ("where", "each", "type", "key", "to", "body")


class Received:
    """A delivery: its value, and its headers in lower case."""

    def __init__(self, payload: Any, headers: Mapping[str, str]) -> None:
        self.payload, self.headers = payload, headers


class Emit:
    """One `[[emit]]` table: which deliveries, and the event, or one for `each`."""

    def __init__(self, table: Json) -> None:
        """Raises ValueError for what is not valid."""
        for name in table:
            if name not in KEYS:
                raise ValueError(f"unknown key {name}; valid keys: {', '.join(KEYS)}")
        where, each = table.get("where", {}), table.get("each")
        if not isinstance(where, dict):
            raise ValueError("where is not a table")
        self._where = Where(where)
        self._each = None if each is None else parsed(_text(each, "each"))
        if "type" not in table:
            raise ValueError('type is missing, as type = "ci.failed"')
        self._type = compiled(_text(table["type"], "type"))
        self._key = compiled(_text(table["key"], "key")) if "key" in table else None
        to = table.get("to", [])
        if not isinstance(to, list):
            raise ValueError("to is not a list")
        self._to = [recipient(_text(address, "to")) for address in to]
        self._body = compiled(table.get("body", "."))

    def drafts(self, received: Received) -> Iterator[Json]:
        """The drafts of a delivery. Raises BadData."""
        elements = (
            [received.payload] if self._each is None else flat(found(received.payload, self._each))
        )
        for count, element in enumerate(elements):
            if count >= MOST:
                raise BadData(f"more than {MOST} elements")
            if not isinstance(element, dict) or not self._where(element):
                continue
            body = self._body(received, element)
            draft: Json = {
                "type": typed(self._type(received, element)),
                "body": body if isinstance(body, dict) else {"value": body},
            }
            if self._key and (key := self._key(received, element)) is not None:
                draft["idempotency_key"] = str(key)
            if self._to:
                draft["to"] = self._to
            yield draft


def typed(text: Any) -> str:
    """An event type of words that came from outside. Raises BadData."""
    words = (
        "".join(char if char.isascii() and (char.isalnum() or char in "_-") else "_" for char in w)
        for w in str(text).lower().split(".")
        if w
    )
    kind = ".".join(word.lstrip("_-") or "x" for word in words)
    if fault := type_fault(kind):
        raise BadData(fault)
    return kind


def compiled(value: Any) -> Make:
    """What makes a value of a delivery. Raises ValueError."""
    if isinstance(value, dict):
        fields = {name: compiled(inner) for name, inner in value.items()}
        return lambda received, element: _present(
            (name, make(received, element)) for name, make in fields.items()
        )
    if isinstance(value, list):
        makes = [compiled(inner) for inner in value]
        return lambda received, element: [
            made for make in makes if (made := make(received, element)) is not None
        ]
    if isinstance(value, str):
        if value[:1] in (".", "@") or value.startswith("$."):
            return _expression(value)
        return _inserted(value) if "{" in value else lambda received, element: value
    if not isinstance(value, bool | int | float):
        raise ValueError("not a text, a number, true, false, a list or a table")
    return lambda received, element: value


def _expression(text: str) -> Make:
    """The first of several that is there."""
    terms = [_term(term.strip()) for term in text.split(" // ")]

    def first(received: Received, element: Any) -> Any:
        return next((v for term in terms if (v := term(received, element)) is not None), None)

    return first


def _term(text: str) -> Make:
    if text.startswith("@"):
        name = text[1:].lower()
        return lambda received, element: received.headers.get(name)
    if text.startswith("$."):
        whole = parsed(text[1:])
        return lambda received, element: next(found(received.payload, whole), None)
    if text.startswith('"') and text.endswith('"') and len(text) > 1:
        return lambda received, element: text[1:-1]
    path = parsed(text)
    return lambda received, element: next(found(element, path), None)


def _inserted(text: str) -> Make:
    """A text in which `{EXPRESSION}` is replaced."""
    first, *rest = text.split("{")
    parts: list[tuple[Make, str]] = []
    for part in rest:
        inside, brace, after = part.partition("}")
        if not brace:
            raise ValueError(f"a brace is not closed: {text[:80]!r}")
        parts.append((_expression(inside.strip()), after))

    def text_of(received: Received, element: Any) -> str:
        made = (f"{_shown(make(received, element))}{after}" for make, after in parts)
        return first + "".join(made)

    return text_of


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else codec.dumps(value).decode()


def _present(pairs: Iterator[tuple[str, Any]]) -> Json:
    return {name: value for name, value in pairs if value is not None}


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is not a text")
    return value
