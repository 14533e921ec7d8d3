"""What the parameters of lease's commands are on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

Resources = Annotated[
    list[str], typer.Argument(metavar="RESOURCE...", help="file:GLOB env:NAME port:N work:ID, ….")
]
MaybeResources = Annotated[
    list[str] | None,
    typer.Argument(metavar="[RESOURCE]...", help="Only those that overlap with one of these."),
]
Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help="Lease ids; none: JSON lines on stdin."),
]
Paths = Annotated[
    list[str] | None, typer.Argument(metavar="[PATH]...", help="Files; none: what git has staged.")
]
Words = Annotated[
    list[str],
    typer.Argument(metavar="RESOURCE... -- CMD...", help="What is held, and what is run."),
]
Shared = Annotated[
    bool, typer.Option("--shared", help="Hold it together with others who share it.")
]
Ttl = Annotated[
    str | None,
    typer.Option(
        "--ttl", metavar="TIME", help="Time to live: 500ms 60s 10m 2h 1d (60s; git: 10m)."
    ),
]
NewTtl = Annotated[str | None, typer.Option("--ttl", metavar="TIME", help="Another time to live.")]
Wait = Annotated[
    str | None, typer.Option("--wait", metavar="TIME", help="Wait so long until it is free.")
]
Scope = Annotated[
    str, typer.Option("--scope", metavar="SCOPE", help="How far it reaches: local, git (local).")
]
Require = Annotated[
    str | None, typer.Option("--require", metavar="SCOPE", help="Refuse a weaker scope than this.")
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, up to 500 bytes.")]
