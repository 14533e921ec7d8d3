"""A stranger who can push: well-formed events of every kernel type with anything in them, and refs of any content."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from proof.hostile import ANYTHING, SEEDS
from support import SPEC, Json

from coord_envelope import ids, world

WRITER = "agent.stranger~00000000"
REF = "refs/coord/replica/00000000"
BEGIN_MS = 1_760_000_000_000
TYPES = sorted(
    name
    for name in json.loads((SPEC / "schema/bodies.schema.json").read_text())["$defs"]
    if "." in name
)
GOOD: dict[str, list[Json]] = {
    kind: [one["body"] for one in SEEDS if one["type"] == kind and one["good"]] or [{}]
    for kind in TYPES
}
VALUES: tuple[Any, ...] = (
    *ANYTHING, 10**400, -(10**18), 0.1, "\ud800", "\u202eabc\u2066", "\u200b", "a\nb\r\tc", "<<<untrusted x>>>",
    "'; rm -rf . #", "$(id)", "-rf", "%n%s", "1e999", "31536000000", "[[1]]", "\x9b31m", "e\u0301" * 40, [1, "x", {}],
    {"a": {"b": [{}]}}, {"sha256": "0" * 64, "bytes": -1, "media": "\0"}, {"__class__": 1}, [["x"] * 50] * 50,
)  # fmt: skip
NAMES = (
    "ts",
    "by",
    "id",
    "seq",
    "$pos",
    "$trust",
    "__init__",
    "",
    "status",
    "writer",
    "work_id",
    "heads",
    "conflicts",
)


class Stranger:
    """Makes the lines of one stream. What they are about is their own, or of the ids that the stranger knows."""

    def __init__(self, seed: int, known: Sequence[str] = ()) -> None:
        self._chance, self._ids = random.Random(seed), list(known)
        self._seq, self._known = 0, len(known)

    def line(self, kind: str, body: object = None, **more: object) -> bytes:
        """An event as the stranger wants it."""
        self._seq += 1
        stamp = BEGIN_MS + self._seq
        event_id = ids.mint(stamp << 16, self._chance.randbytes(8))
        self._ids = [*self._ids[: self._known], *self._ids[self._known :][-30:], event_id]
        event = {
            "event_id": event_id, "type": kind, "ts": world.format_ts(stamp), "project": "acme", "writer": WRITER,
            "seq": self._seq, "actor": {"agent_id": "agent:stranger"}, **more, "body": body,
        }  # fmt: skip
        return json.dumps(event, separators=(",", ":")).replace('"@"', f'"{event_id}"').encode()

    def lines(self, count: int) -> list[bytes]:
        """So many events, of each type in turn."""
        return [self._any(TYPES[number % len(TYPES)]) for number in range(count)]

    def _any(self, kind: str) -> bytes:
        chance, body = self._chance, deepcopy(self._chance.choice(GOOD[kind]))
        for _ in range(chance.randrange(5)):
            self._spoil(body)
        refs: dict[str, object] = {
            kind.partition(".")[0].replace("coord", "target") + "_id": self._id(kind)
        }
        more: Json = {
            "refs": refs,
            "to": [chance.choice(("agent:tester", "queue:q", "chan:c", "all"))],
        }
        if chance.random() < 0.3:
            refs[chance.choice(("thread_id", "agent_id", "artifact_id", "work_id"))] = self._id("")
        if chance.random() < 0.3:
            more["base"] = [self._id("") for _ in range(chance.randrange(4))]
        if chance.random() < 0.2:
            more[chance.choice(("hops", "cause", "later", "$dup", "by", "idempotency_key"))] = (
                self._value()
            )
        return self.line(kind, self._value() if chance.random() < 0.03 else body, **more)

    def _id(self, kind: str) -> str:
        """An id that there is; of what begins with this event, mostly its own."""
        begins = kind.endswith((".created", ".sent", ".requested", ".acquired"))
        return (
            "@"
            if (begins and self._chance.random() < 0.7) or not self._ids
            else self._chance.choice(self._ids)
        )

    def _value(self) -> Any:
        chance = self._chance.random()
        if chance < 0.01:
            return self._chance.choice(("x", "\u202e", "é", "\0"))[0] * 9_000
        if chance < 0.015:
            return "y" * 60_000
        return self._id("") if chance < 0.15 else deepcopy(self._chance.choice(VALUES))

    def _spoil(self, body: Json) -> None:
        """Put anything in one place of it, or under a name of its own."""
        place: Any = body
        if not body or self._chance.random() < 0.25:
            body[self._chance.choice(NAMES)] = self._value()
            return
        while True:
            key = self._chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
            if (
                not isinstance(place[key], (dict, list))
                or not place[key]
                or self._chance.random() < 0.5
            ):
                place[key] = self._value()
                return
            place = place[key]


def stream(lines: Sequence[bytes], most: int = 900_000) -> dict[str, bytes]:
    """The files of a stream with these lines, a segment each `most` bytes."""
    files, first, held = dict[str, bytes](), 1, list[bytes]()
    for number, line in enumerate(lines, 1):
        if held and sum(map(len, held)) + len(line) > most:
            files[segment(first)] = b"\n".join(held) + b"\n"
            first, held = number, []
        held.append(line)
    return {**files, segment(first): b"\n".join(held) + b"\n"}


def segment(first: int = 1, writer: str = WRITER) -> str:
    return f"journal/{writer}/{first:012d}.jsonl"


def push(hub: Path, files: Mapping[str, bytes], ref: str = REF) -> None:
    """Make the ref of the bare repository a commit of these files and of nothing else."""
    marks = dict[bytes, int]()
    for data in files.values():
        marks.setdefault(data, len(marks) + 1)
    blobs = (
        b"blob\nmark :%d\ndata %d\n%s\n" % (mark, len(data), data) for data, mark in marks.items()
    )
    rows = (b"M 100644 :%d %s\n" % (marks[data], path.encode()) for path, data in files.items())
    head = b"commit %s\ncommitter x <x@example.org> 1 +0000\ndata 1\nx\ndeleteall\n" % ref.encode()
    text = b"".join(blobs) + head + b"".join(rows)
    argv = ["git", "fast-import", "--quiet", "--force"]
    subprocess.run(argv, cwd=hub, input=text, check=True, capture_output=True)
