"""How the parameters of coord-relay's commands are declared on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

from coord_kernel.cli.listen import Cert as Cert
from coord_kernel.cli.listen import Host as Host
from coord_kernel.cli.listen import Key as Key
from coord_kernel.cli.listen import Port as Port

SECTION = 8
"""Of the manual page."""

Directory = Annotated[
    str, typer.Argument(metavar="DIR", help="Directory of the relay: tokens and logs.")
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Who the token is for.")]
Project = Annotated[
    str, typer.Option("--project", metavar="NAME", help="The project, as in the path of the URL.")
]
Replica = Annotated[
    list[str] | None,
    typer.Option(
        "--replica",
        metavar="ID",
        help="A replica that it may write; repeatable. Default *: all that no other token names; "
        "-: none, it only reads.",
    ),
]
