"""How the parameters of coord-webhook's commands are declared on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

SECTION = 8
"""Of the manual page."""

Directory = Annotated[
    str, typer.Argument(metavar="DIR", help="Directory of the hooks: NAME.toml each.")
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
