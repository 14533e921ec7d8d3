"""Many processes claim at once: one wins and the others learn who; and of many items each is taken once."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import Json, Shell, check_invariants, hear, open_store

Ended = tuple[int, str, str]
"""A process's exit status, and what it printed and said."""
PATIENCE_S = 300.0


def racers(long: bool) -> int:
    """How many at once: to start one costs a tenth of a second of a processor."""
    return 64 if long else 16


def at_once(
    shell: Shell, argv: Sequence[str], environments: Sequence[Mapping[str, str]]
) -> list[Ended]:
    """Run this once in each environment. All wait behind a gate until the last one is there."""
    gate, opener = os.pipe()
    command = ["bash", "-c", 'read -r _; exec "$@" </dev/null', "gate", *argv]
    with os.fdopen(opener, "wb") as out:
        children = [
            subprocess.Popen(
                command,
                cwd=shell.cwd,
                env=shell.env | dict(env),
                stdin=gate,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for env in environments
        ]
        os.close(gate)
        out.write(b"\n" * len(children))
    with ThreadPoolExecutor(len(children)) as readers:
        said = list(readers.map(lambda child: child.communicate(timeout=PATIENCE_S), children))
    for _, err in said:
        hear(err)
    return [(child.returncode, out, err) for child, (out, err) in zip(children, said, strict=True)]


def agents(count: int) -> list[dict[str, str]]:
    return [{"COORD_AGENT": f"racer-{number}"} for number in range(count)]


def sessions(count: int) -> list[dict[str, str]]:
    return [{"COORD_AGENT": "racer", "COORD_SESSION": f"s-{number}"} for number in range(count)]


def check_one_winner(shell: Shell, item: str, ended: Sequence[Ended]) -> Json:
    """One has the claim, all others end with 1 and one line that names its owner. The claim."""
    assert Counter(status for status, _, _ in ended) == {0: 1, 1: len(ended) - 1}, [
        err for _, _, err in ended if err
    ]
    ((won, said),) = [(out, err) for status, out, err in ended if status == 0]
    claim: Json = json.loads(won)
    owner = claim["actor"]["agent_id"]
    assert (claim["type"], claim["refs"], said) == ("work.claimed", {"work_id": item}, "")
    for _, out, err in (one for one in ended if one[0]):
        assert out == ""
        session = claim["actor"].get("session_id")
        holder = f"your session {session}" if session else owner
        how = "; --resume takes it over" if session else ""
        assert re.fullmatch(rf"wk: {item}: is held by {holder} since [^\n]+{how}\n", err), err
    shown = shell(f"wk show {item}").one
    assert (shown["status"], shown["owner"], shown["claim"]["id"]) == (
        "active",
        owner,
        claim["event_id"],
    )
    return claim


@pytest.mark.parametrize("who", [agents, sessions], ids=["agents", "sessions of one agent"])
def test_of_those_who_claim_one_item_one_wins_and_the_others_learn_who(
    shell: Shell, who: Callable[[int], list[dict[str, str]]], long: bool, say: Callable[..., None]
) -> None:
    count, rounds, winners, double = racers(long), 50 if long else 3, set[str](), 0
    for number in range(rounds):
        item = shell(f"wk new 'round {number}' -o id").out.strip()
        ended = at_once(shell, ["wk", "claim", item], who(count))
        double += sum(not status for status, _, _ in ended) - 1
        claim = check_one_winner(shell, item, ended)
        winners.add(str(claim["actor"]))
        assert len(shell(f"ev replay --work {item} --type work.claimed").lines) == 1
    check_invariants(open_store(shell.cwd))
    say(
        f"claim: {count} {who.__name__} raced for one item, {rounds} rounds: each time one exit 0 "
        f"and {count - 1} exit 1 that name the owner; {len(winners)} of them won some",
        claims=count * rounds,
        double_claims=double,
    )


def test_of_those_who_claim_what_is_ready_each_has_an_item_of_its_own(
    shell: Shell, long: bool, say: Callable[..., None]
) -> None:
    count = racers(long)
    made = shell(
        "wk new -o id", "".join(f'{{"title":"item {number}"}}\n' for number in range(count))
    ).out.split()
    ended = at_once(shell, ["wk", "ready", "--claim"], agents(count))
    assert {(status, err) for status, _, err in ended} == {(0, "")}
    claims = [json.loads(out) for _, out, _ in ended]
    assert sorted(claim["refs"]["work_id"] for claim in claims) == sorted(made)
    assert len({claim["actor"]["agent_id"] for claim in claims}) == count
    late = at_once(shell, ["wk", "ready", "--claim"], agents(count))
    assert {(status, out, err) for status, out, err in late} == {(1, "", "wk: nothing is ready\n")}
    rows = shell("wk ls").lines
    assert {(row["work_id"], row["owner"]) for row in rows} == {
        (claim["refs"]["work_id"], claim["actor"]["agent_id"]) for claim in claims
    }
    check_invariants(open_store(shell.cwd))
    say(
        f"ready --claim: {count} processes over {count} items: each item once; as many more: exit 1, nothing is ready",
        claims=2 * count,
        double_claims=count - len({claim["refs"]["work_id"] for claim in claims}),
    )
