"""What the parameters of ev's commands are on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

Type = Annotated[
    str | None, typer.Argument(metavar="[TYPE]", help="namespace.verb; none: JSON lines on stdin.")
]
Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help="Event ids; none: JSON lines on stdin."),
]
Id = Annotated[str, typer.Argument(metavar="ID", help="An event's id; it may be short.")]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why, up to 200 bytes; all may read it.")
]
Body = Annotated[
    str | None, typer.Option("--body", metavar="JSON|@FILE|-", help="The event's body, an object.")
]
Ref = Annotated[
    list[str] | None, typer.Option("--ref", metavar="K=V", help="What it refers to; repeatable.")
]
To = Annotated[
    list[str] | None, typer.Option("--to", metavar="ADDRESS", help="Whose mail it is; repeatable.")
]
Key = Annotated[
    str | None,
    typer.Option("--key", metavar="KEY", help="Idempotency key: written once, for ever."),
]
Cause = Annotated[
    str | None, typer.Option("--cause", metavar="ID", help="The event that set this one off.")
]
AllowSecret = Annotated[
    bool, typer.Option("--allow-secret", help="Write it even if it looks like a credential.")
]
Lines = Annotated[
    int | None, typer.Option("-n", "--lines", metavar="N", min=0, help="The last N (10).")
]
Follow = Annotated[bool, typer.Option("-f", "--follow", help="Go on with what comes.")]
Name = Annotated[
    str | None, typer.Option("--cursor", metavar="NAME", help="Go on where NAME was, and move it.")
]
AckFd = Annotated[
    int | None,
    typer.Option("--ack-fd", metavar="FD", min=0, help="Move it behind ids read here only."),
]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Only until then.")]
Active = Annotated[bool, typer.Option("--active", help="Only who was seen in the last 30 minutes.")]
UnsafeFs = Annotated[bool, typer.Option("--unsafe-fs", help="Even on a network file system.")]
Remote = Annotated[
    str | None, typer.Option("--remote", metavar="NAME", help="A remote, path or URL; remembered.")
]
With = Annotated[
    str | None, typer.Option("--with", metavar="DIR", help="Another store instead, on this disk.")
]
Watch = Annotated[bool, typer.Option("--watch", help="Again and again.")]
Command = Annotated[
    list[str] | None, typer.Argument(metavar="[-- CMD...]", help="What is run, and told of.")
]
Every = Annotated[bool, typer.Option("--every", help="An event each time, changed or not.")]
OneLook = Annotated[bool, typer.Option("--once", help="Run it once only.")]
File = Annotated[str, typer.Argument(metavar="FILE", help="The consumer, in TOML.")]
Once = Annotated[bool, typer.Option("--once", help="Do what is there, and end.")]
Most = Annotated[
    int | None, typer.Option("--max", metavar="N", min=1, help="Take N events, and end.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be run; write nothing.")]
Interval = Annotated[
    str | None, typer.Option("--interval", metavar="TIME", help="How long between (30s).")
]
Budget = Annotated[
    str, typer.Option("--budget", metavar="TIME", help="How long it may take (60s).")
]
SyncStatus = Annotated[
    bool, typer.Option("--status", help="Say what is unpushed and what came from whom.")
]
Repair = Annotated[
    bool, typer.Option("--repair-arbiter", help="Make one of two histories of what is confirmed.")
]
Archive = Annotated[
    bool, typer.Option("--archive", help="Take over the refs of who was silent for 30 days.")
]
