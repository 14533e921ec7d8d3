"""One event, one line: read leniently (`parse`), written strictly (`check`, `build`).

A stored line is never serialised again: an `Event` is the parsed object *and* the bytes it came
from, so fields that this version does not know survive every hop.
"""

from __future__ import annotations

from coord_envelope import codec, ids, world
from coord_envelope.codec import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

LIMIT = 65_536
"""Maximum bytes of a line, its newline included."""
KERNEL = ("work", "lease", "msg", "run", "agent", "artifact", "coord")
"""Namespaces whose types spec/ defines; any other is the user's."""
USERLAND = (
    *("session", "handoff", "patrol", "control"),
    *("usage", "provider", "budget", "alert", "mountain", "land", "notify", "slack"),
    *("convoy", "flow", "cron", "github", "commons"),
)
"""Namespaces of which spec/userland.md defines some types."""
FEW = 16
"""Lines from which parsing them in one block is cheaper."""
MAX_HOPS = 32
LONGEST_NAME, MOST_SLASHES = 100, 30
"""Of a NAME: so the name of its stream, or of a fork of that, has at most 255 bytes."""
MAX_SEQ = 999_999_999_999
"""A segment's name has 12 digits."""


class _Self(str):
    """A type of its own, so that no text of a user's is mistaken for it."""

    __slots__ = ()


SELF = _Self("$self")
"""In a draft's refs: the id of the event itself."""


_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-")
_WORD = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")
_ALNUM = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_DIRECT = ("agent", "human", "bridge")
_ADDRESS = (*_DIRECT, "group", "queue", "chan")


class Event(Json):
    """A stored event: its fields as a dict, its line in `raw` (without the newline), its stream.

    `stream` is the name of the stream that the event was read from; "" for a new one.
    """

    __slots__ = ("raw", "stream")

    def __init__(self, raw: bytes, fields: Json, stream: str = "") -> None:
        super().__init__(fields)
        self.raw, self.stream = raw, stream

    @property
    def id(self) -> str:
        return self["event_id"]  # type: ignore[no-any-return]

    def annotated(self, **notes: object) -> Event:
        """The same event with `$` annotations, which are printed and never stored."""
        annotations = {f"${name}": value for name, value in notes.items()}
        line = self.raw[: self.raw.rindex(b"}")] + b"," + codec.dumps(annotations)[1:]
        return Event(line, {**self, **annotations}, self.stream)


def parse(raw: bytes) -> Event:
    """The event on a line, given without its newline.

    Raises ValueError with the reason if the line holds no event; nothing else, on any bytes.
    """
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
        raise ValueError("event_id is missing or not a ULID")
    if type(fields.get("seq")) is not int or not 1 <= fields["seq"] <= MAX_SEQ:
        raise ValueError(f"seq is missing or not an integer from 1 to {MAX_SEQ}")
    if _has_annotation(raw) and any(name.startswith("$") for name in fields):
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
    """Of each line its event, or the reason why `parse` refuses it."""
    fields = fields_of_all(rows)
    return list(map(Event, rows, fields)) if fields else [parse_or_reason(raw) for raw in rows]


def fields_of_all(rows: Sequence[bytes]) -> list[Json] | None:
    """The fields of the events on these lines, at a third of the cost of parsing each.

    None if any line needs a look of its own.
    """
    block = b"\n".join(rows) if len(rows) >= FEW else b""
    if block and max(map(len, rows)) < LIMIT and not _has_annotation(block):
        values = codec.many(block)
        if values and _all_events(values):
            return values
    return None


def _has_annotation(raw: bytes) -> bool:
    return b"$" in raw or (b"\\" in raw and b"\\u0024" in raw)


def _all_events(values: Sequence[Any]) -> bool:
    """Does `parse` accept all of these? By columns: a loop over each costs more than parsing."""
    from operator import itemgetter  # 0.3 ms, only where there are many

    try:
        for name, kind in (*_NEEDED, ("event_id", str), ("seq", int)):
            if set(map(type, map(itemgetter(name), values))) != {kind}:
                return False
        agents = {type(value["actor"]["agent_id"]) for value in values}
    except (KeyError, TypeError):
        return False
    event_ids = [value["event_id"] for value in values]
    seqs = [value["seq"] for value in values]
    return (
        set(map(len, event_ids)) == {26}
        and max(event_ids)[0] <= "7"
        and not "".join(event_ids).strip(ids.CROCKFORD)
        and agents == {str}
        and min(seqs) >= 1
        and max(seqs) <= MAX_SEQ
        and set(map(type, values)) == {dict}
    )


def parse_or_reason(raw: bytes) -> Event | str:
    """The event on a line, or the reason why `parse` refuses it."""
    try:
        return parse(raw)
    except ValueError as reason:
        return str(reason)


def name_ok(text: str, most: int = 63) -> bool:
    """Is this one plain word, such as a cursor's name: `[a-z0-9][a-z0-9._-]{0,62}`?

    `most` is the maximum length; a project's slug may have 64 characters.
    """
    return 0 < len(text) <= most and text[0] in _ALNUM and _NAME.issuperset(text)


def agent_ok(text: str) -> bool:
    """Is this a valid NAME of an agent, group, queue or channel?

    Plain words joined by `/`, maybe with one more `/` at the end: `ada`, `mayor/`, `web/worker-1`.
    """
    words = text.removesuffix("/").split("/")
    fits = len(text) <= LONGEST_NAME and text.count("/") <= MOST_SLASHES
    return fits and all(name_ok(word, LONGEST_NAME) for word in words)


