"""The MCP Inspector's command line, as another implementation of the protocol, lists, calls and reads everything."""

from __future__ import annotations

import json
import shlex
import shutil
from typing import Any

import pytest
from support import Shell

pytest.importorskip("mcp", reason="the MCP SDK is not installed: pip install 'coord-kernel[mcp]'")

from bridges.mcp_client import TOKEN, everything, served

VERSION = "2.12.0"
TOOL_ERROR = 5
"""The Inspector's exit status for a tool that says it failed."""
pytestmark = pytest.mark.skipif(
    not shutil.which("mcp-inspector"),
    reason=f"no mcp-inspector on PATH: npm install --prefix DIR @modelcontextprotocol/inspector@{VERSION}",
)


def inspect(shell: Shell, server: str, era: str, method: str, *more: str, expect: int = 0) -> Any:
    words = shlex.join(("--protocol-era", era, "--method", method, *more))
    return json.loads(shell(f"mcp-inspector --cli {server} {words}", expect=expect).out)


def over_http(address: str) -> str:
    return f"{address} --transport http --header 'Authorization: Bearer {TOKEN}'"


def argument(name: str, value: Any) -> str:
    return f"{name}={value if isinstance(value, str) else json.dumps(value)}"


def answered(done: Any) -> Any:
    """What a tool answers: one text of JSON, and no copy of it as structured content."""
    (text,) = done["content"]
    assert "structuredContent" not in done
    return json.loads(text["text"])


def test_it_is_the_pinned_version(shell: Shell) -> None:
    assert shell("mcp-inspector --cli --version").out.strip() == VERSION


def test_it_calls_every_tool_and_reads_every_resource(shell: Shell) -> None:
    calls, uris = everything(shell)
    with served(shell, "tester") as address:
        server = over_http(address)
        assert list(calls) == tools(shell, server, "modern")
        for name, arguments in calls.items():
            given = [f"--tool-arg={argument(*one)}" for one in arguments.items()]
            done = inspect(shell, server, "modern", "tools/call", "--tool-name", name, *given)
            assert not done.get("isError") and answered(done), done
        listed = [
            one["uri"] for one in inspect(shell, server, "modern", "resources/list")["resources"]
        ]
        assert listed == uris[:3]
        for uri in uris:
            (found,) = inspect(shell, server, "modern", "resources/read", "--uri", uri)["contents"]
            assert json.loads(found["text"]), uri
        item = f"--prompt-args=id={calls['work_show']['id']}"
        handed = inspect(shell, server, "modern", "prompts/get", "--prompt-name", "handoff", item)
        assert "parser" in handed["messages"][0]["content"]["text"]


def test_it_speaks_the_older_protocol_too(shell: Shell) -> None:
    calls, uris = everything(shell)
    with served(shell, "tester") as address:
        server = over_http(address)
        assert list(calls) == tools(shell, server, "legacy")
        taken = inspect(shell, server, "legacy", "tools/call", "--tool-name", "work_claim")
        assert answered(taken)["work"]["title"] == "parser"
        (found,) = inspect(shell, server, "legacy", "resources/read", "--uri", uris[-1])["contents"]
        assert json.loads(found["text"])["type"] == "work.created"


def tools(shell: Shell, server: str, era: str) -> list[str]:
    """Their names; the Inspector finds nothing in their schemas that other programs may not understand."""
    found: list[Any] = inspect(shell, server, era, "tools/list", "--strict")["tools"]
    return [one["name"] for one in found]


def test_it_starts_the_server_itself_and_is_told_what_was_wrong(shell: Shell) -> None:
    wrong = ("--tool-name", "work_list", "--tool-arg=n=0")
    bad = inspect(
        shell, "coord-mcp -e COORD_AGENT=tester", "auto", "tools/call", *wrong, expect=TOOL_ERROR
    )
    assert bad["isError"]
    assert (bad["_meta"]["status"], bad["_meta"]["code"]) == (2, "usage")
    assert "n: input should be greater than or equal to 1, not 0" in bad["content"][0]["text"]
