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
        str | None,
        typer.Option("--via", metavar="WAY", help="How it runs (default: first of its preset)."),
    ],
    "prompt": Annotated[
        str | None,
        typer.Option("--prompt", metavar="TEXT", help="What it is asked: text, @FILE, or -."),
    ],
}
Argv = Annotated[
    list[str], typer.Argument(metavar="ARGV...", help="The program and its arguments.")
]
Talk = {
    "via": Annotated[str, typer.Option("--via", metavar="WAY", help="The protocol.")],
    "busy": Annotated[
        str, typer.Option("--busy", metavar="HOW", help="What a prompt does to one at work.")
    ],
    "prompt": Annotated[
        str | None, typer.Option("--prompt", metavar="TEXT", help="What it is asked first.")
    ],
    "resume": Annotated[
        str | None, typer.Option("--resume", metavar="ID", help="The conversation that goes on.")
    ],
}
Task = {
    "work": Annotated[
        str | None, typer.Option("--work", metavar="ID", help="Claim this work item for it.")
    ],
    "claim": Annotated[bool, typer.Option("--claim", help="Claim the first ready item for it.")],
    "worktree": Annotated[bool, typer.Option("--worktree", help="Run in a work tree of its own.")],
}
