"""How the parameters of coord-hooks' commands are declared on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

Program = Annotated[
    str,
    typer.Argument(metavar="PROGRAM", help="claude, codex, gemini, qwen, droid, copilot, …"),
]
Known = Annotated[
    str, typer.Argument(metavar="[PROGRAM]", help="The program of the hook (claude).")
]
Role = Annotated[
    str | None, typer.Option("--role", metavar="NAME", help="Add .agents/roles/NAME.md.")
]
Session = Annotated[str, typer.Argument(metavar="SESSION", help="The session that is over.")]
Keep = Annotated[
    bool, typer.Option("--keep", help="Give nothing back at the end: the session is resumed.")
]
