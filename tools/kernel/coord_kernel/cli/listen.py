"""The options of a command that serves HTTP, as `coord_kernel.cli.web` does."""

from __future__ import annotations

from typing import Annotated

import typer

Host = Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.")]
Port = Annotated[
    int,
    typer.Option("--port", metavar="N", min=0, max=65_535, help="Port to listen on; 0: any."),
]
Cert = Annotated[
    str | None, typer.Option("--cert", metavar="FILE", help="TLS certificate, with its chain.")
]
Key = Annotated[str | None, typer.Option("--key", metavar="FILE", help="TLS private key.")]
