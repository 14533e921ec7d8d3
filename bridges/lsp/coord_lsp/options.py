"""The options of coord-lsp."""

from __future__ import annotations

from typing import Annotated

import typer

SECTION = 1
Editor = Annotated[
    str, typer.Argument(metavar="EDITOR", help="emacs, helix, neovim, vscode or zed.")
]
