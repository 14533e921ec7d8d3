"""A commons in memory: towns, and what their keys have written, as the fold keeps it."""

from __future__ import annotations

import base64
from typing import Any

from coord_commons import fold, standing, towns
from coord_commons.fraud import flags
from coord_commons.market import Market
from coord_envelope import event, ids

Json = dict[str, Any]
FOUNDER = "ada"


def public(name: str) -> str:
    """A public key, of the right form."""
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + name.encode().ljust(32)
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"


def fingerprint(name: str) -> str:
    return towns.fingerprint(public(name))


def file_of(*names: str, by: str = FOUNDER) -> str:
    """The signers: the founder, and those that it has admitted."""
    others = (towns.line(name, public(name), fingerprint(by)) for name in names if name != FOUNDER)
    return "".join(
        f"{line}\n" for line in sorted([towns.line(FOUNDER, public(FOUNDER), ""), *others])
    )


class World:
    """Events, each with the name of the key that has signed it; "": nobody."""

    def __init__(self, *names: str, text: str = "") -> None:
        self.text = text or file_of(*names)
        self.events: list[event.Event] = []
        self._seq, self.ms = 0, 1_800_000_000_000

    def add(
        self,
        key: str,
        kind: str,
        work: str,
        body: Json,
        by: str = "",
        writer: str = "",
        id: str = "",
    ) -> str:
        """An event; its id. `work`: "" for its own; `id`: as somebody writes it who copies one."""
        self._seq += 1
        self.ms += 1_000
        actor = {"agent_id": by or f"agent:{key}"}
        at = id or ids.mint(self.ms << 16, b"%08d" % self._seq)
        draft: Json = {"type": kind, "body": body, "refs": {"work_id": work or at}}
        stream = writer or f"agent.{key or 'x'}~k3f9x2ab"
        built = event.build(draft, at, self.ms, ("acme", stream, self._seq), actor)
        self.events.append(built.annotated(key=fingerprint(key) if key else ""))
        return at

    def offer(self, key: str, title: str = "a thing", **body: Any) -> str:
        return self.add(key, "work.created", "", {"title": title, "kind": fold.KIND, **body})

    def about(self, key: str, kind: str, work: str, body: Json, owner: str, by: str = "") -> str:
        whole = {"work": work, "offerer": fingerprint(owner), **body}
        return self.add(key, f"commons.{kind}", work, whole, by)

    def claim(self, key: str, work: str, owner: str, n: int = 1, **body: Any) -> str:
        """A claim that the arbiter has confirmed."""
        whole = {"gen": 1, "offerer": fingerprint(owner), **body}
        at = self.add(key, "work.claimed", work, whole)
        self.confirm(key, work, at, n)
        return at

    def confirm(
        self, key: str, work: str, claim: str, n: int = 1, writer: str = "arbiter.main~k3f9x2ab"
    ) -> str:
        body = {"claim": claim, "n": n, "agent_id": f"agent:{key}"}
        return self.add(key, "work.confirmed", work, body, writer=writer)

    def redact(self, key: str, target: str) -> str:
        return self.add(key, "coord.redacted", "", {"target": target, "reason": "secret"})

    def submit(self, key: str, work: str, owner: str, claim: str, by: str = "") -> str:
        return self.about(key, "submitted", work, {"claim": claim, "artifacts": []}, owner, by)

    def accept(self, key: str, work: str, submission: str) -> str:
        return self.add(key, "work.closed", work, {"resolution": "done", "submission": submission})

    def done(self, owner: str, worker: str) -> str:
        """An offer from its beginning to its acceptance."""
        work = self.offer(owner)
        submission = self.submit(worker, work, owner, self.claim(worker, work, owner))
        self.accept(owner, work, submission)
        return work

    def stamp(
        self,
        key: str,
        work: str,
        owner: str,
        subject: str,
        values: tuple[Any, Any, Any] = (4, 4, 4),
        by: str = "",
    ) -> str:
        names = ("quality", "reliability", "creativity")
        body = {"subject": f"agent:{subject}", **dict(zip(names, values, strict=True))}
        return self.about(key, "stamped", work, body, owner, by)

    def market(self, then: str = "", events: Any = None) -> Market:
        states: dict[str, Any] = {}
        for each in self.events if events is None else events:
            for entity in fold.entities(each):
                states[entity] = fold.step(states.get(entity), each)
        return Market(self.text, states.values(), then)

    def reputations(self) -> dict[str, Json]:
        market = self.market()
        return standing.reputations(market.parties.seeds(), market.stamps())

    def flags(self) -> list[Json]:
        market = self.market()
        return flags(list(market.stamps()), market.refused())

    def refused(self) -> dict[str, str]:
        """Stamp → why it does not count."""
        return {record["id"]: why for record, why in self.market().refused()}
