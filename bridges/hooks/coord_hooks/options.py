"""How the parameters of coord-hooks' commands are declared on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

Program = Annotated[
    str, typer.Argument(metavar="PROGRAM", help="The program of the hooks: claude or codex.")
]
