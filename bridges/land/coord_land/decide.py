"""Which requests of a batch may land: found by testing stacks of them, by halves. Pure.

A stack is a sequence of requests, each merged on the one before it, the first on the base; it is
the commit that would land. What was tested is a list of verdicts, in the order in which they were
given. The decision is a function of these: it names the next test that is needed, or the end. So
it can be asked again at any time, by anybody who has the same verdicts, and it goes on where it
was.

1. One pass, and a stack is good; as many failures or errors as its gate says, and it is bad. Two
   are cheaper and fairer than one where tests are flaky.
2. If the whole batch is bad, it is searched by halves: what is good of the left, then the right on
   top of that. One request that is bad on top of a good stack is a culprit. So of two that fail
   only together the later one leaves.
3. A failure counts only if the gate works: before the first culprit is named there has to be a
   pass after the first failure, and before culprits leave one after the last, of any stack or of
   the base. So what fails on the base, too, is nobody's fault: it stops the queue. A test that
   could not be made (`error`) asks the base at once.
4. A request that fits only without another one, which is in its stack, is left for a later batch.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NamedTuple, Protocol

    Stack = tuple[str, ...]

    class Gate(Protocol):
        """A test that a commit has to pass."""

        id: str
        control: str
        """The gate whose passes show that this one works: itself, or what it varies."""
        tests: int
        """As many failures or errors, and a commit is bad."""
        fresh: bool
        """Does only a pass after a failure show that it works?"""

    class Verdict(NamedTuple):
        """What came of one test."""

        gate: str
        commit: str
        outcome: str
        """pass, fail, or error: the test was not made."""

    class World(Protocol):
        """What the decision is about."""

        @property
        def base(self) -> str: ...
        @property
        def verdicts(self) -> Sequence[Verdict]: ...
        def commit(self, stack: Stack) -> str | None:
            """The commit of a stack; None if its last request does not fit on the others."""

        def gates(self, commit: str) -> Sequence[Gate]:
            """What a commit has to pass, in order."""

else:
    from collections import namedtuple

    Verdict = namedtuple("Verdict", "gate commit outcome")

PASS, FAIL, ERROR = OUTCOMES = ("pass", "fail", "error")


class Needed(Exception):
    """The decision needs one more test."""

    def __init__(self, gate: str, commit: str, stack: Stack) -> None:
        self.gate, self.commit, self.stack = gate, commit, stack
        self.of = gate, commit


class Held(Exception):
    """A gate does not pass on the base: nothing can be decided."""

    def __init__(self, gate: str, outcomes: list[str]) -> None:
        self.gate, self.outcomes = gate, outcomes


class Decision:
    """The end: the stack that is good, and who is not in it."""

    def __init__(self) -> None:
        self.stack: Stack = ()
        self.culprits: dict[str, str] = {}
        """Request → the gate that it does not pass."""
        self.later: list[str] = []
        """Requests that do not fit on others of the batch."""


def decide(batch: Sequence[str], world: World) -> Decision:
    """The decision about a batch. Raises Needed, Held."""
    return _Search(world).of(tuple(batch))


def demand_base(world: World) -> None:
    """Demand that the base itself passes all gates. Raises Needed, Held."""
    _Search(world).base()


class _Search:
    def __init__(self, world: World) -> None:
        self._world, self._decision = world, Decision()
        self._first: dict[str, int] = {}
        """Gate → the place of the verdict by which the first stack was bad."""
        self._last: dict[str, tuple[Gate, int]] = {}
        """Gate → itself, and the place of the last verdict by which a culprit was found."""

    def of(self, batch: Stack) -> Decision:
        self._decision.stack = self._search((), batch)
        for gate, place in self._last.values():
            self._demand_control(gate, place)
        return self._decision

    def base(self) -> None:
        base = self._world.base
        for gate in self._world.gates(base):
            if self._fails(gate, base, ()) is not None:
                raise Held(gate.id, [outcome for _, outcome in self._tests(gate.id, base)])

    def _search(self, good: Stack, rest: Stack) -> Stack:
        """The good stack, and what is good of the rest on top of it."""
        rest = self._fitting(good, rest)
        bad = self._bad(good + rest) if rest else None
        if bad is None:
            return good + rest
        if len(rest) == 1:
            gate, place = bad
            self._demand_control(gate, self._first[gate.id])
            self._decision.culprits[rest[0]] = gate.id
            before = self._last.get(gate.id, bad)
            self._last[gate.id] = gate, max(place, before[1])
            return good
        half = len(rest) // 2
        return self._search(self._search(good, rest[:half]), rest[half:])

    def _fitting(self, good: Stack, rest: Stack) -> Stack:
        stack = good
        for request in rest:
            if self._world.commit((*stack, request)) is not None:
                stack = (*stack, request)
            elif request not in self._decision.later:
                self._decision.later.append(request)
        return stack[len(good) :]

    def _bad(self, stack: Stack) -> tuple[Gate, int] | None:
        """The gate that a stack does not pass, and the place of the last verdict; None: good."""
        commit = self._world.commit(stack)
        assert commit is not None, "it fits"
        for gate in self._world.gates(commit):
            place = self._fails(gate, commit, stack)
            if place is not None:
                self._first.setdefault(gate.id, place)
                return gate, place
        return None

    def _fails(self, gate: Gate, commit: str, stack: Stack) -> int | None:
        tests = self._tests(gate.id, commit)
        outcomes = [outcome for _, outcome in tests]
        if PASS in outcomes:
            return None
        if len(tests) >= gate.tests:
            return tests[-1][0]
        if outcomes and FAIL not in outcomes:
            self._demand_control(gate, tests[-1][0])
        raise Needed(gate.id, commit, stack)

    def _demand_control(self, gate: Gate, place: int) -> None:
        """Demand that the gate has been seen to work since then."""
        since = place if gate.fresh else -1
        for at, verdict in enumerate(self._world.verdicts):
            if at > since and verdict.gate == gate.control and verdict.outcome == PASS:
                return
        tests = self._tests(gate.control, self._world.base)
        outcomes = [outcome for at, outcome in tests if at > since]
        if len(outcomes) >= gate.tests:
            raise Held(gate.control, outcomes)
        raise Needed(gate.control, self._world.base, ())

    def _tests(self, gate: str, commit: str) -> list[tuple[int, str]]:
        return [
            (at, verdict.outcome)
            for at, verdict in enumerate(self._world.verdicts)
            if (verdict.gate, verdict.commit) == (gate, commit)
        ]
