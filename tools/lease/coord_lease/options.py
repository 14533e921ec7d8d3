"""How the parameters of lease's commands are declared on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

_Text = str | None
_Texts = list[str] | None

Resources = Annotated[
    list[str], typer.Argument(metavar="RESOURCE...", help="file:GLOB env:NAME port:N work:ID, ….")
]
MaybeResources = Annotated[
    _Texts,
    typer.Argument(metavar="[RESOURCE]...", help="Only leases that overlap with any of these."),
]
Mine = Annotated[bool, typer.Option("--mine", help="Only those that you hold.")]
Ids = Annotated[
    _Texts, typer.Argument(metavar="[ID]...", help="Lease ids; without any, JSON lines on stdin.")
]
Paths = Annotated[
    _Texts,
    typer.Argument(metavar="[PATH]...", help="Files; without any, what is staged in git."),
]
Words = Annotated[
    list[str],
    typer.Argument(metavar="RESOURCE... -- CMD...", help="What to hold, and the command to run."),
]
Terms = {
    "shared": Annotated[
        bool, typer.Option("--shared", help="Hold it together with other shared leases.")
    ],
    "ttl": Annotated[
        _Text,
        typer.Option(
            "--ttl", metavar="TIME", help="Time to live: 500ms 60s 10m 2h 1d (60s; remote: 10m)."
        ),
    ],
    "scope": Annotated[
        str,
        typer.Option("--scope", metavar="SCOPE", help="Who conflicts: local, remote (local)."),
    ],
}
Attempt = {
    "wait": Annotated[
        _Text, typer.Option("--wait", metavar="TIME", help="Wait up to TIME until it is free.")
    ],
    "require": Annotated[
        _Text, typer.Option("--require", metavar="SCOPE", help="Refuse a weaker scope than this.")
    ],
}
Prefix = Annotated[
    _Text,
    typer.Option(
        "--prefix", metavar="TEXT", help="Only of resources that begin so, as x-session:."
    ),
]
At = Annotated[_Text, typer.Option("--at", metavar="TIME", help="Show the state at TIME.")]
Purpose = Annotated[
    _Text,
    typer.Option("--reason", metavar="TEXT", help="What for, up to 500 bytes; others see it."),
]
All = Annotated[bool, typer.Option("--all", help="Release all that you hold.")]
Resume = Annotated[bool, typer.Option("--resume", help="Also leases of your other sessions.")]
NewTtl = Annotated[_Text, typer.Option("--ttl", metavar="TIME", help="A new time to live.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, up to 500 bytes.")]
