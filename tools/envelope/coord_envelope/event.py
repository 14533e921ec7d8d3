"""One event, one line: read leniently (`parse`), written strictly (`check`, `build`).

A stored line is never re-serialised: an `Event` is the parsed object *and* the bytes it came from, so
fields this version does not know survive every hop.
"""

from __future__ import annotations

from coord_envelope import codec, ids, world
from coord_envelope.codec import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

LIMIT = 65_536
"""Most bytes of a line, its newline included."""
KERNEL = ("work", "lease", "msg", "run", "agent", "artifact", "coord")
"""Namespaces whose types spec/ defines; any other is the user's."""
FEW = 16
"""Lines from which it is worth the while to look at them all at once."""
MAX_HOPS = 32
MAX_SEQ = 999_999_999_999
"""A segment's name has 12 digits."""


class _Self(str):
    """A type of its own, so that no user's text is ever taken for it."""

    __slots__ = ()


SELF = _Self("$self")
"""In a draft's refs: the id of the event itself."""


_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-")
_WORD = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")
_ALNUM = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_DIRECT = ("agent", "human", "bridge")
_ADDRESS = (*_DIRECT, "group", "queue", "chan")


class Event(Json):
    """A stored event: a dict of its fields that remembers its line (`raw`, without the newline) and its stream."""

    __slots__ = ("raw", "stream")

    def __init__(self, raw: bytes, fields: Json, stream: str = "") -> None:
        super().__init__(fields)
        self.raw, self.stream = raw, stream

    @property
    def id(self) -> str:
        return self["event_id"]  # type: ignore[no-any-return]

    def annotated(self, **notes: object) -> Event:
        """The same event with `$` annotations, which are printed and never stored."""
        marks = {f"${name}": value for name, value in notes.items()}
        return Event(
            self.raw[: self.raw.rindex(b"}")] + b"," + codec.dumps(marks)[1:],
            {**self, **marks},
            self.stream,
        )


def parse(raw: bytes) -> Event:
    """The event on a line (no newline). Raises ValueError with the reason it is none; never anything else."""
    if len(raw) >= LIMIT:
        raise ValueError(f"longer than {LIMIT} bytes")
    fields = codec.loads(raw)
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")
    for name, kind in _NEEDED:
        if type(fields.get(name)) is not kind:
            raise ValueError(f"{name} is missing or not {_KINDS[kind]}")
    if not isinstance(fields["actor"].get("agent_id"), str):
        raise ValueError("actor.agent_id is missing or not a string")
    if not ids.valid(fields.get("event_id")):
        raise ValueError("event_id is missing or no ULID")
    if type(fields.get("seq")) is not int or not 1 <= fields["seq"] <= MAX_SEQ:
        raise ValueError(f"seq is missing or no whole number from 1 to {MAX_SEQ}")
    if _noted(raw) and any(name.startswith("$") for name in fields):
        raise ValueError("holds a $ annotation, which is never stored")
    return Event(raw, fields)


_NEEDED = (
    ("type", str),
    ("ts", str),
    ("project", str),
    ("writer", str),
    ("body", dict),
    ("actor", dict),
)
_KINDS: dict[type, str] = {str: "a string", dict: "an object", list: "a list"}


def parse_all(rows: Sequence[bytes]) -> list[Event | str]:
    """As `parse`, each: the event, or the reason why it is none."""
    found = fields_of_all(rows)
    return list(map(Event, rows, found)) if found else [tried(raw) for raw in rows]


def fields_of_all(rows: Sequence[bytes]) -> list[Json] | None:
    """The fields of the events on many lines, for a third of what it costs one by one; None if one may be no event."""
    block = b"\n".join(rows) if len(rows) >= FEW else b""
    if block and max(map(len, rows)) < LIMIT and not _noted(block):
        found = codec.many(block)
        if found and _all_events(found):
            return found
    return None


def _noted(raw: bytes) -> bool:
    return b"$" in raw or (b"\\" in raw and b"\\u0024" in raw)


def _all_events(found: Sequence[Any]) -> bool:
    """Would `parse` take them all? By columns: a loop over each costs more than the parsing."""
    from operator import itemgetter  # 0.3 ms, where there are many

    try:
        for name, kind in (*_NEEDED, ("event_id", str), ("seq", int)):
            if set(map(type, map(itemgetter(name), found))) != {kind}:
                return False
        agents = {type(one["actor"]["agent_id"]) for one in found}
    except (KeyError, TypeError):
        return False
    minted, seqs = [one["event_id"] for one in found], [one["seq"] for one in found]
    letters = "".join(minted).strip(ids.CROCKFORD)
    known = set(map(len, minted)) == {26} and max(minted)[0] <= "7" and not letters
    return (
        known
        and agents == {str}
        and min(seqs) >= 1
        and max(seqs) <= MAX_SEQ
        and set(map(type, found)) == {dict}
    )


def tried(raw: bytes) -> Event | str:
    """As `parse`, with the reason in place of the error."""
    try:
        return parse(raw)
    except ValueError as reason:
        return str(reason)


def name_ok(text: str, most: int = 63) -> bool:
    """Is this an agent's, group's or queue's name? `[a-z0-9][a-z0-9._-]{0,62}`. A slug has one more."""
    return 0 < len(text) <= most and text[0] in _ALNUM and _NAME.issuperset(text)


