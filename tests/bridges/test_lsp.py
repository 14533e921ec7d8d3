"""coord-lsp, driven as an editor drives it, and by a real Neovim."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import subprocess
import zipfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support import BIN, Shell

if not importlib.util.find_spec("pytest_lsp") or not importlib.util.find_spec("pygls"):
    pytest.skip("pygls or pytest-lsp is not installed", allow_module_level=True)

from lsprotocol import types as lsp
from pytest_lsp import LanguageClient, client_capabilities, make_test_lsp_client

from coord_lease.fold import Held
from coord_lsp import desk

HOSTILE = "a\x1b[31m <script>\n# `b`"


class Editor:
    """A client of one server, in one repository."""

    def __init__(self, repo: Path, client: LanguageClient) -> None:
        self.repo, self.client = repo, client

    def open(self, name: str, text: str = "first line\n") -> str:
        """Open a document; its URI."""
        path = self.repo / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        uri = path.as_uri()
        document = lsp.TextDocumentItem(uri, "text", 1, text)
        self.client.text_document_did_open(lsp.DidOpenTextDocumentParams(document))
        return uri

    async def until(
        self,
        holds: Callable[[], object],
        method: str = lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS,
        wait_s: float = 60,
    ) -> None:
        """Wait for notifications of the server until something holds. Raises TimeoutError."""
        while not holds():
            await asyncio.wait_for(self.client.wait_for_notification(method), wait_s)

    def said(self, uri: str) -> list[str]:
        return [one.message for one in self.client.diagnostics.get(uri, ())]

    async def actions(self, uri: str, line: int = 0) -> dict[str, lsp.Command]:
        at = lsp.Position(line, 0)
        answer = await self.client.text_document_code_action_async(
            lsp.CodeActionParams(
                lsp.TextDocumentIdentifier(uri), lsp.Range(at, at), lsp.CodeActionContext([])
            )
        )
        return {one.title: one for one in answer or () if isinstance(one, lsp.Command)}

    async def act(self, command: lsp.Command) -> None:
        await self.client.workspace_execute_command_async(
            lsp.ExecuteCommandParams(command.command, arguments=command.arguments)
        )


def edited(repo: Path, story: Callable[[Editor], Awaitable[None]]) -> None:
    """Run a story with an editor whose server acts as human:ada."""

    async def run() -> None:
        client = make_test_lsp_client()
        client.feature(lsp.WORKSPACE_INLAY_HINT_REFRESH)(lambda params: None)
        os.environ["COORD_AGENT"] = "human:ada"
        try:
            await client.start_io(f"{BIN}/coord-lsp", "serve")
        finally:
            del os.environ["COORD_AGENT"]
        await client.initialize_session(
            lsp.InitializeParams(capabilities=client_capabilities("neovim"), root_uri=repo.as_uri())
        )
        try:
            await asyncio.wait_for(story(Editor(repo, client)), 100)
        finally:
            await client.shutdown_session()
            await client.stop()  # type: ignore[no-untyped-call]

    asyncio.run(run())


def test_who_holds_a_file_is_shown_until_the_lease_ends(repo: Path, shell: Shell) -> None:
    async def story(editor: Editor) -> None:
        mine, other = editor.open("src/x.py"), editor.open("doc/y.md")
        lease = shell("lease acquire 'file:src/**' --reason 'big change' -o id").out.strip()
        await editor.until(lambda: editor.said(mine))
        (message,) = editor.said(mine)
        assert message.startswith("agent:tester holds file:src/** since ")
        assert message.endswith(", for: big change")
        assert editor.said(other) == []
        late = editor.open("src/new.py")
        await editor.until(lambda: editor.said(late))
        shell(f"lease release {lease}")
        await editor.until(lambda: not editor.said(mine) and not editor.said(late))

    edited(repo, story)


def test_a_lease_whose_time_is_over_is_shown_no_more(repo: Path, shell: Shell) -> None:
    async def story(editor: Editor) -> None:
        uri = editor.open("x.py")
        for attempt in range(50):  # on a busy machine it may be over before it is listed
            shell(f"lease acquire file:x.py --ttl {attempt + 2}s", expect=None)
            with suppress(TimeoutError):
                await editor.until(lambda: editor.said(uri), wait_s=attempt + 2)
                break
        await editor.until(lambda: not editor.said(uri))  # no event tells of it

    edited(repo, story)


def test_a_file_is_acquired_asked_for_and_released(repo: Path, shell: Shell) -> None:
    async def story(editor: Editor) -> None:
        uri = editor.open("a file.py")
        actions = await editor.actions(uri)
        assert list(actions) == ["Acquire this file"]
        await editor.act(actions["Acquire this file"])
        (lease,) = shell("lease ls").lines
        assert (lease["holder"], lease["resources"]) == ("human:ada", ["file:a file.py"])
        while "Release this file" not in (actions := await editor.actions(uri)):
            await asyncio.sleep(0)
        await editor.act(actions["Release this file"])
        assert shell("lease ls").out == ""
        shell("msg join && lease acquire 'file:a file.py'")
        await editor.until(lambda: editor.said(uri))
        actions = await editor.actions(uri)
        assert list(actions) == ["Ask agent:tester for this file"]
        await editor.act(actions["Ask agent:tester for this file"])
        mail = shell("msg ls").lines
        assert [one["subject"] for one in mail] == ["You hold a file.py. May I change it?"]
        document = lsp.TextDocumentIdentifier(uri)
        editor.client.text_document_did_save(lsp.DidSaveTextDocumentParams(document))
        await editor.until(
            lambda: any(
                "a file.py is saved, but agent:tester" in one.message
                for one in editor.client.messages
            ),
            lsp.WINDOW_SHOW_MESSAGE,
        )

    edited(repo, story)


def test_what_the_editor_acquired_ends_with_it(repo: Path, shell: Shell) -> None:
    async def story(editor: Editor) -> None:
        await editor.act((await editor.actions(editor.open("x.py")))["Acquire this file"])
        assert shell("lease ls").lines

    edited(repo, story)
    while shell("lease ls").out:  # until `lease with` saw its stdin closed
        pass


def test_items_are_shown_found_and_completed(repo: Path, shell: Shell) -> None:
    shell("wk new 'Fix the parser' -p 1")
    (item,) = shell("wk ls").lines
    name = item["id"]

    async def story(editor: Editor) -> None:
        uri = editor.open("notes.md", f"\N{GRINNING FACE} see {name}\nnothing\n wk-\n")
        document = lsp.TextDocumentIdentifier(uri)
        whole = lsp.Range(lsp.Position(0, 0), lsp.Position(3, 0))
        hints: Any = []
        while not hints:
            hints = await editor.client.text_document_inlay_hint_async(
                lsp.InlayHintParams(document, whole)
            )
        assert [(one.label, one.position) for one in hints] == [
            ("ready: Fix the parser", lsp.Position(0, 2 + 5 + len(name)))
        ]
        shown = await editor.client.text_document_hover_async(
            lsp.HoverParams(document, lsp.Position(0, 10))
        )
        assert shown and isinstance(shown.contents, lsp.MarkupContent)
        assert shown.contents.kind == "plaintext"
        assert shown.contents.value == f"{name} Fix the parser\nready priority 1"
        away = lsp.HoverParams(document, lsp.Position(1, 2))
        assert await editor.client.text_document_hover_async(away) is None
        found: Any = await editor.client.text_document_completion_async(
            lsp.CompletionParams(document, lsp.Position(2, 4))
        )
        assert [one.label for one in found.items] == [name]
        symbols: Any = await editor.client.workspace_symbol_async(
            lsp.WorkspaceSymbolParams("PARSER fix")
        )
        assert [one.name for one in symbols] == [f"{name} Fix the parser"]
        assert "Fix the parser" in Path(symbols[0].location.uri.removeprefix("file://")).read_text()
        assert f"Open {name}" in await editor.actions(uri)
        assert f"Open {name}" not in await editor.actions(uri, 1)
        shell(f"wk close {name}")
        while hints[0].label != "done: Fix the parser":
            hints = await editor.client.text_document_inlay_hint_async(
                lsp.InlayHintParams(document, whole)
            )

    edited(repo, story)


def test_without_a_store_it_says_so_once_and_serves(repo: Path) -> None:
    async def story(editor: Editor) -> None:
        uri = editor.open("x.py")
        await editor.until(lambda: editor.client.log_messages, lsp.WINDOW_LOG_MESSAGE)
        assert "no store here" in editor.client.log_messages[0].message
        assert list(await editor.actions(uri)) == ["Acquire this file"]

    edited(repo, story)


def test_hostile_text_is_one_plain_line() -> None:
    lease: Any = {
        "holder": "agent:x",
        "resources": ["file:**"],
        "since": "2026-01-01T00:00:00.000Z",
        "reason": HOSTILE * 100,
    }
    (shown,) = desk.diagnostics([lease], 3)
    assert shown.message.isprintable()
    assert len(shown.message) < 300
    item = {"id": "wk-00000000", "status": "ready", "priority": 2, "title": HOSTILE}
    assert desk.hover(item).count("\n") == 1
    (hint,) = desk.hints(desk.spans(["wk-00000000"]), {"wk-00000000": item}, 0, 9)
    assert str(hint.label).isprintable()


@pytest.mark.parametrize(
    ("resources", "path", "found"),
    [
        (["file:src/**"], "src/a/b.py", True),
        (["file:src/*.py"], "src/a/b.py", False),
        (["file:src"], "src/b.py", False),
        (["file:**"], "x", True),
        (["file:*.py"], "X.PY", True),
        (["port:80", "file:a?c"], "abc", True),
        (["file:a?c"], "a?c", True),
        (["env:x"], "x", False),
    ],
)
def test_leases_of_a_file_are_those_that_overlap(
    resources: list[str], path: str, found: bool
) -> None:
    rows: Any = [{"resources": ["file:other/**"]}, {"resources": resources}]
    assert Held(rows).of_file(path) == (rows[1:] if found else [])


LUA = """
local out = {{}}
vim.cmd('edit src/x.py')
vim.lsp.start_client({{ name = 'coord', cmd = {{ '{command}' }}, root_dir = '{root}',
  on_attach = function() end }})
