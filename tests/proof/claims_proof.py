"""What must hold of the claim protocol, whatever comes to pass: every state that `claims_model` can reach is looked at.

In all lines together, and in the view of each clone:

1. At most one confirmed claim is open: of all, or where an accident left two arbiters, in each of them.
2. A confirmed claim is over only by a release, a closing that it did not know of or a confirmed steal by one who
   knew of it: as the rule says from the lines, so it is by what their writers really knew. None is conceded, but
   for one that an accident let be confirmed long after its store gave up, and that its agent was never told of.
3. Tokens rise in the arbiter's order, and who knew of an entry never wrote one beside it.
4. When nobody does anything but sync, all come to hold the same lines, no claim is left tentative, and what was
   confirmed to anybody is what the arbiter holds.
"""

from __future__ import annotations

from collections import deque
from functools import cache
from itertools import combinations

from proof.claims_model import ARBITER, Model, State, begins, bits

from coord_kernel.rules import claims


class Violation(AssertionError):
    """Something that must hold does not."""


class Proof:
    """The search through what a model can come to."""

    def __init__(self, model: Model) -> None:
        self._model = model
        for name in ("_check_view", "_check_rest"):  # both of them pure
            setattr(self, name, cache(getattr(self, name)))

    def search(self) -> tuple[int, int]:
        """Look at every state that can be reached. How many there are, and in how many the arbiter was forked.

        Raises Violation with the shortest way there.
        """
        start = self._model.start()
        came: dict[State, tuple[State, str] | None] = {start: None}
        queue, forks = deque([start]), 0
        while queue:
            state = queue.popleft()
            try:
                self._check(state)
            except Violation as what:
                way = list[str]()
                while at := came[state]:
                    state, name = at
                    way.append(name)
                raise Violation(f"{what}: {' | '.join(reversed(way))}") from None
            forks += self._model.accidents > 0 and self._forked(state)
            for name, after in self._model.steps(state):
                if after not in came:
                    came[after] = state, name
                    queue.append(after)
        return len(came), forks

    def _check(self, state: State) -> None:
        """Raise Violation if something does not hold."""
        union = self._model.union(state)
        self._check_view(union)
        if not state.accidents:
            self._check_arbiter(union, state)
        for clone in state.clones:
            self._check_view(clone.held)
        idle = (clone._replace(phase="idle", found=(), sent=0, swap=None) for clone in state.clones)
        self._check_rest(state._replace(clones=tuple(idle), accidents=self._model.accidents))

    def _check_view(self, held: int) -> None:
        """What holds for whoever has these lines: the rule says what is so, or that it cannot know yet."""
        state, confirmed = self._model.view(held), self._model.confirmed(held)
        names = {claim: self._model.lines[claim].event.id for claim in confirmed}
        whole = not any((self._model.lines[claim].seen | 1 << claim) & ~held for claim in confirmed)
        for claim, name in names.items():
            found, really = claims.over(state, name), self._ended(held, claim)
            if found != really and (found or whole):  # else what it knew of may come yet
                raise Violation(f"{name} is {'over' if found else 'open'} in the view, and is not")
        for chain in (chain for chains in confirmed.values() for chain in chains):
            tokens = [self._model.lines[one].event["body"]["n"] for one in chain]
            if tokens != sorted(set(tokens)):
                raise Violation(f"tokens {tokens}")
            if self._model.lines[chain[-1]].seen & self._model.by[ARBITER] & ~bits(chain):
                raise Violation("one who knew of an entry wrote one beside it")
        conceded = [line for _, line in self._model.of(held) if line.verb == "conceded"]
        if any(line.about in self._model.confirmed(line.seen) for line in conceded):
            raise Violation("one who knew that its claim is confirmed conceded it")
        held_now = [
            claim
            for claim, name in names.items()
            if held >> claim & 1 and not claims.over(state, name)
        ]
        for one, other in combinations(held_now, 2):
            if any(begins(a, b) or begins(b, a) for a in confirmed[one] for b in confirmed[other]):
                raise Violation(f"{names[one]} and {names[other]} are confirmed and open")

    def _check_arbiter(self, union: int, state: State) -> None:
        """What holds of an arbiter that never lost anything."""
        if self._forked(state):
            raise Violation("the arbiter is forked")
        confirmed = self._model.confirmed(union)
        if any(
            line.verb == "conceded" and line.about in confirmed for _, line in self._model.of(union)
        ):
            raise Violation("a claim is both confirmed and conceded")

    def _ended(self, held: int, claim: int) -> bool:
        """Is this claim over? Said from what the writers really knew, not from what the lines say of it."""
        confirmed = self._model.confirmed(held)
        for number, line in self._model.of(held):
            if line.verb in ("released", "conceded") and line.about == claim:
                return True
            if line.verb == "closed" and not self._model.lines[claim].seen >> number & 1:
                return True
            steals = line.event["body"].get("steal") and (
                claim not in confirmed or number in confirmed
            )
            if steals and line.seen >> claim & 1:
                return True
        return False

    def _forked(self, state: State) -> bool:
        chains = [
            chain
            for found in self._model.confirmed(self._model.union(state)).values()
            for chain in found
        ]
        return any(not begins(a, b) and not begins(b, a) for a in chains for b in chains)

    def _check_rest(self, state: State) -> None:
        """If from here on nobody does anything but sync, all agree soon, and no tentative claim is left."""
        known = self._model.confirmed(self._model.union(state)).keys()
        for _ in range(9):
            before = state
            for who in range(len(self._model.clocks)):
                state = self._model.synced(state, who)
            if state == before:
                break
        else:
            raise Violation("it does not come to rest")
        if self._forked(state):
            return
        if len({clone.held for clone in state.clones}) > 1:
            raise Violation("they do not hold the same lines")
        seen = self._model.view(state.clones[0].held)
        left = [
            one
            for one in sorted(seen["claims"])
            if not claims.over(seen, one) and one not in seen["confirmed"]
        ]
        if left:
            raise Violation(f"{left} are still tentative")
        if not known <= self._model.confirmed(bits(state.arbiter)).keys():
            raise Violation("a confirmed claim is lost")
