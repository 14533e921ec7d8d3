"""coord-mcp between programs: each starts it or connects to it, many at once, and nothing is lost."""

from __future__ import annotations

import re
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support import Shell, check_invariants, open_store

pytest.importorskip("mcp", reason="the MCP SDK is not installed: pip install 'coord-kernel[mcp]'")

import anyio
import httpx2
from bridges.mcp_client import MODES, TOKEN, Caller, everything, served, started
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

each_mode = pytest.mark.parametrize("mode", MODES)


@each_mode
def test_a_program_that_starts_it_can_list_call_and_read_everything(
    shell: Shell, mode: str
) -> None:
    calls, uris = everything(shell)

    async def run() -> None:
        async with started(shell, "tester", mode) as call:
            client = call.client
            tools = (await client.list_tools()).tools
            assert [tool.name for tool in tools] == list(calls)
            for name, arguments in calls.items():
                assert await call(name, **arguments), name
            listed = [str(one.uri) for one in (await client.list_resources()).resources]
            templates = (await client.list_resource_templates()).resource_templates
            assert listed == uris[:3]
            assert [one.uri_template for one in templates] == [
                f"{uri.rpartition('/')[0]}/{{id}}" for uri in listed
            ]
            for uri in uris:
                assert await call.read(uri), uri
            (prompt,) = (await client.list_prompts()).prompts
            said = await client.get_prompt(
                prompt.name, {"id": calls["work_show"]["id"], "to": "qa"}
            )
            assert "mail_send to qa" in said.messages[0].content.text  # type: ignore[union-attr]
            assert "parser" in said.messages[0].content.text  # type: ignore[union-attr]
            assert "agent:tester" in (client.instructions or "")

    anyio.run(run)
    check_invariants(open_store(shell.cwd))


def test_two_agents_share_work_from_the_claim_to_the_hand_over(shell: Shell) -> None:
    """Two programs, two servers: a claim has one winner, mail arrives, a lease keeps out, a job runs, work goes on."""
    item = shell("wk new 'write the parser' -p 0 -o id").out.strip()

    async def run() -> None:
        async with started(shell, "ada", MODES[0]) as ada, started(shell, "bob", MODES[1]) as bob:
            await race(ada, bob)

    async def race(ada: Caller, bob: Caller) -> None:
        tried: dict[str, Any] = {}

        async def claim(name: str, call: Caller) -> None:
            tried[name] = await call.client.call_tool("work_claim", {"id": item})

        async with anyio.create_task_group() as group:
            group.start_soon(claim, "ada", ada)
            group.start_soon(claim, "bob", bob)
        (winner,) = (name for name, done in tried.items() if not done.is_error)
        (loser,) = tried.keys() - {winner}
        first, second = (ada, bob) if winner == "ada" else (bob, ada)
        assert f"is held by agent:{winner}" in tried[loser].content[0].text
        await work(first, second, winner, loser)

    async def work(first: Caller, second: Caller, winner: str, loser: str) -> None:
        held = await first("lease", acquire=["file:src/**"], ttl=60)
        assert f"is held by agent:{winner}" in await second.refused(
            "lease", acquire=["file:src/a.py"]
        )
        await second("mail_send", to=[winner], subject="may I have it?", work=item)
        (mail,) = (await first("mail_receive", wait=30))["rows"]
        assert (mail["from"], mail["trust"]) == (f"agent:{loser}", "store")
        job = await first("job", argv=["sh", "-c", "echo tested; exit 3"], work=item)
        await anyio.to_thread.run_sync(lambda: shell("run worker --once --as worker"))
        result = await second("job", id=job["id"])
        assert (result["status"], result["code"], result["stdout"]) == ("completed", 3, "tested\n")
        prompt = await first.client.get_prompt("handoff", {"id": item, "to": loser})
        assert "how=release" in prompt.messages[0].content.text  # type: ignore[union-attr]
        await first("work_write", id=item, comment="the lexer is done, on branch lexer")
        await first("work_close", id=item, how="release", note="over to you")
        await first("lease", release=held["id"])
        await first("mail_send", reply=mail["id"], body="it is yours")
        await first("mail_receive", ack=[mail["id"]])
        (answer,) = (await second("mail_receive", wait=30))["rows"]
        assert answer["text"] == "it is yours"
        assert (job["type"], held["type"]) == ("run.requested", "lease.acquired")
        taken = await second("work_claim")
        assert taken["work"]["comments"][-1]["text"] == "the lexer is done, on branch lexer"
        await second("lease", acquire=["file:src/a.py"], ttl=60)
        await second("work_close", id=item, note="done")
        assert (await first("work_show", id=item))["status"] == "done"

    anyio.run(run)
    check_invariants(open_store(shell.cwd))


