"""A runtime as data: how its program is started, goes on, is woken, and says what it used. Pure."""

from __future__ import annotations

import re

from coord_envelope import BadData, Usage
from coord_envelope.event import name_ok

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from coord_envelope.codec import Json

DRIVEN = ("stream-json", "acp", "app-server", "rpc")
"""Ways in which a driver speaks with the program, through its pipes; the names of the protocols."""
VIAS = ("headless", "tmux", *DRIVEN)
"""Ways to run a program; the first that a record has is its default."""
LOADS = ("acp", "app-server")
"""Protocols in which a conversation is resumed by a message."""
BUSY = ("steers", "queues", "cancels", "refuses")
"""What a program does with a prompt while it is at work."""
_WORDS, _TEXT, _TABLE, _FLAG, _MS = "a list of strings", "a string", "a table", "a flag", "a number"
FIELDS = {
    "program": _TEXT,
    "tried": _TEXT,
    "session": _TEXT,
    "output": _TEXT,
    "pool": _TEXT,
    "args": _WORDS,
    "can": _WORDS,
    "secrets": _WORDS,
    "pass": _WORDS,
    "readonly": _WORDS,
    "queue": _WORDS,
    "env": _TABLE,
    "timeout": _TEXT,
    "usage": _TABLE,
    "transcript": _TABLE,
    **dict.fromkeys(VIAS, _TABLE),
}
WAY = {
    "program": _TEXT,
    "start": _WORDS,
    "resume": _WORDS,
    "fork": _WORDS,
    "ready": _TEXT,
    "busy": _TEXT,
    "enter_ms": _MS,
    "rest_ms": _MS,
}
USAGE = {
    "match": _TABLE,
    "sum": _FLAG,
    "input_has_cache": _FLAG,
    "unique": _TEXT,
    "time": _TEXT,
    **dict.fromkeys(("input", "output", "cache_read", "cache_write", "dollars", "model"), _TEXT),
}
TRANSCRIPT = {"files": _WORDS, **USAGE}
PLACES = re.compile(r"\{(prompt|session|args|message)\}")


class Way:
    """One way to run a program: its words, and how it behaves."""

    def __init__(self, program: str, fields: Json) -> None:
        self.program: str = fields.get("program", program)
        self.words: dict[str, Sequence[str]] = {
            name: fields[name] for name in ("start", "resume", "fork") if name in fields
        }
        self.busy: str = fields.get("busy", "refuses")
        self.ready: str | None = fields.get("ready")
        """A pattern that is on its screen when it takes input."""
        self.enter_ms: int = fields.get("enter_ms", 100)
        """Pause between a text and Enter: sent at once, some programs take both for a paste."""
        self.rest_ms: int = fields.get("rest_ms", 0)
        """Least time between two starts of a conversation: before, its record would be lost."""

    def argv(self, verb: str, args: Sequence[str], **places: str) -> list[str]:
        """The words of the program, with these places filled. Raises Usage if one has no place."""
        words = self.words.get(verb, self.words["start"])
        if places.get("prompt") and not any("{prompt}" in word for word in words):
            raise Usage(f"{self.program} takes no prompt this way", todo="leave out --prompt")
        return [self.program, *_filled(words, args, places)]


