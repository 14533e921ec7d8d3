"""coord-patrol why: each thing that holds an item or a job, with evidence, and what ends that."""

from __future__ import annotations

import json

from support import Shell

BEGIN, LATER = "2026-06-01T09:00:00Z", "2026-06-01T09:20:00Z"


def why(shell: Shell, at: str, now: str = BEGIN) -> list[str]:
    """A line a reason, as a person reads it."""
    out = shell(f"coord-patrol why {at} -o brief", COORD_NOW=now).out
    return [line.partition(": ")[2] for line in out.splitlines()]


def new(shell: Shell, options: str = "") -> str:
    return str(shell(f"wk new x --as boss -o id {options}", COORD_NOW=BEGIN).out.strip())


def test_what_holds_an_item_is_named_with_its_evidence(shell: Shell) -> None:
    first = new(shell)
    blocked, held = new(shell, f"--blocked-by {first}"), new(shell, "--hold 'no key'")
    assert why(shell, first) == [f"it is ready: nobody has claimed it; `wk claim {short(first)}`"]
    shell(f"wk claim {first} --as ada", COORD_SESSION="s1", COORD_NOW=BEGIN)
    assert why(shell, first, LATER) == [
        "agent:ada holds it, and is stalled: last sign of life, 20 m ago"
    ]
    assert why(shell, blocked) == [
        f"it waits for {short(first)} (active of agent:ada): x; `coord-patrol why {short(first)}`"
    ]
    assert why(shell, held) == [
        f"it is on hold: no key; `wk update {short(held)} --no-hold` ends that"
    ]
    child = new(shell, f"--parent {held}")
    assert why(shell, child)[0].startswith(f"{short(held)}, above it, is on hold: no key")
    shell(f"wk close {first} --as ada")
    assert why(shell, first) == [f"it is closed: done; `wk reopen {short(first)}` opens it"]
    missing = shell("coord-patrol why wk-zzzzzzzz", expect=1)
    assert missing.err == "coord-patrol: wk-zzzzzzzz: no such work item or job\n"


def test_what_keeps_a_job_from_running_is_named(shell: Shell) -> None:
    (shell.cwd / "coord.toml").write_text('[budgets]\n"agent:ada" = "1 usd per 1h"\n')
    work = new(shell, "--label urgent")
    options = f"--env COORD_AGENT=ada --work {work} --needs gpu -o id"
    job = shell(f"run request {options} -- true", COORD_NOW=BEGIN).out.strip()
    for line, body in (
        ("ev emit usage.reported --as ada", {"micros": 2_000_000}),
        ("ev emit patrol.quarantined", {**QUARANTINE}),
        ("ev emit provider.limited", {"pool": "max", "kind": "quota", "until": UNTIL}),
    ):
        shell(f"{line} --body -", json.dumps(body), COORD_NOW=BEGIN)
    shell("coord-patrol stop --scope label:urgent --as human:eve", COORD_NOW=BEGIN)
    reasons = why(shell, job)
    assert reasons == [
        "no worker that offers gpu has a free slot for it; `run worker --cap gpu` runs it",
        "human:eve stopped label:urgent at 2026-06-01T09:00:00.000Z; "
        "`coord-patrol resume --scope label:urgent`",
        "agent:ada is quarantined: 4 died; `coord-patrol free agent:ada`",
        "agent:ada: spent 2 usd of 1 usd per 1h; the next start is at 2026-06-01T10:05:00.000Z; "
        "see [budgets] in coord.toml",
        f"pool max is limited by its provider until {UNTIL}; "
        "`coord-patrol resume --scope pool:max` ends that",
    ]
    (row, *_) = shell(f"coord-patrol why {work}", COORD_NOW=BEGIN).lines
    assert (row["status"], row["why"]) == ("ready", "it is ready: nobody has claimed it")


UNTIL = "2026-06-01T12:00:00.000Z"
QUARANTINE = {"kind": "agent", "name": "agent:ada", "why": "4 died", "causes": ["0" * 26]}


def short(full: str) -> str:
    return f"wk-{full[-8:].lower()}"
