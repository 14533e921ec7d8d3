"""Histories of work items that several writers wrote, each knowing some of what was written."""

from __future__ import annotations

import random
from pathlib import Path

from support import Json

from coord_envelope import event, ids
from coord_kernel import Store

BEGIN = 1_767_225_600_000
"""2026-01-01, in ms."""


class History:
    """What some writers on several replicas wrote, each knowing some of it; and how much of it a store has."""

    def __init__(self, chance: random.Random, count: int, items: int = 5, writers: int = 4) -> None:
        self.chance, self.known = chance, list[tuple[str, str]]()
        self.streams: dict[str, list[bytes]] = {}
        self.given: dict[str, int] = {}
        ahead = {
            f"agent.a{n}~0000000{chance.randrange(3)}": chance.choice([0, 0, 40, 10_000])
            for n in range(writers)
        }
        self.items: list[str] = []
        last = dict.fromkeys(ahead, 0)
        for step in range(count):
            writer = chance.choice(list(ahead))
            last[writer] = ids.tick(last[writer], BEGIN + step + ahead[writer])
            self.write(
                writer, ids.mint(last[writer], chance.randbytes(8)), new=len(self.items) < items
            )

    def write(self, writer: str, event_id: str, new: bool) -> None:
        if new:
            self.items.append(event_id)
        item = event_id if new else self.chance.choice(self.items)
        kind, body = (
            ("created", {"title": event_id[-4:], **self.fields()}) if new else self.change()
        )
        about = [one for one, of in self.known if of == item]
        base = self.chance.sample(about, min(len(about), self.chance.randrange(3)))
        draft: Json = {
            "type": f"work.{kind}",
            "refs": {"work_id": item},
            "base": base,
            "body": body,
        }
        actor = {"agent_id": writer.partition("~")[0].replace(".", ":")}
        lines = self.streams.setdefault(writer, [])
        lines.append(
            event.build(draft, event_id, BEGIN, ("acme", writer, len(lines) + 1), actor).raw + b"\n"
        )
        self.known.append((event_id, item))

    def fields(self) -> Json:
        item = self.chance.choice([*self.items, "elsewhere"])
        some = {
            "priority": self.chance.randrange(5),
            "labels": [self.chance.choice("xyz")],
            "parent": item,
        }
        some |= {
            "deps": [{"rel": "blocked_by", "to": item}],
            "fields": {"alias": self.chance.choice("pq")},
        }
        return {name: some[name] for name in some if self.chance.random() < 0.3}

    def change(self) -> tuple[str, Json]:
        claims = [one for one, _ in self.known]
        bodies: dict[str, Json] = {
            "claimed": {"gen": 1, "steal": self.chance.random() < 0.3},
            "released": {"claim": self.chance.choice(claims)},
            "closed": {"resolution": "done"},
            "reopened": {},
            "commented": {"text": "x"},
        }
        sets = self.fields()
        lists = {name: sets.pop(name) for name in ("labels", "deps") if name in sets}
        bodies["updated"] = {"set": {k: v for k, v in sets.items() if k != "fields"}, "add": lists}
        bodies["updated"] |= {"rm": {"labels": [self.chance.choice("xyz")]}}
        kind = self.chance.choice(list(bodies))
        return kind, bodies[kind]

    def waiting(self) -> list[str]:
        return [
            writer
            for writer, lines in self.streams.items()
            if self.given.get(writer, 0) < len(lines)
        ]

    def arrive(self, store: Store) -> None:
        """Some of what is missing of some streams comes; or all that came of one, once more, as a fork."""
        for writer in self.chance.sample(
            self.waiting(), self.chance.randint(1, len(self.waiting()))
        ):
            begin = self.given.get(writer, 0)
            end = self.chance.randint(begin + 1, len(self.streams[writer]))
            put(
                store,
                writer,
                b"".join(self.streams[writer][begin:end]),
                begin + 1,
                self.chance.random() < 0.3,
            )
            self.given[writer] = end
            if self.chance.random() < 0.1:
                fork = f"{writer}!{self.chance.randrange(1 << 32):08x}"
                put(store, fork, b"".join(self.streams[writer][:end]), 1, True)

    def all(self, store: Store) -> None:
        while self.waiting():
            self.arrive(store)


def put(store: Store, stream: str, lines: bytes, seq: int, anew: bool) -> None:
    """Lines at the end of a stream, in the segment that is there or in a new one: as a sync does."""
    path = Path(store.path, "journal", stream)
    path.mkdir(exist_ok=True)
    segments = sorted(path.iterdir())
    file = path / f"{seq:012d}.jsonl" if anew or not segments else segments[-1]
    with file.open("ab") as out:
        out.write(lines)
