"""What the tests of coord-mcp share: clients of it, and a call of everything it offers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from support import BIN, Shell

Json = dict[str, Any]
TOKEN = "a-token-of-the-tests"
MODES = ("auto", "legacy")
"""The protocol of today, without a handshake, and the one before."""


class Caller:
    """Calls tools, and looks at the form of what they answer."""

    def __init__(self, client: Client) -> None:
        self.client, self.code = client, ""

    async def __call__(self, tool: str, **arguments: Any) -> Json:
        done = await self.client.call_tool(tool, arguments)
        text = done.content[0].text  # type: ignore[union-attr]
        assert not done.is_error, text
        assert len(done.content) == 1 and done.structured_content is None, "each fact once"
        found: Json = json.loads(text)
        return found

    async def refused(self, tool: str, **arguments: Any) -> str:
        """What it says is wrong; `code` is the code of it."""
        done = await self.client.call_tool(tool, arguments)
        assert done.is_error, done
        assert done.structured_content is None, "clients would show a model only that"
        assert done.meta
        self.code = done.meta["code"]
        return str(done.content[0].text)  # type: ignore[union-attr]

    async def read(self, uri: str) -> Json:
        (found,) = (await self.client.read_resource(uri)).contents
        assert found.mime_type == "application/json"
        whole: Json = json.loads(found.text)  # type: ignore[union-attr]
        return whole


@asynccontextmanager
async def started(
    shell: Shell, agent: str, mode: str = "auto", env: dict[str, str] | None = None
) -> AsyncIterator[Caller]:
    """A client that starts `coord-mcp`, as programs do."""
    server = StdioServerParameters(
        command=f"{BIN}/coord-mcp", env={"COORD_AGENT": agent, **(env or {})}, cwd=str(shell.cwd)
    )
    async with Client(server, mode=mode) as client:
        yield Caller(client)


@contextmanager
def served(shell: Shell, agent: str) -> Iterator[str]:
    """The address of a server over HTTP, for who has TOKEN."""
    shell.env |= {"COORD_MCP_TOKEN": TOKEN}
    process = shell.popen(f"coord-mcp http --port 0 --as {agent}", stdout=-1)
    assert process.stdout
    told = json.loads(process.stdout.readline())
    assert told == {"url": told["url"], "agent": f"agent:{agent}"}
    try:
        yield told["url"]
    finally:
        process.terminate()
        process.wait()


def everything(shell: Shell) -> tuple[dict[str, Json], list[str]]:
    """A call for every tool, and every resource, in a store with something of each kind in it."""
    item, other = (shell(f"wk new {title} -o id").out.strip() for title in ("parser", "printer"))
    mail = shell("msg send --to tester --subject hello -o id").out.strip()
    calls: dict[str, Json] = {
        "work_list": {"status": "open", "n": 5},
        "work_show": {"id": item},
        "work_write": {"title": "lexer", "priority": 1, "labels": ["a", "b"], "key": "k1"},
        "work_claim": {"id": item},
        "work_close": {"id": other, "how": "cancelled"},
        "mail_send": {"to": ["tester"], "subject": "hi", "body": "there"},
        "mail_receive": {"n": 5},
        "lease": {"acquire": ["file:src/**", "port:80"], "ttl": 60},
        "job": {"argv": ["true"]},
        "event": {"emit": "ci.failed", "body": {"n": 1}},
    }
    ids = [f"coord://work/{item}", f"coord://inbox/{mail}", f"coord://journal/{item}"]
    return calls, ["coord://work/ready", "coord://inbox/unread", "coord://journal/recent", *ids]
