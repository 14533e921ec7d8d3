"""How the parameters of coord-github's commands are declared on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

SECTION = 8
"""Of the manual page."""

Repository = Annotated[
    str | None,
    typer.Argument(metavar="[OWNER/REPO]", help="The repository ($COORD_GITHUB_REPOSITORY)."),
]
Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help="Items of which issues are made (all that are open)."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only print what would be done now; write nothing.")
]
Max = Annotated[
    int, typer.Option("--max", metavar="N", min=1, help="Create at most this many issues (20).")
]
Once = Annotated[bool, typer.Option("--once", help="Do what is due now, and exit.")]
Status = Annotated[
    bool, typer.Option("--status", help="Only show how far both sides are the same.")
]
Export = Annotated[
    bool, typer.Option("--export", help="Also make issues of items that are created here.")
]
