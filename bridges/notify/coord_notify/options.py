"""The options of coord-notify."""

from __future__ import annotations

from typing import Annotated

import typer

SECTION = 8
"""Of the manual page."""

File = Annotated[str, typer.Argument(metavar="FILE", help="The routes, in TOML.")]
Once = Annotated[bool, typer.Option("--once", help="Send what is due now, and exit.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only print what would be sent now; send nothing.")
]
Status = Annotated[
    bool, typer.Option("--status", help="Only print what waits and was sent, by route.")
]
Route = Annotated[str, typer.Argument(metavar="ROUTE", help="The name of a route.")]