def file_form(agent: str) -> str:
    """An agent's address in the name of a file or stream: `agent.web%2fworker-1`. Reversible."""
    return agent.replace(":", ".", 1).replace("/", "%2f")


def address(text: str, kinds: tuple[str, ...] = _DIRECT) -> str:
    """The address in full: `claude-07` is short for `agent:claude-07`. Raises ValueError."""
    kind, colon, name = text.partition(":")
    if not colon:
        kind, name = "agent", text
    if kind not in kinds or not agent_ok(name):
        form = f"{'|'.join(kinds)}:NAME, where NAME is up to {LONGEST_NAME} of a-z 0-9 . _ - /"
        raise ValueError(f"not a valid address: {text!r}; use {form}")
    return f"{kind}:{name}"


def recipient(text: str) -> str:
    """As `address`, for every kind of address that mail can be sent to. Raises ValueError."""
    return text if text == "all" else address(text, _ADDRESS)


def direct(address: str) -> bool:
    """Is this the address of one reader: an agent, a human or a bridge?"""
    kind, colon, _ = address.partition(":")
    return bool(colon) and kind in _DIRECT


def shown_address(text: str) -> str:
    """An agent's address if it is valid, else `?`: for a line that a reader takes as the tool's."""
    try:
        return address(text)
    except ValueError:
        return "?"


def type_fault(text: object) -> str | None:
    """Why this is not an event type (`namespace.verb`, up to 128 characters); None if it is."""
    if not isinstance(text, str):
        return "type is missing or not a string"
    words = text.split(".")
    valid = all(word and word[0] in _ALNUM and _WORD.issuperset(word) for word in words)
    if valid and len(words) >= 2 and len(text) <= 128:
        return None
    form = "namespace.verb in lower case, up to 128 of a-z 0-9 _ - and dots"
    return f"not a valid type: {text[:140]!r}; use {form}"


def _body(value: object) -> str | None:
    return None if isinstance(value, dict) else "body is not a JSON object"


def _refs(value: object) -> str | None:
    valid = isinstance(value, dict) and all(
        name and isinstance(ref, str) and 0 < len(ref) <= 256 for name, ref in value.items()
    )
    return None if valid else "refs is not an object of strings of 1 to 256 characters"


def _to(value: object) -> str | None:
    texts = value if isinstance(value, list) else []
    if not 0 < len(texts) <= 64 or not all(isinstance(text, str) for text in texts):
        return "to is not a list of 1 to 64 addresses"
    for text in texts:
        try:
            if recipient(text) != text:
                return f"to: not a full address: {text!r}"
        except ValueError as reason:
            return f"to: {reason}"
    return None


def _ids(value: object) -> str | None:
    valid = isinstance(value, list) and all(ids.valid(event_id) for event_id in value)
    return None if valid else "base is not a list of event ids"


def _text(name: str) -> Callable[[object], str | None]:
    def fault(value: object) -> str | None:
        valid = isinstance(value, str) and 0 < len(value) <= 256
        return None if valid else f"{name} is not a string of 1 to 256 characters"

    return fault


def _cause(value: object) -> str | None:
    return None if ids.valid(value) else "cause is not an event id"


def _hops(value: object) -> str | None:
    if type(value) is not int or value < 0:
        return "hops is not an integer from 0"
    if value > MAX_HOPS:
        return f"hops is {value}, over {MAX_HOPS}: these events cause each other in a loop"
    return None


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
"""The fields of a draft, in the order in which they are written. The journal sets the others."""


def caused_by(origin: Json, actor: Json) -> Json:
    """The fields of a draft that `origin`, a whole event written by `actor`, caused.

    They are its `cause`, one hop more, and on whose behalf.
    """
    hops, behalf = origin.get("hops", 0), actor.get("on_behalf_of", actor.get("agent_id"))
    fields = {"cause": origin["event_id"], "hops": hops + 1 if isinstance(hops, int) else hops}
    return fields if behalf is None else fields | {"on_behalf_of": behalf}


def check(draft: Json) -> None:
    """Raise ValueError with the first reason why this draft may not be written."""
    for name in draft:
        if name not in _FIELDS:
            raise ValueError(f"field {name!r} cannot be set; put your own data into body")
    for name, fault in _FIELDS.items():
        if name in draft or name in ("type", "body"):
            reason = fault(draft.get(name))
            if reason:
                raise ValueError(reason)


def build(
    draft: Json, event_id: str, now_ms: int, head: tuple[str, str, int], actor: Json
) -> Event:
    """The event of a draft that `check` accepted; `head` is its project, writer and seq.

    Raises ValueError if its line is too long or not UTF-8.
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
        size = f"{len(raw) + 1:,} bytes, more than {LIMIT:,}"
        raise ValueError(f"the event has {size}; keep the payload in a file")
    return Event(raw, fields)


def filled(draft: Json, event_id: str) -> Json:
    """The draft with this id wherever its refs say `SELF`."""
    if "refs" not in draft:
        return draft
    refs = {
        name: event_id if isinstance(ref, _Self) else ref for name, ref in draft["refs"].items()
    }
    return {**draft, "refs": refs}
