"""How the parameters of coord's commands are declared on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

Page = Annotated[
    str | None,
    typer.Argument(metavar="[NAME]", help="A command, or a page with its section: coord.7."),
]
Program = Annotated[
    str, typer.Argument(metavar="PROGRAM", help="The program to set up: claude, codex, gemini, …")
]
Changing = {
    "yes": Annotated[bool, typer.Option("--yes", "-y", help="Change the files without asking.")],
    "undo": Annotated[bool, typer.Option("--undo", help="Take the changes back.")],
    "dry_run": Annotated[
        bool, typer.Option("--dry-run", help="Print the difference and change nothing.")
    ],
    "check": Annotated[
        bool, typer.Option("--check", help="Only print what would change; exit 1 if anything.")
    ],
}
