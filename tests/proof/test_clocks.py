"""Clocks that libfaketime bends: a year ahead, a year behind, faster, set back in between.

A failure would mean that an event is lost, that a stream has an id twice, that a lease has two holders or that a command waits
for a clock that is never there.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
from support import Shell, check_invariants, open_store

CLOCKS = (
    "+1y",
    "-1y",
    "-0",
    "+0 x50",
    "@2026-02-29 12:00:00",
    "@1970-01-02 00:00:00",
    "@2037-12-31 23:59:58",
)


@pytest.mark.skipif(not shutil.which("faketime"), reason="faketime (libfaketime) is not installed")
def test_no_clock_loses_an_event_or_a_holder(
    shell: Shell, long: bool, say: Callable[..., None]
) -> None:
    ids = list[str]()
    for _ in range(5 if long else 1):
        for clock in CLOCKS:
            ids += shell(f"faketime -f '{clock}' ev emit a.b -o id").out.split()
            shell(f"faketime -f '{clock}' lease acquire env:x --ttl 1h", expect=None)
            shell(f"faketime -f '{clock}' wk ready", expect=None)
            assert len(shell("lease ls").lines) <= 1
    assert sorted(ids) == shell("ev replay --type a.b -o id").out.split()
    assert len({*ids}) == len(ids), "an id came twice"
    check_invariants(open_store(shell.cwd))
    say(f"clocks: {len(ids)} events under {len(CLOCKS)} bent clocks, none lost")
