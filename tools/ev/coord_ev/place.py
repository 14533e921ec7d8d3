"""Where a reader of the history begins: behind an event, a cursor, or a number of arrival."""

from __future__ import annotations

from coord_envelope import BadData, No, Usage, codec
from coord_envelope.cursor import Cursor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from coord_envelope import Event
    from coord_kernel.cli.call import Call
    from coord_kernel.views.arrivals import Arrivals

SHORT, DIGITS = 8, 16
"""Characters of a short id, and of the longest number of arrival."""


def found(call: Call, text: str) -> Event:
    """The event that an id names. Raises No, or Usage if the id is ambiguous."""
    event = call.event(text)
    if event is None:
        raise No("no such event", where=text, code="not_found")
    return event


def cursor(call: Call, text: str | None) -> Cursor | None:
    """The cursor that `--after` names. Raises No, Usage, BadData."""
    if text is None:
        return None
    number = _number(text)
    if number is not None:
        news = (event for _, event in _arrivals(call).after(number))
        return call.journal.end().without(news)
    vector = _vector(text)
    return call.journal.behind(found(call, text)) if vector is None else vector


def numbered(call: Call, text: str | None) -> Iterator[Event]:
    """The durable events behind the place that `--after` names, with `$pos`, in order of arrival.

    Raises as `cursor`.
    """
    arrivals, redactions = _arrivals(call), call.journal.redactions.refresh()
    seen, begin = Cursor(), 0
    if text is not None:
        number, vector = _number(text), _vector(text)
        seen = vector or seen
        if number is not None:
            begin = number
        elif vector is None:
            begin = arrivals.of(found(call, text))
    for number, event in arrivals.after(begin):
        if not seen.has(event):
            yield redactions.apply(event).annotated(pos=number)


def matching(pattern: str, events: Iterable[Event]) -> Iterator[Event]:
    """The events that have a text in their bodies in which the pattern is found. Raises Usage."""
    import re  # 8 ms

    try:
        search = re.compile(pattern).search
    except (re.error, OverflowError, RecursionError) as error:
        raise Usage(f"not a valid regular expression: {error}", where="--grep") from None
    return (event for event in events if any(map(search, texts(event["body"]))))


def texts(value: object) -> Iterator[str]:
    """All text in a JSON value, without the names of fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from texts(part)


def _arrivals(call: Call) -> Arrivals:
    from coord_kernel.views.arrivals import Arrivals  # SQLite, 7 ms

    return Arrivals(call.journal.store).refresh()


def _number(text: str) -> int | None:
    digits = text.isascii() and text.isdecimal() and len(text) <= DIGITS
    return int(text) if digits and len(text) != SHORT else None


def _vector(text: str) -> Cursor | None:
    """The cursor in JSON; None if it is not meant as one."""
    if not text.strip():
        raise Usage("empty value: --after")
    if not text.lstrip().startswith("{"):
        return None
    try:
        vector = codec.loads(text.encode())
        if all(type(seq) is int and seq >= 0 for seq in vector.values()):
            return Cursor(vector)
    except ValueError:
        pass
    todo = 'use an event id, a $pos, or {"stream":seq,…}'
    raise BadData("not a valid cursor", "--after", todo=todo)
