"""What the parameters of coord-hooks' commands are on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

Program = Annotated[
    str, typer.Argument(metavar="PROGRAM", help="Which program's hooks: claude or codex.")
]
