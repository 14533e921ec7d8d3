"""How the parameters of coord-slack are declared on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

SECTION = 8
"""Of the manual page."""

File = Annotated[str, typer.Argument(metavar="FILE", help="Channels and people, in TOML.")]
Once = Annotated[bool, typer.Option("--once", help="Read the channels, do what is due, and exit.")]
ReadOnly = Annotated[bool, typer.Option("--read-only", help="Post, and take nothing from Slack.")]
Looks = {
    "dry_run": Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be done now.")
    ],
    "status": Annotated[bool, typer.Option("--status", help="Only print how each channel is.")],
}
