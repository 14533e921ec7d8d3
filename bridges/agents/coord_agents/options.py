"""How the parameters of coord-agent's commands are declared on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

Name = Annotated[str, typer.Argument(metavar="NAME", help="The agent.")]
OptionalNames = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME]...", help="Agents (default: all that run).")
]
Sessions = Annotated[
    list[str] | None, typer.Argument(metavar="[SESSION]...", help="Sessions (default: all here).")
]
Which = Annotated[
    str, typer.Argument(metavar="NAME", help="An agent, or a session or its beginning.")
]
Question = Annotated[str, typer.Argument(metavar="QUESTION", help="Text, @FILE, or - for stdin.")]
Text = Annotated[str, typer.Argument(metavar="TEXT", help="Text, @FILE, or - for stdin.")]
All = Annotated[bool, typer.Option("--all", help="Also sessions that are over.")]
Running = {
    "preset": Annotated[
        str | None, typer.Option("--preset", metavar="P", help="The runtime; see `presets`.")
    ],
    "via": Annotated[
        str | None, typer.Option("--via", metavar="WAY", help="headless or tmux (default: first).")
    ],
    "prompt": Annotated[
        str | None,
        typer.Option("--prompt", metavar="TEXT", help="What it is asked: text, @FILE, or -."),
    ],
}
Task = {
    "work": Annotated[
        str | None, typer.Option("--work", metavar="ID", help="Claim this work item for it.")
    ],
    "claim": Annotated[bool, typer.Option("--claim", help="Claim the first ready item for it.")],
    "worktree": Annotated[bool, typer.Option("--worktree", help="Run in a work tree of its own.")],
}
