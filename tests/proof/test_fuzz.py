"""Bodies that mean nothing: events of every kernel type with anything in them, pushed by a stranger to a git remote,
are read by every reading command of the five tools.

Tried: each type of spec/schema in turn, its good bodies spoiled in up to four places by wrong types, huge numbers,
deep nests, NULs, halves of surrogates, bidirectional controls, 60 kB texts, ids of other entities, the good ones
among them, and names that readers add themselves.

A failure would mean that whoever can push can stop a reader: by an exception, or by never coming to an end.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from proof.hub import Hub
from proof.stranger import TYPES, Stranger, push, stream
from support import Shell

ANSWERS = (0, 1, 2, 65, 75)
"""Of a reader: yes, no, which one?, bad data, later. Never 70."""
READERS = (
    "wk ls --all", "wk ls --all -o table", "wk ls --conflicts", "wk ready", "wk ready -o table", "wk tree", "wk tree -o table",
    "wk mine", "wk status", "wk export", "wk export --to md", "wk export --to tbd", "msg recv", "msg recv --text",
    "msg recv -o table", "msg recv queue:q --max 1", "msg recv chan:c", "msg recv all", "msg ls --all", "msg ls --all -o table", "msg dead", "msg dead -o table",
    "msg hook claude --event UserPromptSubmit", "msg hook codex --event UserPromptSubmit", "run ls --all", "run ls --all -o table", "run worker --once --only --cap none",
    "run poll", "lease ls", "lease ls -o table", "lease ls --mine", "lease guard", "ev replay", "ev replay -o table",
    "ev replay --type 'work.*' --since 2025-01-01", "ev tail -n 50", "ev tail -o table", "ev agents", "ev agents --active",
    "ev agents -o table", "ev stats", "ev stats -o table", "ev verify", "ev sync --status", "wk ls --all --at 2026-01-01",
)  # fmt: skip
ABOUT = (
    ("wk ls --all -o id", ("wk show", "wk show -o table")),
    ("msg ls --all -o id", ("msg show", "msg show -o table")),
    ("msg ls --all -o id | head -n 1", ("msg thread", "msg thread -o table")),
    ("run ls --all -o id", ("run show", "run show -o table")),
    ("run ls --all -o id | head -n 1", ("run poll", "run logs", "run logs --stderr")),
    ("lease ls -o id", ("lease show",)),
    ("ev replay -o id", ("ev show", "ev show -o table")),
)
"""Commands that take ids, and the command that lists them."""


def good(shell: Shell) -> list[str]:
    """One of each entity, well made."""
    lines = (
        "wk new Good -o id", "msg send --to tester --subject good --body good --as other -o id", "run request -o id -- true",
        "ev emit test.good -o id", "msg send --to queue:q --body good -o id",
    )  # fmt: skip
    shell("msg join --as other")
    shell("msg join")
    return [shell(line).out.split()[0] for line in lines]


def read(shell: Shell, line: str) -> int:
    """Its status. It says no traceback, and comes to an end: `Shell` sees to both."""
    done = shell(line, expect=None)
    # `run poll` has the status that the job's events say
    assert done.status in ANSWERS or line.startswith("run poll"), (
        f"{line}: exit {done.status}: {done.err[-2000:]}"
    )
    return done.status


def test_whatever_a_body_says_every_reader_ends_and_says_no_traceback(
    tmp_path: Path, long: bool, say: Callable[..., None]
) -> None:
    count = 10_000 if long else 4 * len(TYPES)
    hub = Hub(tmp_path, 2)
    shell, other = hub.clones
    shell.env["COORD_AGENT"] = "tester"
    spoiled, mine = good(shell), good(shell)
    shell("lease acquire env:good --ttl 1h && ev sync")
    push(hub.path, stream(Stranger(1, spoiled).lines(count)))
    shell("ev sync", expect=None)
    received = sum(
        b"agent.stranger" in line for line in shell("ev replay").out.encode().split(b"\n")
    )
    assert received > count / 2, "hardly any of it was taken"
    ends = Counter[int]()
    for reader in READERS:
        ends[read(shell, reader)] += 1
    for lister, readers in ABOUT:
        some = shell(lister, expect=None).out.split()
        chosen = [*dict.fromkeys([*some[:20], *some[-20:]])]
        for reader in readers if chosen else ():
            ends[read(shell, f"{reader} {' '.join(chosen)}")] += 1
    assert [
        json.loads(line)["event_id"] for line in shell(f"ev show {' '.join(mine)}").out.splitlines()
    ] == mine
    assert shell(f"wk show {mine[0]}").one["title"]
    assert shell(f"run show {mine[2]}").one["run_id"] == mine[2]
    assert len(shell("lease ls env:good").lines) == 1
    shell("ev sync", expect=None)
    other("ev sync", expect=None)
    assert other("ev replay").out == shell("ev replay").out
    say(
        f"fuzz: {count:,} pushed bodies of {len(TYPES)} types, {received:,} read as events; {ends.total()} readers: "
        f"{ends[0]} with 0, {ends.total() - ends[0]} said why not; none raised, none hung"
    )
