"""How the parameters of coord-webhook's commands are declared on a command line."""

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
    str, typer.Argument(metavar="DIR", help="Directory of the hooks: NAME.toml each.")
]
File = Annotated[str, typer.Argument(metavar="FILE", help="The file of a hook.")]
Header = Annotated[
    list[str] | None,
    typer.Option("--header", metavar="NAME:VALUE", help="A header of the delivery; repeatable."),
]
Url = Annotated[str, typer.Argument(metavar="URL", help="Where to send it.")]
Secret = Annotated[
    str | None,
    typer.Option(
        "--secret", metavar="NAME", help="The environment variable with the secret that signs it."
    ),
]
Name = Annotated[
    str | None,
    typer.Option("--id", metavar="ID", help="What names the delivery (default: the event's id)."),
]
