"""Ending sessions whose work is done: what cannot be known, and what happens meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from coord_agents import finishing, starting
from coord_agents.drive.acp import Acp
from coord_agents.drive.driver import Driver
from coord_envelope import codec
from coord_envelope.errors import TryAgain

STATE: Any = {
    "replica": "r",
    "agent": "agent:ada",
    "session": "s1",
    "starts": {"1": ["", "agent:boss", {"run": "RUN", "via": "tmux", "work": "W"}]},
    "ends": {},
    "nudges": {},
    "reports": {},
}


@pytest.mark.parametrize(
    ("does", "why"),
    [
        ("exit 0", None),
        ("echo /dev/pts/1: job", "is attached"),
        ("echo no server >&2; exit 1", "its terminal cannot be looked at (another TMUX_TMPDIR?)"),
        (None, "tmux does not answer"),
    ],
)
def test_a_terminal_that_cannot_be_looked_at_counts_as_attached(
    does: str | None, why: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if does is not None:
        (tmp_path / "tmux").write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / "tmux").chmod(0o755)
    assert finishing._looked_at("RUN") == why


@pytest.mark.parametrize("meanwhile", [None, "is busy", "holds wk-1"])
def test_a_terminal_is_ended_only_if_nothing_began_while_it_was_looked_at(
    meanwhile: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, ...]] = []
    ending = finishing.Finisher.__new__(finishing.Finisher)
    tools = SimpleNamespace(run=lambda *argv: ran.append(argv), wait=lambda _: None)
    monkeypatch.setattr(ending, "_tools", tools, raising=False)
    monkeypatch.setattr(finishing, "_looked_at", lambda _: None)
    monkeypatch.setattr(ending, "kept", lambda _: meanwhile)
    assert ending._end(STATE) == meanwhile
    assert [argv[:3] for argv in ran] == ([] if meanwhile else [("run", "cancel", "RUN")])


def test_one_that_is_not_over_yet_does_not_keep_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def finish(session: str) -> str | None:
        if session == "slow":
            raise TryAgain("is not over yet", where="RUN")
        return None

    states = [{**STATE, "session": name} for name in ("slow", "other")]
    found = SimpleNamespace(opened=lambda: states, kept=lambda _: None, finish=finish)
    rows = SimpleNamespace(evidence=None, named=lambda name: {"session": name}, row=lambda row: row)
    monkeypatch.setattr(finishing, "Finisher", lambda *_: found)
    monkeypatch.setattr(starting, "rows_of", lambda _: rows)
    monkeypatch.setattr(starting, "tools_of", lambda _: None)
    monkeypatch.setattr(starting, "report", lambda *_: [])
    call: Any = SimpleNamespace(journal=None, actor=lambda: {"agent_id": "agent:boss"})
    ended = starting.finished(call, None)
    assert next(ended) == {"session": "other"}
    with pytest.raises(TryAgain):
        next(ended)


@pytest.mark.parametrize(("ending", "result"), [(False, "attached"), (True, "refused")])
def test_an_editor_is_not_taken_by_a_program_that_ends(ending: bool, result: str) -> None:
    driver = Driver.__new__(Driver)
    driver._protocol, driver._ending = Acp.__new__(Acp), ending
    said: list[bytes] = []

    async def attached(*_: Any) -> None: ...

    async def connect() -> None:
        reader: Any = asyncio.StreamReader()
        reader.feed_data(b'{"op":"attach","as":"human:eve"}\n')
        writer: Any = SimpleNamespace(write=said.append, close=lambda: None)
        driver._attached = attached  # type: ignore[method-assign, assignment]
        await driver._connected(reader, writer)

    asyncio.run(connect())
    assert [codec.loads(line) for line in said] == [{"result": result}]
