"""coord-acp with the client of the Python package for the protocol: an editor as others write one."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from bridges.stubs import install, seen
from bridges.test_driven import SCRIPT, preset
from proof.witness import Watched
from support import Shell

acp = pytest.importorskip("acp", reason="agent-client-protocol is not installed")
PATIENCE_S = 60


@pytest.fixture
def town(shell: Shell, tmp_path: Path) -> Shell:
    text = f'#!/bin/sh\nexec {sys.executable} {SCRIPT} "$@"\n'
    install(shell, tmp_path, preset("acp", "refuses") + preset("rpc"), {"driven": text})
    shell.env["COORD_AGENT"] = "human:eve"
    (shell.cwd / "coord.toml").write_text('[escalation]\nperson = "human:eve"\n')
    return shell


class Editor:
    """What the package calls; each update is noted in a line, and each permission is allowed."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.asked: list[str] = []
        self.hello: Any = None
        self.news = asyncio.Condition()

    async def session_update(self, session_id: str, update: Any, **_: Any) -> None:
        async with self.news:
            self.shown.append(f"{update.session_update}: {update.content.text}")
            self.news.notify_all()

    async def request_permission(
        self, session_id: str, tool_call: Any, options: Any, **_: Any
    ) -> Any:
        self.asked.append(tool_call.title)
        outcome = acp.schema.AllowedOutcome(option_id=options[0].option_id, outcome="selected")
        return acp.RequestPermissionResponse(outcome=outcome)

    def on_connect(self, _: Any) -> None:
        """Nothing to do."""

    async def until(self, text: str) -> None:
        """Wait until that was shown."""
        async with asyncio.timeout(PATIENCE_S), self.news:
            await self.news.wait_for(lambda: any(text in line for line in self.shown))


async def connected(town: Shell, words: tuple[str, ...], use: Any) -> Editor:
    """An editor that has started coord-acp; it ends when `use` does."""
    made = Editor()
    async with acp.spawn_agent_process(made, "coord-acp", *words, cwd=town.cwd, env=town.env) as (
        connection,
        process,
    ):
        made.hello = await connection.initialize(protocol_version=1)
        await use(connection, made)
        process.stdin.close()
        async with asyncio.timeout(PATIENCE_S):
            assert await process.wait() == 0
    return made


def test_an_editor_starts_an_agent_talks_to_it_and_finds_it_again(town: Shell) -> None:
    async def first(connection: Any, made: Editor) -> None:
        new = await connection.new_session(cwd=str(town.cwd), mcp_servers=[])
        assert new.session_id == "its-own"
        block = [acp.text_block("ask me")]
        done = await connection.prompt(session_id="its-own", prompt=block)
        assert done.stop_reason == "end_turn"
        # Mail is a turn that the editor did not ask for; it sees it.
        outcome = await asyncio.to_thread(town, "coord-agent say fixer 'the tests are red'")
        assert outcome.lines[-1]["body"]["result"] == "delivered"
        await made.until("did coord: 1 message waits")

    with Watched(town, "ev tail -f -n 0 --type work.closed") as closed:
        made = asyncio.run(connected(town, ("fixer", "--preset", "acp-refuses"), first))
        assert b'"answer":"Allow"' in closed.line()
    assert made.hello.agent_capabilities.prompt_capabilities.image, "what the program said"
    assert made.asked == ["Run `rm x`"]
    assert made.shown[0] == "agent_message_chunk: did ask me"
    assert made.shown[1].startswith("user_message_chunk: coord: 1 message waits")
    assert "answered y\n" in seen(town)
    (asked,) = town("wk ls --all --kind question").lines
    assert (asked["status"], asked["answer"], asked["answered_by"]) == (
        "done",
        "Allow",
        "human:eve",
    )

    async def again(connection: Any, made: Editor) -> None:
        await connection.load_session(cwd="/", session_id="its-own", mcp_servers=[])
        await made.until("did coord: 1 message waits")

    late = asyncio.run(connected(town, ("fixer",), again))
    assert late.shown[0] == "user_message_chunk: ask me"
    assert town("coord-agent ls").one["status"] == "idle", "it runs on without an editor"
    town("coord-agent stop fixer")


def test_what_cannot_be_connected_is_one_line(town: Shell) -> None:
    done = town("coord-acp fixer", expect=2)
    assert done.err == "coord-acp: agent:fixer does not run; --preset P starts it\n"
    town("coord-agent start fixer --preset rpc-steers")
    done = town("coord-acp fixer", expect=2)
    assert (
        done.err == "coord-acp: agent:fixer runs via rpc; `coord-agent restart fixer --via acp`\n"
    )
    town("coord-agent stop fixer")


def test_an_editor_is_told_when_the_session_ends(town: Shell) -> None:
    town("coord-agent start fixer --preset acp-refuses")
    with town.popen("coord-acp fixer", stdin=-1, stdout=-1, stderr=-1) as editor:
        assert editor.stdin and editor.stdout and editor.stderr
        editor.stdin.write(b'{"id":0,"method":"initialize","params":{}}\n')
        editor.stdin.flush()
        assert b'"protocolVersion":1' in editor.stdout.readline()
        town("coord-agent stop fixer")
        assert editor.stderr.read() == b"coord-acp: agent:fixer: its session is over\n"
        assert editor.wait(PATIENCE_S) == 69
