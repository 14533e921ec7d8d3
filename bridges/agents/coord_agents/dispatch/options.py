"""How the parameters of coord-dispatch's commands are declared on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

SECTION = 8
"""Of the manual page."""

Once = Annotated[bool, typer.Option("--once", help="Do what is due now, and exit.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only print what would be done now; write nothing.")
]
Limits = {
    "preset": Annotated[
        list[str] | None,
        typer.Option("--preset", metavar="P", help="A runtime to start; repeatable, in order."),
    ],
    "max_": Annotated[
        int | None, typer.Option("--max", metavar="N", min=1, max=1000, help="Sessions at once.")
    ],
    "delay": Annotated[
        str | None, typer.Option("--delay", metavar="TIME", help="Pause between two starts.")
    ],
}
Works = Annotated[list[str], typer.Argument(metavar="ID...", help="Work items.")]
