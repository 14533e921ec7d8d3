"""The claim protocol as a machine of small steps, to be searched through: who can do what next, and what must hold.

One item, some clones with a clock each, a server with a ref for each clone's own lines and one for the arbiter's.
The events, the folds, the rule and the clock are the real ones; only git and the disk are played. What is played:

    act        claim, steal, release, close, reopen, each by what its clone sees, whenever it likes
    fetch      all refs at one moment; their lines are taken in
    decide     what the rule says of one's own open claims: confirm (a line for the arbiter) or concede (a line of
               one's own); both refs are sent
    land       what was sent comes to its ref: one's own always, the arbiter's if that is as it was fetched. The
               reply comes, or is lost. It may never land, or long after the sender gave up, or the other one alone
    accident   the arbiter is deleted, or loses its last entry
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache, reduce
from hashlib import blake2b
from typing import NamedTuple

from support import Json

from coord_envelope import Event, event, ids
from coord_kernel.rules import claims
from coord_wk import draft, fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_wk.registers import State as Item

NOW, HOUR = 1_767_312_000_000, 3_600_000
ITEM = ids.mint((NOW - HOUR * 24) << 16, bytes(8))
ARBITER = "arbiter.main~88888888"
Chain = tuple[int, ...]
"""The arbiter's entries, from the first."""


class Clone(NamedTuple):
    """One store. A set of lines is an integer with a bit for each."""

    held: int
    tip: Chain  # the arbiter's entries as its journal has them: the longest chain it saw
    phase: str = "idle"
    found: Chain = ()  # the arbiter, as this sync fetched it
    sent: int = 0  # on the way to its own ref
    swap: tuple[Chain, Chain] | None = None  # on the way to the arbiter: what for what


class State(NamedTuple):
    """All that there is."""

    arbiter: Chain
    refs: tuple[int, ...]
    clones: tuple[Clone, ...]
    accidents: int = 0


class Line(NamedTuple):
    """An event, and what only the model knows of it: what its writer had really seen, and the entries before it."""

    event: Event
    verb: str
    about: int  # the number of the claim that it ends or confirms
    seen: int
    chain: Chain


def begins(one: Chain, other: Chain) -> bool:
    return other[: len(one)] == one


def bits(numbers: Iterable[int]) -> int:
    return sum(1 << one for one in numbers)


def own(who: int) -> str:
    """The stream that a clone's agent writes."""
    return f"agent.a{who}~{who:08}"


