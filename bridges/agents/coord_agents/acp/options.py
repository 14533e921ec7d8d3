"""How the parameters of coord-acp's command are declared on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

from coord_agents.options import Name as Name
from coord_agents.options import Task as Task

Preset = Annotated[
    str | None,
    typer.Option("--preset", metavar="P", help="Start it with this runtime if it does not run."),
]