def test_eight_clients_at_once_lose_nothing(shell: Shell) -> None:
    """Of both protocols, each with 4 pairs of calls under way: every call is answered, and is one event."""
    made: list[str] = []

    async def client(address: str, number: int) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=60) as http,
            Client(
                streamable_http_client(address, http_client=http), mode=MODES[number % 2]
            ) as found,
        ):
            call = Caller(found)

            async def write(which: int) -> None:
                made.append((await call("work_write", title=f"{number} {which}"))["id"])
                await call("mail_send", to=["hub"], subject=f"{number} {which}")

            async with anyio.create_task_group() as group:
                for which in range(4):
                    group.start_soon(write, which)

    async def run(address: str) -> None:
        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(client, address, number)

    with served(shell, "hub") as address:
        anyio.run(run, address)
    expected = {f"{number} {which}" for number in range(8) for which in range(4)}
    assert len(set(made)) == 32
    assert Counter(row["title"] for row in shell("wk ls").lines) == Counter(expected)
    assert Counter(one["body"]["subject"] for one in shell("msg recv --as hub").lines) == Counter(
        expected
    )
    check_invariants(open_store(shell.cwd))


def test_over_http_only_who_has_the_token_is_served(shell: Shell) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    accept = {"Accept": "application/json, text/event-stream"}
    mine = accept | {"Authorization": f"Bearer {TOKEN}"}
    sent: tuple[dict[str, str], ...] = ({}, {"Authorization": TOKEN}, {"Authorization": "Bearer x"})
    with served(shell, "hub") as address:
        for headers in sent:
            done = httpx2.post(address, json=call, headers=accept | headers)
            assert (done.status_code, done.text) == (
                401,
                "send the header Authorization: Bearer TOKEN\n",
            )
        assert httpx2.post(address, json=call, headers=mine).status_code == 200
        for name in ("Host", "Origin"):
            done = httpx2.post(address, json=call, headers=mine | {name: "http://evil.example"})
            assert done.status_code in (403, 421), name


@pytest.mark.parametrize("line", ["coord-mcp stdio", "coord-mcp http --port 0"])
def test_who_hangs_up_does_not_end_it(shell: Shell, line: str) -> None:
    """History: it died of SIGPIPE as the tools do, so a client that went away ended it for all."""
    process = shell.popen(line, stdin=-1, stdout=-1)
    assert process.stdin and process.stdout
    try:
        process.stdin.write(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
        process.stdin.flush()
        process.stdout.readline()  # it serves
        status = Path(f"/proc/{process.pid}/status")
        if not status.exists():
            pytest.skip("there is no /proc to see its signals in")
        ignored = re.search(r"^SigIgn:\s*(\w+)$", status.read_text(), re.MULTILINE)
        assert ignored and int(ignored[1], 16) >> (signal.SIGPIPE - 1) & 1
    finally:
        process.kill()
        process.communicate()


def test_what_keeps_it_from_starting_is_one_line(shell: Shell) -> None:
    starts: list[tuple[str, dict[str, str], str]] = [
        (
            "coord-mcp stdio",
            {"COORD_AGENT": ""},
            "no agent name; set COORD_AGENT or use --as NAME",
        ),
        ("coord-mcp stdio --as 'a b'", {}, "--as: not a valid address: 'a b'; use agent"),
        (
            "coord-mcp http",
            {"COORD_MCP_TOKEN": "short"},
            "COORD_MCP_TOKEN is shorter than 16 characters; unset it to use",
        ),
        ("coord-mcp http --port x", {}, "not a valid number: --port x"),
    ]
    for line, env, says in starts:
        done = shell(line, "", None, **env)
        assert done.status in (2, 65)
        assert done.err.startswith("coord-mcp: ") and says in done.err and done.err.count("\n") == 1
    (shell.cwd / "mcp.py").write_text("raise ModuleNotFoundError(name='mcp')\n")
    done = shell("coord-mcp stdio", PYTHONPATH=str(shell.cwd), expect=69)
    assert (
        done.err == "coord-mcp: the package mcp is not installed; pip install 'coord-kernel[mcp]'\n"
    )


def test_without_a_store_it_starts_all_the_same(shell: Shell) -> None:
    assert shell("rm -r .coord; coord-mcp stdio").err == ""
