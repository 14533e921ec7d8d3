"""Is there an order in which commands that ran at once could have run one after the other, each with its answer?

The search is that of Wing and Gong (Testing and verifying concurrent objects, 1993) with the memory of Lowe (Testing
for linearizability, 2017): a set of commands done and the state they led to is looked at once. Knossos and porcupine
search so, too. What each object shows is checked for itself: linearizability is local (Herlihy and Wing, 1990).

A command that was killed has taken effect between its call and its death, or never (Aguilera and Frolund: Strict
linearizability, 2003). Linearizability alone lets it do so later, too; here nothing is left that could.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import NamedTuple, TypeVar

S = TypeVar("S", bound=Hashable)
MOST = 1_000_000
"""After so many states the search is given up: that is no answer, and so a failure."""


class Op(NamedTuple):
    """A command about one object: when it was called and came back (ns), and what it was told."""

    call: int
    back: int
    who: str
    """AGENT/SESSION"""
    verb: str
    saw: str | None
    """Its exit status and the words that matter; None if it was killed before."""
    token: int = 0
    """That of the lease it names or was given; 0 if there is none."""

    def __str__(self) -> str:
        return f"{self.who} {self.verb} {self.token or ''} -> {self.saw or 'killed'}"


Step = Callable[[S, Op], S | None]
"""The state after a command, or None if it cannot have been answered so."""


def linearized(ops: Sequence[Op], begin: S, step: Step[S]) -> list[Op]:
    """An order that explains all answers, with those of the killed in it that took effect.

    Raises AssertionError with the end of the longest order that was found, and what could not come next.
    """
    ops = sorted(ops, key=lambda op: op.call)
    answered = sum(1 << n for n, op in enumerate(ops) if op.saw is not None)
    seen, order, best, furthest = {(0, begin)}, list[Op](), list[Op](), 0
    ways = [iter(_ways(ops, 0, begin, step))] if answered else []
    while ways:
        n, done, state = next((way for way in ways[-1] if way[1:] not in seen), (-1, 0, begin))
        if n < 0:
            ways.pop()
            order = order[:-1]
            continue
        seen.add((done, state))
        if len(seen) > MOST:
            break
        order.append(ops[n])
        if done & answered == answered:
            return order
        if len(order) > len(best):
            best, furthest = order[:], done
        ways.append(iter(_ways(ops, done, state, step)))
    if answered:
        raise AssertionError(_told(len(seen), best, [ops[n] for n in _may_come(ops, furthest)]))
    return []


def _ways(ops: Sequence[Op], done: int, state: S, step: Step[S]) -> list[tuple[int, int, S]]:
    """What can come next, and the state then.

    What changes nothing comes at once, for later it could only as well, unless one of the killed had to come before.
    Else those that were answered come first: of the killed, most did nothing.
    """
    found, here = list[tuple[int, int, S]](), [*_may_come(ops, done)]
    death = min((ops[n].back for n in here if ops[n].saw is None), default=None)
    for n in here:
        after = step(state, ops[n])
        if after == state and ops[n].saw is not None and (death is None or ops[n].call <= death):
            return [(n, done | 1 << n, after)]
        if after is not None and (after != state or ops[n].saw is not None):
            found.append((n, done | 1 << n, after))
    return sorted(found, key=lambda way: ops[way[0]].saw is None)


def _may_come(ops: Sequence[Op], done: int) -> Iterator[int]:
    """Those not done that were called before another of them came back, and had not died before one done was called."""
    first_back = None
    last_call = ops[done.bit_length() - 1].call if done else 0
    for n in range((~done & (done + 1)).bit_length() - 1, len(ops)):
        op = ops[n]
        if first_back is not None and op.call > first_back:
            return
        if not done >> n & 1 and (op.saw is not None or op.back >= last_call):
            yield n
            if op.saw is not None:
                first_back = min(op.back, first_back or op.back)


def _told(states: int, best: Sequence[Op], next_: Sequence[Op]) -> str:
    found = (
        "no order explains"
        if states <= MOST
        else f"in {MOST:,} states there was no order that explains"
    )
    before = [f"  {op}" for op in best[-10:]] or ["  nothing"]
    after = [f"  {op}" for op in next_]
    return "\n".join(
        [f"{found} what was answered: after {len(best)}", *before, "there can come none of", *after]
    )
