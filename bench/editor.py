"""How soon an editor shows that a file is held, and what coord-lsp costs.

    python bench/editor.py [ROUNDS]

Time from the start of `lease acquire` by another agent to the warning in the editor, beside the time
of `lease acquire` alone: in a store with nothing else, then with 1,000 leases and 500 open files.
And the CPU of the idle server in ten seconds.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import measure
from lsprotocol import types as lsp
from measure import BIN, Place, Row
from pytest_lsp import LanguageClient, client_capabilities, make_test_lsp_client

Took = tuple[list[float], list[float]]
LEASES, FILES, WITHIN_S, IDLE_S, IDLE = 1_000, 500, 0.2, 10, 0.005


class Editor:
    """A client with open files, `x0.py` and so on."""

    def __init__(self, place: Place, client: LanguageClient) -> None:
        self.place, self.client = place, client

    def open(self, count: int) -> None:
        for number in range(count):
            path = Path(self.place.path, f"x{number}.py")
            path.write_text("x = 1\n")
            document = lsp.TextDocumentItem(path.as_uri(), "python", 1, "x = 1\n")
            self.client.text_document_did_open(lsp.DidOpenTextDocumentParams(document))

    async def shown(self, rounds: int) -> Took:
        """Seconds of `lease acquire` alone, and until its warning, of each round."""
        uri, took = Path(self.place.path, "x0.py").as_uri(), list[tuple[float, float]]()
        for _ in range(rounds):
            began = time.perf_counter()
            await self.run("lease", "acquire", "file:x0.py")
            done = time.perf_counter()
            await self.until(uri, True)
            took.append((done - began, time.perf_counter() - began))
            await self.run("lease", "release", "--all")
            await self.until(uri, False)
            await asyncio.sleep(0.5)  # the pause after a listing is not part of it
        return [one for one, _ in took], [both for _, both in took]

    async def run(self, *argv: str) -> None:
        process = await asyncio.create_subprocess_exec(
            *argv, cwd=self.place.path, env=self.place.env, stdout=asyncio.subprocess.DEVNULL
        )
        await process.wait()

    async def until(self, uri: str, held: bool) -> None:
        while bool(self.client.diagnostics.get(uri)) != held:
            await self.client.wait_for_notification(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)


def rows(rounds: int, scratch: str) -> Iterator[Row]:
    place = Place(f"{scratch}/editor", "bob")
    place.run("git", "init", "-q", ".")
    place.run("ev", "init")
    os.environ |= {"COORD_AGENT": "human:ada", "COORD_DIR": place.store}
    few, many, idle = asyncio.run(_measured(place, min(rounds, 10)))
    for what, (alone, both) in (("1 file", few), (f"{LEASES:,} leases, {FILES} files", many)):
        alone_s, both_s = statistics.median(alone), statistics.median(both)
        row = Row(
            f"a lease is a warning in an editor, {what}",
            measure.shown(both_s),
            f"`lease acquire` {measure.shown(alone_s)}",
            f"{both_s / alone_s:.2f}",
        )
        yield row.must(both_s - alone_s <= WITHIN_S, f"≤ {WITHIN_S:.1f} s after it")
    row = Row(f"coord-lsp, idle for {IDLE_S} s", f"{idle * 100:.2f} % of a CPU")
    yield row.must(idle <= IDLE, f"≤ {IDLE:.1%}")


async def _measured(place: Place, rounds: int) -> tuple[Took, Took, float]:
    client = make_test_lsp_client()
    client.feature(lsp.WORKSPACE_INLAY_HINT_REFRESH)(lambda params: None)
    await client.start_io(f"{BIN}/coord-lsp", "serve")
    root = Path(place.path).as_uri()
    await client.initialize_session(
        lsp.InitializeParams(capabilities=client_capabilities("neovim"), root_uri=root)
    )
    editor = Editor(place, client)
    editor.open(1)
    few = await editor.shown(rounds)
    for number in range(LEASES):
        await editor.run(
            "lease", "acquire", f"file:other/{number}/**", "--ttl", "1d", "--as", "eve"
        )
    editor.open(FILES)
    many = await editor.shown(rounds)
    before = _cpu(client)
    await asyncio.sleep(IDLE_S)
    idle = (_cpu(client) - before) / IDLE_S
    await client.shutdown_session()
    await client.stop()  # type: ignore[no-untyped-call]
    return few, many, idle


def _cpu(client: LanguageClient) -> float:
    """Seconds of CPU of the server and the children that it has waited for."""
    assert client._server
    fields = Path(f"/proc/{client._server.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(measure.alone("editor", rows))
