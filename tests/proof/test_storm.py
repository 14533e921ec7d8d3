"""Processes of all five tools at once, killed and stopped at random, with anything half done.

Tried: every writing verb on the same few items, messages, jobs and leases, and the readers between them; SIGKILL and
SIGSTOP at anyone, half of the time at one who has the store's lock.

A failure would mean that one kill loses an event that was printed, tears more than the line it was in, leaves a lock
that nobody gives back, or leaves a state that a later command cannot read.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable

from proof.crowd import Crowd
from proof.scenes import events
from proof.witness import bad_lines
from support import Shell, check_invariants, open_store

FREE = (
    "wk new Storm", "msg send --to agent:a1 --subject storm --body storm", "msg send --to queue:q --body storm",
    "msg recv queue:q --max 1", "msg recv --max 2", "run request -- true", "run ls", "ev emit storm.passed",
    "ev tail -n 3", "wk ready", "wk ls --all", "ev agents", "msg ls -n 3", "lease ls", "ev stats", "run worker --once",
)  # fmt: skip
ITEM = (
    "wk update {} -p 1", "wk comment {} storm", "wk claim {}", "wk release {}", "wk close {}", "wk reopen {}", "wk show {}",
    "lease acquire env:{} --ttl 1h",
)  # fmt: skip
STATUSES = (0, 1, 75)


class Storm(Crowd):
    """A crowd that does whatever there is to do, and looks at no answer but the events it is shown."""

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        shell("msg join --as a1")
        shell("msg send --to queue:q --body first")

    def _live(self, number: int, commands: int) -> None:
        chance = random.Random(number)
        who = f"agent:a{number % 4}/s{number % 3}"
        for _ in range(commands):
            line = chance.choice((*FREE, *ITEM)).format(chance.choice(self.items))
            status, out, err = self._ran(who, line)
            assert status in (*STATUSES, -9, 137), f"{line}: exit {status}: {err}"
            assert "Traceback" not in err, err
            self.ends[-9 if status == 137 else status] += 1
            if line.split()[1] in (
                "new",
                "send",
                "request",
                "emit",
                "update",
                "comment",
                "claim",
                "close",
            ):
                lines = out.split("\n")[:-1]  # half a line is of one who was killed
                self.acked += [json.loads(one)["event_id"] for one in lines]


def test_what_is_printed_in_a_storm_stays(
    shell: Shell, long: bool, say: Callable[..., None]
) -> None:
    members, commands = (24, 80) if long else (6, 10)
    storm = Storm(shell)
    storm.run(members, commands, harms=0.25)
    stored = {one["event_id"] for one in events(shell)}
    torn = len(bad_lines(shell))
    lost = set(storm.acked) - stored
    say(
        f"storm: {members} at once, {storm.ends.total():,} commands, {storm.harms['stopped']} stopped, {storm.ends[-9]} "
        f"killed, {torn} lines torn, {len(storm.acked):,} events printed, {len(lost)} of them lost",
        acked=len(storm.acked),
        lost=len(lost),
    )
    assert not lost
    assert storm.harms["killed"] and storm.harms["stopped"], "they were not harmed"
    check_invariants(open_store(shell.cwd), bad_at_most=storm.harms["killed"])
    for line in FREE:
        assert shell(line, expect=None).status in (0, 1), f"{line} after the storm"
    left = [path.name for path in (shell.cwd / ".coord").rglob("*.tmp")]
    assert len(left) <= storm.harms["killed"]
