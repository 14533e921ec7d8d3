"""A fold that reads a long history by its needles misses no event that it would have folded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support import Json, Shell, open_journal, segment

from coord_envelope import codec, event
from coord_kernel.rules import claims, control, escalation, usage
from coord_kernel.views import database, fill
from coord_kernel.views.view import View
from coord_lease import confirmed
from coord_lease import fold as leases
from coord_msg import fold as mail
from coord_run import fold as run
from coord_wk import fold as work

SCHEMA = Path(__file__).parents[2] / "spec/schema"
FOLDS = {
    fold.name: fold
    for fold in (
        *(work, mail, run, claims, control, escalation, usage, confirmed),
        leases.Fold("boot"),
    )
}
TYPES = sorted(
    name
    for file in ("bodies", "userland")
    for name in json.loads((SCHEMA / f"{file}.schema.json").read_text())["$defs"]
    if "." in name
)
"""All types that the specification has."""
ANY = "01J0000000000000000000000A"
REFS = {"work_id": ANY, "msg_id": ANY, "run_id": ANY, "lease_id": ANY}
BODY: Json = {
    "boot": "boot", "boot_ns": 1, "n": 1, "until_ms": 1, "agent_id": "agent:a", "mode": "x", "resources": ["a"], "scope": confirmed.SCOPE, "key": "a", "token": 1, "ttl_ms": 60_000, "agent": "agent:a",
    "fingerprint": "f", "severity": "high", "kind": "done", "claim": ANY, "require": "confirmed",
    "paths": ["a"], "until": "2026-06-01T00:00:00.000Z",
}  # fmt: skip


def draft(kind: str, **fields: Any) -> Json:
    return {"type": kind, "refs": REFS, "body": BODY, **fields}


def all_types() -> list[Json]:
    addressed = [draft(kind, to=["agent:b"]) for kind in (*TYPES, "x.sent")]
    bare = [{"type": kind, "body": {}} for kind in (*TYPES, "work.new", "x.y")]
    return [*map(draft, TYPES), *addressed, *bare]


@pytest.fixture
def filled(shell: Shell) -> Shell:
    """Events of all types; lines that are none, are not plain, or have letters escaped."""
    journal = open_journal(shell.cwd)
    journal.append({"agent_id": "agent:tester"}, all_types())
    stored = segment(shell.cwd)
    last = codec.loads(stored.read_bytes().splitlines()[-1])
    with stored.open("ab") as file:
        for step, line in enumerate((b'"type" : "work.created"', b'"\\u0074o":["agent:c"]'), 1):
            fields = last | {"seq": last["seq"] + step, "event_id": f"7{'Z' * 24}{step}"}
            fields["type"] = "work.created" if step == 1 else "x.sent"
            raw = codec.dumps(fields)
            if step == 1:
                raw = raw.replace(b'"type":"work.created"', line)
            else:
                raw = raw[:-1] + b"," + line + b"}"
            assert isinstance(event.parse_or_reason(raw), event.Event)
            file.write(raw + b"\nno event\n")
    return shell


@pytest.mark.parametrize("name", FOLDS)
def test_the_line_of_an_event_that_concerns_it_has_a_needle(filled: Shell, name: str) -> None:
    fold, found = FOLDS[name], 0
    for item in open_journal(filled.cwd).replay():
        if tuple(fold.entities(item)):
            plain = item.raw.startswith(b'{"event_id":"%b","type":"' % item.id.encode())
            assert not plain or any(needle in item.raw for needle in fold.needles), item.raw
            found += 1
    assert found


@pytest.mark.parametrize("known", [False, True], ids=["unknown segments", "known segments"])
@pytest.mark.parametrize("name", FOLDS)
def test_by_needles_or_not_it_says_the_same(
    filled: Shell, monkeypatch: pytest.MonkeyPatch, name: str, known: bool
) -> None:
    store = open_journal(filled.cwd).store
    if known:
        filled("ev replay")  # reads all of it, so that its segments are known

    def view(lines: int, batch: int) -> tuple[list[Any], list[Any]]:
        monkeypatch.setattr(database, "LINES", lines)
        monkeypatch.setattr(codec, "MANY", lines)
        monkeypatch.setattr(fill, "BATCH", batch)
        database.discard(store, f"{name}.sqlite")
        made = View(store, FOLDS[name]).refresh()
        return states(made), made.query("SELECT * FROM position")

    assert view(lines=0, batch=2) == view(lines=1 << 40, batch=10_000)


def states(view: View) -> list[Any]:
    return [
        view.query(f"SELECT * FROM {table} ORDER BY 1, 2, 3")
        for table in ("state", "secondary", "ever")
    ]
