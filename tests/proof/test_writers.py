"""Many writers at once: nothing torn, lost, twice or out of order; and one event for a key that many race for."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import pytest
from proof.witness import PATIENCE_S, Watched, bytes_of, replayed
from support import Json, Shell

WRITERS, RACERS = 8, 16


def lines(writer: int, count: int) -> bytes:
    made = (
        {"type": "proof.written", "body": {"by": writer, "n": n, "pad": "x" * 80}}
        for n in range(count)
    )
    return b"".join(json.dumps(one).encode() + b"\n" for one in made)


def write_at_once(shell: Shell, agents: Sequence[str], count: int) -> list[list[bytes]]:
    """What each of the writers acks. They begin together: each has had its first line acked before."""
    acks: list[list[bytes]] = [[] for _ in agents]
    together = threading.Barrier(len(agents), timeout=PATIENCE_S)

    def write(number: int) -> None:
        with Watched(shell, f"ev emit --as {agents[number]}", stdin=subprocess.PIPE) as writer:
            first, _, others = lines(number, count).partition(b"\n")
            writer.tell(first + b"\n")
            acks[number].append(writer.line())
            together.wait()
            out, _ = writer.child.communicate(
                others, timeout=600
            )  # 4 KiB at a time: many small batches
            acks[number] += out.split(b"\n")[:-1]
            assert writer.child.returncode == 0

    threads = [threading.Thread(target=write, args=(number,)) for number in range(len(agents))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return acks


def check_order(events: Sequence[Json]) -> int:
    """Ids ascend strictly, seq has no hole in any stream. The number of streams."""
    ids = [one["event_id"] for one in events]
    assert all(a < b for a, b in itertools.pairwise(ids)), (
        "the replay is not in strictly ascending order"
    )
    seqs: dict[str, list[int]] = {}
    for one in events:
        seqs.setdefault(one["writer"], []).append(one["seq"])
    for writer, numbers in seqs.items():
        assert numbers == list(range(1, len(numbers) + 1)), f"{writer} has a hole, or steps back"
    return len(seqs)


@pytest.mark.parametrize(
    "agents", [["one"] * WRITERS, [f"w{n}" for n in range(WRITERS)]], ids=["one agent", "eight"]
)
def test_writers_at_once_lose_and_tear_nothing(
    shell: Shell, agents: list[str], long: bool, say: Callable[..., None]
) -> None:
    count = 20_000 if long else 1_000
    stored = check_writers(shell, agents, count)
    say(
        f"writers: {len(agents)} processes, {len(set(agents))} agent(s), {count:,} events each: "
        f"{stored:,} stored as acked, in order, no hole, verify clean",
        acked=len(agents) * count,
        lost=len(agents) * count - stored,
    )


def check_writers(shell: Shell, agents: Sequence[str], count: int) -> int:
    """So many at once, of so many events each: all are stored as they were acked. How many there are."""
    acks = write_at_once(shell, agents, count)
    stored = replayed(shell)
    events = [json.loads(line) for line in stored]
    assert check_order(events) == len(set(agents))
    for number, acked in enumerate(acks):
        mine = [
            line for line, one in zip(stored, events, strict=True) if one["body"]["by"] == number
        ]
        assert acked == mine, "what was acked is not what is stored"
        assert [json.loads(ack)["body"]["n"] for ack in acked] == list(range(count))
    assert bytes_of(shell, "ev verify") == b""
    return len(stored)


def check_one_winner(acks: Sequence[bytes], key: str) -> bytes:
    """One ack is the event, all others are it with a note that it was there. The event."""
    first = [ack for ack in acks if not ack.endswith(b',"$dup":true}')]
    assert len(first) == 1, f"{key}: {len(first)} of {len(acks)} say they were the first"
    (won,) = first
    assert json.loads(won)["idempotency_key"] == key
    assert sorted(acks) == sorted([won, *[won[:-1] + b',"$dup":true}'] * (len(acks) - 1)])
    return won


def test_a_key_that_sixteen_race_for_has_one_event(
    shell: Shell, long: bool, say: Callable[..., None]
) -> None:
    rounds = 1_000 if long else 50
    won = []
    with ExitStack() as ends:
        command = "ev emit --as racer-{}"
        racers = [
            ends.enter_context(Watched(shell, command.format(n), stdin=subprocess.PIPE))
            for n in range(RACERS)
        ]
        for number in range(rounds):
            one = json.dumps(
                {"type": "proof.raced", "idempotency_key": f"round-{number}", "body": {}}
            )
            for racer in random.sample(racers, RACERS):  # the first told wins the most
                racer.tell(one.encode() + b"\n")
            won.append(check_one_winner([racer.line() for racer in racers], f"round-{number}"))
    assert replayed(shell) == won
    winners = {json.loads(line)["writer"] for line in won}
    say(
        f"one key: {RACERS} processes raced for {rounds:,} keys: one event each, {len(winners)} of them won some"
    )


def test_a_key_that_sixteen_start_up_for_has_one_event(
    shell: Shell, long: bool, say: Callable[..., None]
) -> None:
    won = []
    for number in range(25 if long else 1):
        with ExitStack() as ends:
            command = f"ev emit proof.raced --key cold-{number} --as racer-"
            racers = [ends.enter_context(Watched(shell, f"{command}{n}")) for n in range(RACERS)]
            acks = [ack for racer in racers for ack in racer.rest()]
        assert len(acks) == RACERS
        won.append(check_one_winner(acks, f"cold-{number}"))
    assert replayed(shell) == won
    say(
        f"one key, cold: {RACERS} processes started at once for each of {len(won)} keys: one event each"
    )