class Record:
    """A runtime."""

    def __init__(self, name: str, fields: Json) -> None:
        self.name, self._fields = name, fields
        self.program: str = fields.get("program", name)
        self.tried: str | None = fields.get("tried")
        """The version that was seen running a turn; None: only read about."""
        self.chosen: bool = fields.get("session") == "uuid"
        """Is the id of its session chosen before it starts?"""
        self.output: str | None = fields.get("output")
        """Where the JSON lines that it prints have the id of its session."""
        self.pool: str = fields.get("pool", name)
        """The account or limit that it shares with others."""
        self.args: Sequence[str] = fields.get("args", ())
        self.can: Sequence[str] = fields.get("can", ())
        self.secrets: Sequence[str] = fields.get("secrets", ())
        self.passed: Sequence[str] = fields.get("pass", ())
        self.readonly: Sequence[str] | None = fields.get("readonly")
        self.queue: Sequence[str] | None = fields.get("queue")
        self.env: Mapping[str, str] = fields.get("env", {})
        self.timeout: str = fields.get("timeout", "24h")
        self.usage: Json = fields.get("usage", {})
        """Where the lines that it prints have what it used."""
        self.transcript: Json = fields.get("transcript", {})
        """Where its record of the conversation has that, and where that is."""
        self.ways = {via: Way(self.program, fields[via]) for via in VIAS if via in fields}

    def way(self, via: str | None, verb: str = "start") -> tuple[str, Way]:
        """The way of that name, or the first that there is. Raises Usage if it has none."""
        if via is not None and via not in VIAS:
            raise Usage(f"--via {via}: not a valid way", todo=f"use {', '.join(VIAS)}")
        can = [name for name, way in self.ways.items() if _can(name, way, verb)]
        if via is None and can:
            return can[0], self.ways[can[0]]
        if via in can:
            return str(via), self.ways[str(via)]
        ways = f"it has {' and '.join(can)}" if can else "add its words to presets.toml"
        todo = f"{ways}; see `coord-agent presets`"
        what = f"has no way to {verb}" + (f" via {via}" if via else "")
        raise Usage(f"preset {self.name}: {what}", todo=todo)

    @property
    def is_metered(self) -> bool:
        """Is it known where it says what it used?"""
        return bool(self.usage or self.transcript)

    def queued(self, session: str, message: str) -> list[str]:
        """The words that give its queue a message; `queue` is not None."""
        places = {"session": session, "message": message}
        return [self.program, *_filled(self.queue or (), (), places)]

    def row(self) -> Json:
        """The record in a line."""
        return {
            "id": self.name,
            "program": self.program,
            "via": list(self.ways),
            **({"tried": self.tried} if self.tried else {}),
            "resume": any(_can(via, way, "resume") for via, way in self.ways.items()),
            "fork": any("fork" in way.words for way in self.ways.values()),
            "usage": self.is_metered,
            **({"can": list(self.can)} if self.can else {}),
        }


def _can(via: str, way: Way, verb: str) -> bool:
    return verb in way.words or (verb == "resume" and via in LOADS and "start" in way.words)


def _filled(words: Sequence[str], args: Sequence[str], places: Mapping[str, str]) -> Iterator[str]:
    """The words with their places filled. A word that is only an empty place is left out."""
    for word in words:
        if word == "{args}":
            yield from args
        elif word != "{prompt}" or places.get("prompt"):
            yield PLACES.sub(lambda place: places.get(place[1], ""), word)


def overlaid(base: Json, over: Json) -> Json:
    """The tables of `base` with those of `over` laid over them, field by field."""
    return base | {
        name: overlaid(base[name], value)
        if isinstance(value, dict) and isinstance(base.get(name), dict)
        else value
        for name, value in over.items()
    }


def records(document: Json, where: str) -> dict[str, Record]:
    """The runtimes that a file describes. Raises BadData."""
    for name, fields in document.items():
        if not name_ok(name):
            raise BadData(f"not a valid name: {name!r}", where, todo="use a-z 0-9 . _ -")
        if not isinstance(fields, dict):
            raise BadData(f"{name} is not a table", where, todo=f"write [{name}]")
        _check(fields, FIELDS, name, where)
        for via in (via for via in VIAS if via in fields):
            _check(fields[via], WAY, f"{name}.{via}", where)
            if fields[via].get("busy", BUSY[0]) not in BUSY:
                raise BadData(f"{name}.{via}.busy is not {', '.join(BUSY)}", where)
        _check(fields.get("usage", {}), USAGE, f"{name}.usage", where)
        _check(fields.get("transcript", {}), TRANSCRIPT, f"{name}.transcript", where)
        if fields.get("session", "uuid") != "uuid":
            raise BadData(f"{name}.session is not uuid", where)
    return {name: Record(name, fields) for name, fields in document.items()}


def _check(fields: Json, known: Mapping[str, str], name: str, where: str) -> None:
    for field, value in fields.items():
        if field not in known:
            raise BadData(
                f"{name}: unknown field {field!r}", where, todo=f"valid fields: {', '.join(known)}"
            )
        texts = isinstance(value, list) and all(isinstance(each, str) for each in value)
        right = {
            _TEXT: isinstance(value, str),
            _WORDS: texts,
            _TABLE: isinstance(value, dict),
            _FLAG: isinstance(value, bool),
            _MS: type(value) is int and 0 <= value <= 60_000,
        }
        if not right[known[field]]:
            raise BadData(f"{name}.{field} is not {known[field]}", where)
