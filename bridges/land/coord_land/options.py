"""How the parameters of coord-land's commands are declared on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

SECTION = 8
"""Of the manual page."""

Branch = Annotated[
    str | None, typer.Argument(metavar="[BRANCH]", help="A branch or commit (what is checked out).")
]
Target = Annotated[
    str | None, typer.Option("--target", metavar="BRANCH", help="The queue of this branch (main).")
]
Work = Annotated[
    str | None, typer.Option("--work", metavar="ID", help="The work item that it is for.")
]
Close = Annotated[bool, typer.Option("--close", help="Close the work item when it has landed.")]
Priority = Annotated[
    int, typer.Option("--priority", "-p", metavar="N", min=0, max=4, help="0 lands first.")
]
Everything = Annotated[bool, typer.Option("--all", help="Those that are over, too, newest last.")]
Lines = Annotated[
    int | None, typer.Option("-n", "--lines", metavar="N", min=1, help="Print at most N.")
]
Id = Annotated[str, typer.Argument(metavar="ID", help="A request, such as land-k3f9x2ab.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Requests.")]
Once = Annotated[bool, typer.Option("--once", help="Do what can be done now, and exit.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only print what would be done next; change nothing.")
]
PolicyFile = Annotated[
    str | None,
    typer.Option("--policy", metavar="FILE", help="[land] of this file, not of the target's."),
]