vim.lsp.buf_attach_client(0, 1)
local function wait(count)
  assert(vim.wait(60000, function() return #vim.diagnostic.get(0) == count end, 5))
end
wait(0)
vim.fn.system({{ 'lease', 'acquire', 'file:src/**', '--as', 'bob' }})
wait(1)
table.insert(out, vim.diagnostic.get(0)[1].message)
vim.fn.system({{ 'lease', 'release', '--all', '--as', 'bob' }})
wait(0)
vim.fn.writefile(out, 'out')
vim.cmd('qall!')
"""


def test_a_real_editor_shows_it(repo: Path, shell: Shell) -> None:
    if not shutil.which("nvim"):
        pytest.skip("nvim is not installed; it is the real editor")
    (repo / "src").mkdir()
    (repo / "src/x.py").write_text("x = 1\n")
    (repo / "init.lua").write_text(LUA.format(command=f"{BIN}/coord-lsp", root=repo))
    command = ["nvim", "--headless", "-u", "NONE", "-n", "-c", "luafile init.lua"]
    env = {**shell.env, "COORD_AGENT": "human:ada"}
    done = subprocess.run(command, cwd=repo, env=env, capture_output=True, text=True, timeout=120)
    assert (repo / "out").exists(), done.stderr
    assert (repo / "out").read_text().startswith("agent:bob holds file:src/** since ")


def test_settings_are_printed_for_each_editor(shell: Shell) -> None:
    for editor in ("emacs", "helix", "neovim", "vscode", "zed"):
        assert "coord-lsp" in shell(f"coord-lsp config {editor}").out
    assert "use emacs, helix" in shell("coord-lsp config vi", expect=2).err


def test_the_extension_of_vs_code_is_built(tmp_path: Path) -> None:
    if not shutil.which("npm"):
        pytest.skip("npm is not installed; it builds the extension")
    source = Path(__file__).parents[2] / "bridges/lsp/vscode"
    home = shutil.copytree(source, tmp_path / "vscode", ignore=shutil.ignore_patterns("*_*"))
    done = subprocess.run(["make", "-C", home], capture_output=True, text=True, timeout=300)
    if "ENOTFOUND" in done.stderr or "ETIMEDOUT" in done.stderr:
        pytest.skip("npm cannot reach its registry")
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(home / "coord.vsix") as packed:
        names = packed.namelist()
    assert "extension/extension.js" in names
    assert any(name.startswith("extension/node_modules/vscode-languageclient/") for name in names)
