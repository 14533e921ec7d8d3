"""Batches of requests in memory, decided to the end: a stack is a sequence of numbers, a commit its text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from coord_land.decide import Decision, Held, Needed, Verdict, decide

Stack = tuple[str, ...]
Test = Callable[[Stack, int], str]
"""The outcome of a test of a stack, the n-th of that stack."""


class Gate:
    id = control = "g"
    tests, fresh = 2, True


class Batch:
    """One batch on one base."""

    base = ""

    def __init__(self, count: int) -> None:
        self.requests = tuple(str(number) for number in range(count))
        self.verdicts: list[Verdict] = []
        self.passed = set[str]()

    def commit(self, stack: Stack) -> str:
        return "+".join(stack)

    def gates(self, _: str) -> Sequence[type[Gate]]:
        return [Gate]

    def run(self, test: Test) -> Decision | Held:
        """Test what is needed, until it is decided."""
        while True:
            try:
                decision = decide(self.requests, self)
            except Held as held:
                return held
            except Needed as needed:
                times = sum(verdict.commit == needed.commit for verdict in self.verdicts)
                outcome = test(needed.stack, times)
                self.verdicts.append(Verdict(needed.gate, needed.commit, outcome))
                self.passed |= {needed.commit} if outcome == "pass" else set()
            else:
                assert not decision.stack or self.commit(decision.stack) in self.passed
                return decision

    def demand(self, test: Test, culprits: set[str]) -> int:
        """Decide; the culprits leave and nobody else, in whatever order. How many tests it took."""
        decision = self.run(test)
        assert isinstance(decision, Decision), "held"
        assert set(decision.culprits) == culprits
        assert decision.stack == tuple(each for each in self.requests if each not in culprits)
        return len(self.verdicts)


def poisoned(culprits: set[str]) -> Test:
    return lambda stack, _: "fail" if culprits & set(stack) else "pass"
