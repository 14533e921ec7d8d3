"""Agents contend for a few items and resources while they are killed and stopped: what they were told is linearizable.

Tried: `wk claim release close reopen show` and `lease acquire renew release ls`, a process each, at most so many at
once, of four agents with up to four sessions each, two processes of one session too; SIGKILL and SIGSTOP at anyone,
half of the time at one who has the store's lock or waits for it. Each invocation and return is recorded, and an order
is looked for in which what wk(1) and lease(1) say explains every answer (`linear`, `registers`).

A failure would mean that two had the same at a time, that a token was given twice, that one was refused for the sake
of an owner who was none, that an acked change was lost, or that one who was killed had done half of something.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

from proof.crowd import Crowd
from proof.linear import linearized
from proof.registers import Item, Lease, item, lease
from proof.scenes import events
from proof.test_leases import lease_events, windows
from support import Json, Shell, check_invariants, open_store


def contend(shell: Shell, members: int, commands: int, harms: float = 0) -> tuple[Crowd, int]:
    """Let them contend, and look for the order; the crowd, and how many of the killed commands took effect."""
    crowd = Crowd(shell)
    crowd.run(members, commands, harms)
    orders = [linearized(crowd.ops[one], Item(), item) for one in crowd.items]
    orders += [linearized(crowd.ops[one], Lease(), lease) for one in crowd.resources]
    return crowd, sum(op.saw is None for order in orders for op in order)


def twice(crowd: Crowd) -> int:
    """How many claims were given a token of their item that another has, too."""
    given = Counter(
        (one, op.saw) for one in crowd.items for op in crowd.ops[one] if op.verb == "claim"
    )
    return sum(
        count - 1
        for (_, saw), count in given.items()
        if saw and saw[0] == "0" and "again" not in saw
    )


def overlapping(leases: list[Json], resource: str) -> int:
    """How many leases of a resource begin before the one before has ended, as the events say it."""
    mine = {
        one["event_id"]
        for one in leases
        if f":{resource}/" in "".join(one["body"].get("resources", ()))
    }
    held = windows([one for one in leases if one["refs"]["lease_id"] in mine])
    return sum(before[1] > after[0] or before[2] >= after[2] for before, after in pairwise(held))


def test_what_all_were_told_can_have_happened_one_after_the_other(
    shell: Shell, long: bool, say: Callable[..., None]
) -> None:
    members, commands = (32, 100) if long else (8, 12)
    crowd, recovered = contend(shell, members, commands, harms=0.2)
    leases = lease_events(shell)
    stored = {one["event_id"] for one in events(shell)}
    counted = {
        "claims": sum(op.verb == "claim" for one in crowd.items for op in crowd.ops[one]),
        "double_claims": twice(crowd),
        "leases": sum(one["type"] == "lease.acquired" for one in leases),
        "overlapping_leases": sum(overlapping(leases, one) for one in crowd.resources),
        "acked": len(crowd.acked),
        "lost": len(set(crowd.acked) - stored),
    }
    ends = crowd.ends
    say(
        f"contention: {members} at once, {ends.total():,} commands on {len(crowd.ops)} things, {ends[1]:,} refused, "
        f"{crowd.harms['stopped']} stopped, {ends[-9]} killed of which {recovered} took effect: linearizable",
        **counted,
    )
    assert counted["double_claims"] == counted["overlapping_leases"] == counted["lost"] == 0
    check_invariants(open_store(shell.cwd), bad_at_most=ends[-9])
    assert ends[-9] > ends.total() / 50 and crowd.harms["stopped"], "they were not harmed"