class Model:
    """The machine. `late`: may what was given up still land?"""

    swaps = True
    """Does the arbiter's ref compare before it is set?"""

    def __init__(
        self, ahead_ms: tuple[int, ...], acts: int, accidents: int = 0, late: bool = False
    ) -> None:
        """Clones with these clocks, whose agents do so many things."""
        self.clocks, self.acts, self.accidents, self.late = ahead_ms, acts, accidents, late
        self.lines: list[Line] = []
        self._numbers: dict[tuple[bytes, Chain], int] = {}
        self.by, self._claims = dict[str, int](), dict[str, int]()
        for name in ("view", "_acted", "_decide"):  # all of them pure
            setattr(self, name, cache(getattr(self, name)))
        first = {"type": "work.created", "refs": {"work_id": ITEM}, "body": {"title": "x"}}
        self._write(
            event.build(first, ITEM, NOW, ("acme", "agent.a~99999999", 1), {"agent_id": "agent:a"}),
            0,
            (),
        )

    def start(self) -> State:
        count = len(self.clocks)
        return State((), (1,) * count, (Clone(1, ()),) * count)

    def of(self, held: int) -> Iterator[tuple[int, Line]]:
        """The lines of a set, with their numbers."""
        while held:
            number = (held & -held).bit_length() - 1
            yield number, self.lines[number]
            held &= held - 1

    def view(self, held: int) -> Item:
        """The item as one who holds these lines sees it."""
        state: Item | None = None
        for made in sorted((line.event for _, line in self.of(held)), key=lambda made: made.id):
            state = fold.step(state, made)
        assert state
        return state

    def _write(self, made: Event, seen: int, chain: Chain) -> int:
        number = self._numbers.setdefault((made.raw, chain), len(self.lines))
        if number == len(self.lines):
            verb = made["type"].rpartition(".")[2]
            about = self._claims.setdefault(
                made.id if verb == "claimed" else made["body"].get("claim", ""), number
            )
            self.lines.append(Line(made, verb, about, seen, chain))
            for name in (made["writer"], verb):
                self.by[name] = self.by.get(name, 0) | 1 << number
        return number

    def _make(self, who: int, held: int, said: Json, chain: Chain | None = None) -> int:
        """The number of the line that this clone writes: the next of its own, or of the arbiter's entries."""
        now, writer, behind = NOW + self.clocks[who], own(who), 0
        stamps = [ids.stamp_of(line.event.id) for _, line in self.of(held)]
        seq = (held & self.by.get(writer, 0)).bit_count() + 1
        if chain is not None:
            writer, seq = ARBITER, len(chain) + 1
            behind = max(
                [ids.stamp_of(self.lines[one].event.id) + 1 for one in chain[-1:]], default=0
            )
        stamp = ids.tick(max(one for one in stamps if not ids.ahead(one, now)), now)
        chance = blake2b(f"{who} {held} {chain} {said}".encode(), digest_size=8).digest()
        at = ids.mint(max(stamp, behind), chance)
        head = ("acme", writer, seq)
        made = event.build(said, at, now, head, {"agent_id": f"agent:a{who}"})
        for claim in self.confirmed(held):  # whose confirmation it saw, of that claim it knows
            held |= self.lines[claim].seen | 1 << claim
        return self._write(made, held, chain or ())

    def steps(self, state: State) -> Iterator[tuple[str, State]]:
        """Everything that can happen next, with its name."""
        more = (self.union(state) & self._by_agents()).bit_count() < self.acts
        for who, clone in enumerate(state.clones):
            for name, changed, server in self._of_clone(state, who, clone, more):
                clones = (*state.clones[:who], changed, *state.clones[who + 1 :])
                yield f"{who} {name}", self._tidy(state._replace(clones=clones, **server))
        if state.accidents < self.accidents and state.arbiter:
            for name, left in {"delete": (), "rewind": state.arbiter[:-1]}.items():
                yield name, self._tidy(state._replace(arbiter=left, accidents=state.accidents + 1))

    def _by_agents(self) -> int:
        return reduce(
            int.__or__,
            (self.by.get(verb, 0) for verb in ("claimed", "released", "closed", "reopened")),
        )

    def _of_clone(
        self, state: State, who: int, clone: Clone, more: bool
    ) -> Iterator[tuple[str, Clone, Json]]:
        for name, held in self._acted(who, clone.held) if more else ():
            yield name, clone._replace(held=held), {}
        if clone.phase == "idle":
            yield "fetch", self._fetch(state, clone), {}
        if clone.phase == "fetched":
            yield "decide", self._decide(who, clone), {}
        if clone.sent:
            refs = (*state.refs[:who], state.refs[who] | clone.sent, *state.refs[who + 1 :])
            yield "land", clone._replace(sent=0), {"refs": refs}
        if clone.swap and (state.arbiter == clone.swap[0] or not self.swaps):
            landed, done = clone.swap[1], clone._replace(swap=None)
            yield "confirm, reply lost", done, {"arbiter": landed}
            if clone.phase == "sent":
                yield "confirm", self._learn(done, landed), {"arbiter": landed}
        if clone.phase == "sent":
            yield "give up", clone._replace(phase="idle"), {}

    def _tidy(self, state: State) -> State:
        """The state without what can make no difference any more, so that equal ones are found to be equal."""
        clones = []
        for who, clone in enumerate(state.clones):
            may = clone.phase == "sent" or self.late
            never = (
                clone.swap
                and clone.swap[0] != state.arbiter
                and self.swaps
                and state.accidents == self.accidents
            )
            swap = None if never or not may else clone.swap
            sent = clone.sent if clone.sent & ~state.refs[who] and may else 0
            phase = "idle" if clone.phase == "sent" and not swap and not sent else clone.phase
            clones.append(clone._replace(swap=swap, sent=sent, phase=phase))
        return state._replace(clones=tuple(clones))

    def _acted(self, who: int, held: int) -> list[tuple[str, int]]:
        """What the agent may write, as `wk` would let it, and what is held then."""
        state = self.view(held)
        holder = claims.owner(state)
        if fold.value(state, "closed"):
            said = [draft.change("reopened", ITEM, state, {})]
        else:
            said = [draft.change("closed", ITEM, state, {"resolution": "done"})]
            if holder and holder["replica"] == f"{who:08}":
                said += [
                    draft.change(
                        "released", ITEM, state, {"claim": holder["id"], "reason": "released"}
                    )
                ]
            else:
                said += [draft.claimed(ITEM, state, holder is not None, "silent")]
        names = [
            "steal" if one["body"].get("steal") else one["type"].rpartition(".")[2] for one in said
        ]
        return [
            (name, held | 1 << self._make(who, held, one))
            for name, one in zip(names, said, strict=True)
        ]

    def _fetch(self, state: State, clone: Clone) -> Clone:
        held = reduce(int.__or__, state.refs, clone.held)
        return self._learn(
            clone._replace(held=held, phase="fetched", found=state.arbiter), state.arbiter
        )

    def _learn(self, clone: Clone, arbiter: Chain) -> Clone:
        held, tip = clone.held | bits(arbiter), arbiter if begins(clone.tip, arbiter) else clone.tip
        for number, line in self.of(held & self.by.get(ARBITER, 0)):
            if begins(tip, line.chain) and not bits(line.chain) & ~held:
                tip = (*line.chain, number)
        return clone._replace(held=held, tip=tip)

    def _decide(self, who: int, clone: Clone) -> Clone:
        held, chain = clone.held, clone.found
        entries = held & self.by.get(ARBITER, 0)
        strange = entries & ~bits(chain)  # the arbiter lacks them: carried, with those before them
        for claim in sorted(self.view(held)["claims"]):
            seen = self.view(held | bits(chain))
            word = (
                claims.verdict(seen, claim)
                if seen["claims"][claim]["replica"] == f"{who:08}"
                else ""
            )
            if word == "concede":
                said = draft.change(
                    "conceded", ITEM, self.view(held), {"claim": claim, "reason": "conceded"}
                )
                held |= 1 << self._make(who, held, said)
            elif word == "confirm" and not strange:
                body = {"claim": claim, "n": claims.token(seen, claim), "agent_id": f"agent:a{who}"}
                said = {
                    "type": "work.confirmed",
                    "refs": {"work_id": ITEM},
                    "base": [claim],
                    "body": body,
                }
                chain = (*chain, self._make(who, held, said, chain))
        if begins(chain, clone.tip):  # what it lost is put back before anything new
            chain = clone.tip
        swap = (clone.found, chain) if chain != clone.found else None
        sent = held & self.by.get(own(who), 0) | (entries if strange else 0)
        return clone._replace(held=held, phase="sent", found=(), sent=sent, swap=swap)

    def union(self, state: State) -> int:
        """All lines that anybody holds."""
        return reduce(int.__or__, (clone.held for clone in state.clones), bits(state.arbiter))

    def confirmed(self, held: int) -> dict[int, list[Chain]]:
        """The claims the arbiter confirmed, and where: its entries up to there."""
        found: dict[int, list[Chain]] = {}
        for number, line in self.of(held & self.by.get(ARBITER, 0)):
            found.setdefault(line.about, []).append((*line.chain, number))
        return found

    def synced(self, state: State, who: int) -> State:
        """After a sync with which nothing goes wrong."""
        clone = self._decide(who, self._fetch(state, state.clones[who]))
        refs = (*state.refs[:who], state.refs[who] | clone.sent, *state.refs[who + 1 :])
        arbiter = clone.swap[1] if clone.swap else state.arbiter
        clone = self._learn(clone._replace(phase="idle", sent=0, swap=None), arbiter)
        return state._replace(
            arbiter=arbiter,
            refs=refs,
            clones=(*state.clones[:who], clone, *state.clones[who + 1 :]),
        )
