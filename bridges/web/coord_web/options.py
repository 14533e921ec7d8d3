"""How the parameters of coord-web are declared on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

SECTION = 8
"""Of the manual page."""

Directories = Annotated[
    list[str] | None,
    typer.Argument(metavar="[DIR]...", help="Directories with a store; default: this one."),
]
Host = Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.")]
Port = Annotated[
    int, typer.Option("--port", metavar="N", min=0, max=65_535, help="Port to listen on; 0: any.")
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
Cert = Annotated[
    str | None, typer.Option("--cert", metavar="FILE", help="TLS certificate, with its chain.")
]
Key = Annotated[str | None, typer.Option("--key", metavar="FILE", help="TLS private key.")]
Listen = {"host": Host, "port": Port, "origin": Origin, "cert": Cert, "key": Key}
