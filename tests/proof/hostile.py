"""Lines that nobody should have written: events of every kernel type with anything in any place, and broken bytes."""

from __future__ import annotations

import json
import random
from copy import deepcopy
from typing import Any

from support import SPEC, Json

from coord_envelope import codec, ids, world

WRITER = "agent.mallory~00000000"
DEEP: Any = json.loads("[" * 100 + "]" * 100)
SEEDS: list[Json] = [
    json.loads(line) for line in (SPEC / "vectors/bodies.jsonl").read_text().split("\n") if line
]
ANYTHING: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 5, 1 << 53, 1 << 80, -(1 << 63), 1e308, 5e-324, "", "x" * 300, "\0",
    "a\u2028b\u0085c", "\x1b[2J\u202e", [], [[]], [None], {}, {"": {}}, DEEP, "agent:tester", "all", "queue:q", "done",
    "2026-01-01", "9" * 40, "9999-12-31T23:59:59.999Z", "-1", "../../etc/passwd", "{{x}}", "\U0001f600",
)  # fmt: skip
NAMES = (
    "id",
    "ts",
    "by",
    "n",
    "kind",
    "claim",
    "agent",
    "state",
    "registers",
    "key",
    "level",
    "outcome",
    "until_ms",
)
BROKEN = (
    b"\0", b"\r", b"\xef\xbb\xbf", b"\xff\xfe", b"9" * 5_000, b"[" * 5_000, b'{"a":' * 200, "\u2028".encode(),
    b"\\ud800", b'"', b"\\", b",", b'"seq":1,', b'"event_id":"7ZZZZZZZZZZZZZZZZZZZZZZZZZ",', b'"$trust":"self",',
    b"1e999", b"NaN", b"\x1b]0;x\x07", b"}{", b"-", b"\xed\xa0\x80",
)  # fmt: skip


class Hostile:
    """Makes lines of one stream, in which seq and event_id ascend wherever a line is not broken."""

    def __init__(self, seed: int) -> None:
        self.chance, self.seq, self._ids = random.Random(seed), 0, ["01KAJ3Q8ZK0001V7M2C4D9T6RX"]
        self._stamp = 1_760_000_000_000 << 16

    def lines(self, count: int) -> list[bytes]:
        made = [self._event() for _ in range(count)]
        return [self._broken(line, made) if self.chance.random() < 0.4 else line for line in made]

    def _event(self) -> bytes:
        """A whole event; what it says may make no sense."""
        seed, chance = self.chance.choice(SEEDS), self.chance
        self.seq, self._stamp = (
            self.seq + 1,
            self._stamp + 1 + (chance.getrandbits(17) if chance.random() < 0.1 else 0),
        )
        event_id = ids.mint(self._stamp, chance.randbytes(8))
        names = ("work_id", "msg_id", "run_id", "lease_id", "thread_id", "agent_id", "artifact_id")
        event: Json = {
            "event_id": event_id,
            "type": seed["type"],
            "ts": world.format_ts(self._stamp >> 16),
            "project": "acme",
            "writer": WRITER,
            "seq": self.seq,
            "actor": {
                "agent_id": chance.choice(("agent:mallory", "agent:tester", "human:ada", "x"))
            },
            "refs": {name: self._id() for name in chance.sample(names, 3)},
            "to": [chance.choice(("agent:tester", "queue:q", "chan:c", "all"))],
            "base": [self._id() for _ in range(chance.randrange(3))],
            "body": deepcopy(seed["body"]),
        }
        if (
            event["type"].endswith((".created", ".sent", ".requested", ".acquired"))
            and chance.random() < 0.8
        ):
            event["refs"] = {event["type"].partition(".")[0] + "_id": event_id}
        for _ in range(chance.randrange(4)):
            self._confuse(event)
        self._ids = [*self._ids[-30:], event_id]
        return codec.dumps(event)

    def _id(self) -> str:
        return self.chance.choice(self._ids)

    def _confuse(self, event: Json) -> None:
        """Put anything in one place of it: most of the envelope stays, so that it is read, and folded."""
        place: Any = event
        key: Any = self.chance.choice(
            ("body", "body", "body", "body", "refs", "base", "to", "actor", "cause", "x", "ts")
        )
        while self.chance.random() < 0.8:
            inner = place.get(key) if isinstance(place, dict) else place[key]
            if not inner or not isinstance(inner, (dict, list)):
                break
            place, key = (
                inner,
                self.chance.choice(list(inner) if isinstance(inner, dict) else range(len(inner))),
            )
        if isinstance(place, dict) and self.chance.random() < 0.2:
            key = self.chance.choice(NAMES)  # one that a fold may give its own meaning
        place[key] = deepcopy(self.chance.choice((*ANYTHING, self._id(), [self._id()])))

    def _broken(self, line: bytes, others: list[bytes]) -> bytes:
        chance, at = self.chance, self.chance.randrange(len(line))
        how = chance.randrange(7)
        if how == 0:
            return line[:at] + bytes([line[at] ^ 1 << chance.randrange(8)]) + line[at + 1 :]
        if how == 1:
            other = chance.choice(others)
            return line[:at] + other[chance.randrange(len(other)) :]
        if how == 2:
            return line[:at]
        if how == 3:
            return line + b"\r"
        if how == 4:
            return line[:-1] + b',"body":{},"type":"dup.key"}'
        if how == 5:
            return b"\xef\xbb\xbf" + line
        return line[:at] + chance.choice(BROKEN) + line[at:]