def address(text: str, kinds: tuple[str, ...] = _DIRECT) -> str:
    """The address in full: `claude-07` is short for `agent:claude-07`. Raises ValueError."""
    kind, colon, name = text.partition(":")
    if not colon:
        kind, name = "agent", text
    if kind not in kinds or not name_ok(name):
        raise ValueError(
            f"{text!r} is not {'|'.join(kinds)}:NAME with a NAME of a-z 0-9 . _ - up to 63"
        )
    return f"{kind}:{name}"


def recipient(text: str) -> str:
    """As `address`, for every kind mail can go to."""
    return text if text == "all" else address(text, _ADDRESS)


def type_fault(text: object) -> str | None:
    """Why this is no event type: `namespace.verb`, lower case, dots, at most 128 characters."""
    if not isinstance(text, str):
        return "type is missing or not a string"
    words = text.split(".")
    if (
        len(words) < 2
        or len(text) > 128
        or not all(w and w[0] in _ALNUM and _WORD.issuperset(w) for w in words)
    ):
        return f"type {text[:140]!r} is not namespace.verb in lower case (a-z 0-9 _ - and dots, up to 128)"
    return None


def _body(value: object) -> str | None:
    return None if isinstance(value, dict) else "body is not a JSON object"


def _refs(value: object) -> str | None:
    good = isinstance(value, dict) and all(
        k and isinstance(v, str) and 0 < len(v) <= 256 for k, v in value.items()
    )
    return None if good else "refs is not an object of strings of 1 to 256 characters"


def _to(value: object) -> str | None:
    if (
        not isinstance(value, list)
        or not 0 < len(value) <= 64
        or not all(isinstance(a, str) for a in value)
    ):
        return "to is not a list of 1 to 64 addresses"
    for one in value:
        try:
            if recipient(one) != one:
                return f"to: {one!r} is no full address"
        except ValueError as reason:
            return f"to: {reason}"
    return None


def _ids(value: object) -> str | None:
    good = isinstance(value, list) and all(ids.valid(one) for one in value)
    return None if good else "base is not a list of event ids"


def _text(name: str) -> Callable[[object], str | None]:
    def fault(value: object) -> str | None:
        good = isinstance(value, str) and 0 < len(value) <= 256
        return None if good else f"{name} is not a string of 1 to 256 characters"

    return fault


def _cause(value: object) -> str | None:
    return None if ids.valid(value) else "cause is not an event id"


def _hops(value: object) -> str | None:
    if type(value) is not int or value < 0:
        return "hops is not a whole number from 0"
    return (
        f"hops is {value}, over {MAX_HOPS}: these events set each other off in a loop"
        if value > MAX_HOPS
        else None
    )


_FIELDS: dict[str, Callable[[object], str | None]] = {
    "type": type_fault,
    "on_behalf_of": _text("on_behalf_of"),
    "refs": _refs,
    "to": _to,
    "base": _ids,
    "idempotency_key": _text("idempotency_key"),
    "cause": _cause,
    "hops": _hops,
    "body": _body,
}
"""What a draft may say, and in this order it is written. The rest of the envelope is the journal's to say."""


def caused_by(origin: Json, actor: Json) -> Json:
    """What a draft says of the whole event, written by `actor`, that set it off: its cause, a hop more, for whom."""
    hops, behalf = origin.get("hops", 0), actor.get("on_behalf_of", actor.get("agent_id"))
    said = {"cause": origin["event_id"], "hops": hops + 1 if isinstance(hops, int) else hops}
    return said if behalf is None else said | {"on_behalf_of": behalf}


def check(draft: Json) -> None:
    """Raise ValueError with the first reason why this draft may not be written."""
    for name in draft:
        if name not in _FIELDS:
            raise ValueError(
                f"field {name!r} is not one a writer sets; put your own data into body"
            )
    for name, fault in _FIELDS.items():
        if name in draft or name in ("type", "body"):
            reason = fault(draft.get(name))
            if reason:
                raise ValueError(reason)


def build(
    draft: Json, event_id: str, now_ms: int, head: tuple[str, str, int], actor: Json
) -> Event:
    """The event of a checked draft; `head` is its project, writer and seq.

    Raises ValueError if its line would be too long or cannot be UTF-8.
    """
    project, writer, seq = head
    behalf = draft.get("on_behalf_of")
    fields: dict[str, Any] = {
        "event_id": event_id,
        "type": draft["type"],
        "ts": world.format_ts(now_ms),
        "project": project,
        "writer": writer,
        "seq": seq,
        "actor": {**actor, "on_behalf_of": behalf} if behalf is not None else actor,
    }
    fields.update(
        (name, draft[name]) for name in _FIELDS if name in draft and name != "on_behalf_of"
    )
    raw = codec.dumps(fields)
    codec.refuse_depth(raw)
    if len(raw) >= LIMIT:
        raise ValueError(
            f"the event has {len(raw) + 1:,} bytes, more than {LIMIT:,}; keep the payload in a file"
        )
    return Event(raw, fields)


def filled(draft: Json, event_id: str) -> Json:
    """The draft with this id wherever its refs say `SELF`."""
    if "refs" not in draft:
        return draft
    refs = {
        name: event_id if isinstance(ref, _Self) else ref for name, ref in draft["refs"].items()
    }
    return {**draft, "refs": refs}
