"""Stores on live remotes, in this process: rounds by hand, and what must be equal afterwards."""

from __future__ import annotations

import filecmp
import os
from pathlib import Path
from typing import Any, ClassVar

from live.engines import CREDENTIALS, Server, connected
from support import Json

from coord_envelope.errors import Fault
from coord_envelope.event import SELF
from coord_kernel.journal.journal import Journal
from coord_kernel.rules import claims
from coord_kernel.store.directory import Store
from coord_kernel.sync.live.exchange import LiveExchange
from coord_kernel.sync.live.log import Credentials, Place
from coord_kernel.sync.live.remote import Live
from coord_kernel.views.entities import Entities
from coord_kernel.views.view import View


class Replica:
    """A store with one live remote. `sync` is a whole exchange, with a connection of its own."""

    def __init__(self, path: Path, server: Server, name: str = "tester") -> None:
        self.path, self.server, self.actor = path, server, {"agent_id": f"agent:{name}"}
        path.mkdir(parents=True, exist_ok=True)
        self.store = Store(str(path), "acme", new=True)
        with self.store.lock():
            self.store.replica()
        self.journal = Journal(self.store)
        self.warnings: list[str] = []

    def again(self) -> Replica:
        """The same directory, opened anew: after it was replaced."""
        return Replica(self.path, self.server, self.actor["agent_id"].partition(":")[2])

    def live(self) -> Live:
        url = self.server.url
        place = Place(url, "acme", "acme", CREDENTIALS.get(url, Credentials()))
        return Live(self.store, place, connected(url))

    def exchange(self) -> LiveExchange:
        return LiveExchange(self.journal, self.live(), 30)

    def sync(self) -> LiveExchange:
        exchange = self.exchange()
        try:
            exchange.run()
        finally:
            exchange.live.close()
            self.warnings += exchange.warnings
        return exchange

    def append(self, count: int = 1, **fields: object) -> None:
        drafts: list[Json] = [
            {"type": "test.tick", "body": {"n": n}, **fields} for n in range(count)
        ]
        self.journal.append(self.actor, drafts)

    def new(self) -> str:
        """A work item."""
        draft: Json = {"type": "work.created", "refs": {"work_id": SELF}, "body": {"title": "x"}}
        (made,) = self.journal.append(self.actor, [draft])
        return str(made.id)

    def claim(self, item: str) -> str:
        state = self.claims(item)
        draft: Json = {
            "type": "work.claimed",
            "refs": {"work_id": item},
            "base": claims.base(state),
            "body": {"gen": claims.next_gen(state)},
        }
        (claimed,) = self.journal.append(self.actor, [draft])
        return str(claimed.id)

    def claims(self, item: str) -> claims.ClaimsState:
        return _Claims.current(View(self.store, claims)).state(f"work {item}") or claims.nothing()

    def confirmed(self, item: str) -> list[str]:
        """The claims that the arbiter confirmed and that are not over."""
        state = self.claims(item)
        return [claim for claim in state["confirmed"] if not claims.over(state, claim)]

    def replay(self) -> list[bytes]:
        return [event.raw for event in self.journal.replay()]

    def forks(self) -> list[str]:
        return [name for name in self.store.listdir("journal") if "!" in name]


class _Claims(Entities):
    fold: ClassVar[Any] = claims


def converge(*replicas: Replica, rounds: int = 3) -> None:
    """Enough rounds for everything to be everywhere."""
    for _ in range(rounds):
        for replica in replicas:
            try:
                replica.sync()
            except Fault as fault:
                if "nothing is confirmed" not in str(fault):
                    raise


def same_files(*replicas: Replica) -> None:
    """`diff -r` of the journals is empty."""
    first = replicas[0].path / "journal"
    for other in replicas[1:]:
        assert not differences(filecmp.dircmp(first, other.path / "journal"))


def differences(compared: filecmp.dircmp[str]) -> list[str]:
    found = [*compared.left_only, *compared.right_only, *compared.funny_files]
    for name in compared.common_files:
        left, right = os.path.join(compared.left, name), os.path.join(compared.right, name)
        if not filecmp.cmp(left, right, shallow=False):
            found.append(name)
    for sub in compared.subdirs.values():
        found += differences(sub)
    return found


def same_replay(*replicas: Replica) -> None:
    """All have the same events, none of them twice."""
    first = replicas[0].replay()
    assert len(first) == len(set(first))
    for other in replicas[1:]:
        assert other.replay() == first
