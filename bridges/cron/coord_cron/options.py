"""How the parameters of coord-cron's commands are declared on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

SECTION = 8
"""Of the manual page."""

File = Annotated[str, typer.Argument(metavar="FILE", help="Schedules, in TOML.")]
Once = Annotated[bool, typer.Option("--once", help="Fire what is due now, and exit.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only print what would be fired now; write nothing.")
]
Lines = Annotated[
    int, typer.Option("-n", "--lines", metavar="N", min=1, max=1000, help="So many times (5).")
]
