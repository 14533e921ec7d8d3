"""How the parameters of coord-relay's commands are declared on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

SECTION = 8
"""Of the manual page."""

Directory = Annotated[
    str, typer.Argument(metavar="DIR", help="Directory of the relay: tokens and logs.")
]
Host = Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.")]
Port = Annotated[
    int,
    typer.Option("--port", metavar="N", min=0, max=65_535, help="Port to listen on; 0: any."),
]
Cert = Annotated[
    str | None, typer.Option("--cert", metavar="FILE", help="TLS certificate, with its chain.")
]
Key = Annotated[str | None, typer.Option("--key", metavar="FILE", help="TLS private key.")]
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
