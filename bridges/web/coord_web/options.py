"""How the parameters of coord-web are declared on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

from coord_kernel.cli.listen import Cert, Host, Key, Port

SECTION = 8
"""Of the manual page."""

Directories = Annotated[
    list[str] | None,
    typer.Argument(metavar="[DIR]...", help="Directories with a store; default: this one."),
]
ReadOnly = Annotated[bool, typer.Option("--read-only", help="Show everything, change nothing.")]
Origin = Annotated[
    str | None,
    typer.Option(
        "--origin",
        metavar="URL",
        help="What browsers see, behind a proxy or on --host: https://coord.example.org.",
    ),
]
Listen = {"host": Host, "port": Port, "origin": Origin, "cert": Cert, "key": Key}
