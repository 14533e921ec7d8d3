"""How the parameters of coord-mcp's commands are declared on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

Default = Annotated[
    str | None,
    typer.Option("--default", metavar="NAME", help="The agent, if COORD_AGENT names none."),
]
Port = Annotated[
    int,
    typer.Option("--port", metavar="N", min=0, max=65_535, help="Port to listen on; 0: any."),
]
