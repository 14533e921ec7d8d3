"""Many who follow one store: each sees each event once and in order, and ends when nobody reads it any more.

A failure would mean that a wake-up is missed or given twice when many watch, or that followers stay behind.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from proof.witness import PATIENCE_S, Watched
from support import Shell


def test_every_follower_sees_every_event_once_and_ends_with_its_reader(
    shell: Shell, long: bool, say: Callable[..., None]
) -> None:
    count, batches = (64, 20) if long else (12, 4)
    watched = [Watched(shell, "ev tail -f -n 1 --type many.passed -o id") for _ in range(count)]
    try:
        first = shell("ev emit many.passed -o id").out.split()
        assert [one.line() for one in watched] == [first[0].encode()] * count
        ids = list[str]()
        for number in range(batches):
            who = f"--as w{number % 3}"
            drafts = "".join(
                json.dumps({"type": "many.passed", "body": {"n": n}}) + "\n" for n in range(25)
            )
            ids += shell(f"ev emit {who} -o id", drafts).out.split()
            ids += shell(f"ev emit many.passed {who} -o id").out.split()
        for one in watched:
            seen = [one.line().decode() for _ in ids]
            assert sorted(seen) == sorted(ids), "it saw one twice, or not at all"
        for one in watched:
            assert one.child.stdout and not one.held, "it printed more than there is"
            one.child.stdout.close()
        shell("ev emit many.passed")  # who had not noticed yet does by its write
        assert {one.child.wait(PATIENCE_S) for one in watched} == {0}
    finally:
        for one in watched:
            one.child.kill()
            one.child.wait()
            if one.child.stdout:
                one.child.stdout.close()
    say(
        f"followers: {count} at once saw each of {len(ids):,} events once, and ended with their reader"
    )
