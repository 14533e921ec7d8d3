"""How the parameters of coord-top are declared on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

Dirs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[DIR]...", help="Repositories or stores (default: that of this directory)."
    ),
]
At = Annotated[str | None, typer.Option("--at", metavar="TIME", help="Show the state at TIME.")]
ReadOnly = Annotated[bool, typer.Option("--read-only", help="No key changes anything.")]
