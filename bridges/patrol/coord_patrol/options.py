"""How the parameters of coord-patrol's commands are declared on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

SECTION = 8
"""Of the manual page."""

Once = Annotated[bool, typer.Option("--once", help="Do what is due now, and exit.")]
List = Annotated[bool, typer.Option("--ls", help="Only list the sessions, and how they are.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only print what would be done now; write nothing.")
]
Everything = Annotated[bool, typer.Option("--all", help="Those that are over, too.")]
Scope = Annotated[
    str,
    typer.Option("--scope", metavar="SCOPE", help="all, an agent, label:LABEL or pool:POOL (all)."),
]
Reason = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Why; others are shown it.")
]
OptionalScope = Annotated[
    str | None,
    typer.Option("--scope", metavar="SCOPE", help="Only stops of this scope (default: every one)."),
]
Id = Annotated[str, typer.Argument(metavar="ID", help="A work item or a job.")]
Names = Annotated[
    list[str], typer.Argument(metavar="AGENT...", help="Agents, or ids of quarantines.")
]
