"""The requests and notifications of the protocol that the server answers, from what it listed."""

from __future__ import annotations

from lsprotocol import types as lsp
from pygls import uris
from pygls.workspace import TextDocument

from coord_lsp import desk
from coord_lsp.server import Server
from coord_lsp.tools import Failed

LISTED = 200
"""Most symbols and completions in one answer."""
OPEN = ("ready", "active", "blocked", "held")
START = lsp.Range(lsp.Position(0, 0), lsp.Position(0, 0))


def answer(server: Server) -> None:
    """The requests and notifications of the protocol that the server answers."""

    @server.feature(lsp.INITIALIZED)
    def initialized(params: lsp.InitializedParams) -> None:
        root = server.workspace.root_uri
        server.begin(uris.to_fs_path(root) if root else None)

    @server.feature(lsp.SHUTDOWN)
    def shutdown(params: None) -> None:
        server.end()

    @server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: lsp.DidOpenTextDocumentParams) -> None:
        server.publish(document(params.text_document))

    @server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
    def closed(params: lsp.DidCloseTextDocumentParams) -> None:
        server.forget(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_SAVE)
    def saved(params: lsp.DidSaveTextDocumentParams) -> None:
        path = server.path(params.text_document.uri)
        for lease in desk.others(server.held, path, server.me) if path else ():
            server.tell(f"{path} is saved, but {desk.notice(lease)}")

    @server.feature(lsp.TEXT_DOCUMENT_HOVER)
    def hover(params: lsp.HoverParams) -> lsp.Hover | None:
        at = params.position
        for span in desk.spans(document(params.text_document).lines):
            if span.line == at.line and span.begin <= at.character <= span.end:
                item = server.items.get(span.text)
                if item:
                    text = lsp.MarkupContent(lsp.MarkupKind.PlainText, desk.hover(item))
                    return lsp.Hover(text, span.range)
        return None

    @server.feature(lsp.TEXT_DOCUMENT_INLAY_HINT)
    def hints(params: lsp.InlayHintParams) -> list[lsp.InlayHint]:
        begin, end = params.range.start.line, params.range.end.line
        found = desk.spans(document(params.text_document).lines)
        return desk.hints(found, server.items, begin, min(end, begin + desk.KEPT))

    @server.feature(lsp.TEXT_DOCUMENT_COMPLETION, lsp.CompletionOptions(trigger_characters=["-"]))
    def complete(params: lsp.CompletionParams) -> lsp.CompletionList:
        line = document(params.text_document).lines[params.position.line]
        before = line.encode("utf-16-le")[: params.position.character * 2].decode(
            "utf-16-le", "ignore"
        )
        if "wk" not in before.split(" ")[-1][-16:]:
            return lsp.CompletionList(False, [])
        found = [item for item in server.items.values() if item["status"] in OPEN]
        return lsp.CompletionList(len(found) > LISTED, desk.completions(found[:LISTED]))

    @server.feature(lsp.WORKSPACE_SYMBOL)
    def symbols(params: lsp.WorkspaceSymbolParams) -> list[lsp.WorkspaceSymbol]:
        found = [item for item in server.items.values() if item["status"] in OPEN]
        return [
            lsp.WorkspaceSymbol(
                lsp.Location(server.page(item["id"], desk.hover(item)), START),
                f"{item['id']} {desk.plain(item['title'])}",
                lsp.SymbolKind.Event,
                container_name=item["status"],
            )
            for item in desk.matching(found, params.query)[:LISTED]
        ]

    @server.feature(lsp.TEXT_DOCUMENT_CODE_ACTION)
    def actions(params: lsp.CodeActionParams) -> list[lsp.Command]:
        uri, chosen = params.text_document.uri, params.range
        path = server.path(uri)
        if path is None:
            return []
        spans = desk.spans(document(params.text_document).lines)
        names = [s.text for s in spans if chosen.start.line <= s.line <= chosen.end.line]
        known = [name for name in names if name in server.items]
        return desk.actions(path, server.held, server.me, known)

    def document(identifier: lsp.TextDocumentIdentifier | lsp.TextDocumentItem) -> TextDocument:
        return server.workspace.get_text_document(identifier.uri)

    for name in ("acquire", "release", "ask", "open"):
        _command(server, name)


def _command(server: Server, name: str) -> None:
    @server.command(f"coord.{name}")
    async def act(*arguments: str) -> None:
        try:
            await getattr(server, name)(*arguments)
        except (Failed, OSError) as error:
            server.tell(str(error), lsp.MessageType.Error)
