"""The server: documents and requests of an editor on one side, the tools on the other.

1. A task follows the events. After one it lists what changed, again at most a fifth of the time:
   a listing costs a process, and other agents may write a hundred events a second.
2. What was listed is kept; every request is answered from it, without a process.
3. A lease whose time is over is seen without an event: the first end to come is waited for.
4. What the user asks for (acquire, release, ask, open) runs a command.
"""

from __future__ import annotations

import asyncio
import os
import time
from asyncio.subprocess import Process
from pathlib import Path
from tempfile import TemporaryDirectory

from lsprotocol import types as lsp
from pygls import uris
from pygls.lsp.server import LanguageServer
from pygls.workspace import TextDocument

from coord_envelope import VERSION
from coord_lease.fold import Held
from coord_lsp import desk
from coord_lsp.desk import Json
from coord_lsp.tools import Failed, Tools, top

PAUSE, PAUSE_S = 2, 0.3
"""How long nothing is listed after a listing: in times of what it took, and at most."""
AGAIN_S = 15.0
"""Pause after a command that failed, such as where there is no store."""
MOST = 5_000
"""Items that are known by their id at a time, the most urgent first."""
ASKED = "You hold {0}. May I change it?"


class Server(LanguageServer):
    """One editor, one work tree, one agent."""

    def __init__(self, me: str) -> None:
        super().__init__("coord-lsp", VERSION)
        self.me = me
        self.held, self.items, self.jobs = Held([]), dict[str, Json](), list[Json]()
        self._mine, self._logged = dict[str, Process](), ""
        self._shown = dict[str, list[lsp.Diagnostic]]()
        self._running = dict[str, str]()
        self._tasks = set[asyncio.Task[None]]()
        self._pages = TemporaryDirectory(prefix="coord-lsp-")

    # What is listed

    def begin(self, root: str | None) -> None:
        """Follow the store of the work tree that has this directory."""
        self.root = top(root or os.getcwd())
        self.tools = Tools(self.root, self.me)
        self.spawn(self._follow())

    def spawn(self, work: object) -> None:
        """Run a coroutine beside everything else, until the server ends."""
        task = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(self) -> None:
        changed, stale = asyncio.Event(), {"lease", "work", "run"}
        self.spawn(self._list(changed, stale))
        while True:
            try:
                async for kind in self.tools.follow():
                    stale |= {kind.partition(".")[0]} if kind else {"lease", "work", "run"}
                    changed.set()
            except (Failed, OSError) as error:
                self.log(str(error))
            await asyncio.sleep(AGAIN_S)

    async def _list(self, changed: asyncio.Event, stale: set[str]) -> None:
        left = None
        while True:
            try:
                await asyncio.wait_for(changed.wait(), left)
            except TimeoutError:
                stale.add("lease")
            changed.clear()
            wanted, began = set(stale), time.monotonic()
            stale.clear()
            try:
                if "lease" in wanted:
                    rows = await self.tools.rows("lease", "ls")
                    self.held = Held(rows)  # type: ignore[arg-type]
                    left = min((row["left_ms"] for row in rows if "left_ms" in row), default=None)
                    left = None if left is None else left / 1000 + 0.01
                    self._publish()
                if "work" in wanted:
                    listed = await self.tools.rows("wk", "ls", "--all", "-n", str(MOST))
                    self.items = {item["id"]: item for item in listed}
                    self._refresh()
                if "run" in wanted:
                    self.jobs = await self.tools.rows("run", "ls")
                    await self._progress()
            except (Failed, OSError) as error:
                self.log(str(error))
                stale |= wanted  # else what changed would not be seen until something else does
                changed.set()
                await asyncio.sleep(AGAIN_S)
            await asyncio.sleep(min(PAUSE * (time.monotonic() - began), PAUSE_S))

    def log(self, text: str) -> None:
        """A line in the editor's log, if it is not the last one: a repository may have no store."""
        if text != self._logged:
            self._logged = text
            self.window_log_message(lsp.LogMessageParams(lsp.MessageType.Info, desk.plain(text)))

    def tell(self, text: str, kind: lsp.MessageType = lsp.MessageType.Warning) -> None:
        """A message that the user sees."""
        self.window_show_message(lsp.ShowMessageParams(kind, desk.plain(text)))

    # What is shown

    def path(self, uri: str) -> str | None:
        """The path of a document in the work tree; None if it is elsewhere."""
        full = uris.to_fs_path(uri)
        if not full:
            return None
        path = os.path.relpath(os.path.realpath(full), self.root)
        return None if path.startswith("..") else path

    def publish(self, document: TextDocument) -> None:
        """Show who holds a document, if that is not what is shown."""
        path = self.path(document.uri)
        if path is None:
            return
        first = document.lines[0].rstrip("\r\n") if document.lines else ""
        leases = desk.others(self.held, path, self.me)
        wanted = desk.diagnostics(leases, desk.units(first))
        if wanted != self._shown.get(document.uri, []):
            self._shown[document.uri] = wanted
            self.text_document_publish_diagnostics(
                lsp.PublishDiagnosticsParams(document.uri, wanted)
            )

    def _publish(self) -> None:
        for document in self.workspace.text_documents.values():
            self.publish(document)

    def forget(self, uri: str) -> None:
        """A document was closed."""
        self._shown.pop(uri, None)

    def _refresh(self) -> None:
        able = self.client_capabilities.workspace
        if able and able.inlay_hint and able.inlay_hint.refresh_support:
            self.workspace_inlay_hint_refresh(None)

    async def _progress(self) -> None:
        """Begin and end the progress of jobs whose command names an open file."""
        able = self.client_capabilities.window
        if not (able and able.work_done_progress):
            return
        paths = {self.path(uri) for uri in self.workspace.text_documents} - {None}
        now = {
            job["id"]: str(path)
            for job in self.jobs
            for path in paths
            if desk.about(job, str(path))
        }
        for job in self._running.keys() - now.keys():
            self.work_done_progress.end(job, lsp.WorkDoneProgressEnd())
            del self._running[job]
        for job in now.keys() - self._running.keys():
            self._running[job] = now[job]
            await self.work_done_progress.create_async(job)
            title = desk.plain(f"{job}: {now[job]}")
            self.work_done_progress.begin(job, lsp.WorkDoneProgressBegin(title))

    # What the user does

    async def acquire(self, path: str) -> None:
        """Hold a file until it is released, or the editor ends."""
        process = await self.tools.hold(f"file:{path}", "open in an editor")
        self._mine[path] = process

    async def release(self, path: str) -> None:
        """Release a file: what this server holds, or what the agent acquired elsewhere."""
        process = self._mine.pop(path, None)
        if process and process.stdin:
            process.stdin.close()
            await process.wait()
            return
        for lease in self.held.of_file(path):
            if lease["holder"] == self.me:
                await self.tools.run("lease", "release", lease["lease_id"])

    async def ask(self, path: str, holder: str) -> None:
        """Send mail to who holds a file."""
        subject = ASKED.format(desk.plain(path))
        await self.tools.run("msg", "send", "--to", holder, "--subject", subject, "--body", subject)
        self.tell(f"asked {holder}: {subject}", lsp.MessageType.Info)

    async def open(self, name: str) -> None:
        """Show the page of an item in the editor."""
        page = (await self.tools.run("wk", "show", name, "-o", "table")).decode()
        await self.window_show_document_async(lsp.ShowDocumentParams(self.page(name, page)))

    def page(self, name: str, text: str) -> str:
        """The URI of a file with the text about an item."""
        file = Path(self._pages.name, f"{name}.txt")
        file.write_text(text)
        return file.as_uri()

    def end(self) -> None:
        """Stop following, and release what is held."""
        for task in self._tasks:
            task.cancel()
        for process in self._mine.values():
            if process.stdin:
                process.stdin.close()
        self._pages.cleanup()
