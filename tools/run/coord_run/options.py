"""What the parameters of run's commands are on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

_Text = str | None
_Texts = list[str] | None

Argv = Annotated[
    list[str], typer.Argument(metavar="ARGV...", help="The command and its arguments; no shell.")
]
MaybeArgv = Annotated[
    _Texts, typer.Argument(metavar="[ARGV]...", help="The command; none: JSON lines on stdin.")
]
Ids = Annotated[
    _Texts, typer.Argument(metavar="[ID]...", help="Job ids; none: JSON lines on stdin.")
]
Id = Annotated[str, typer.Argument(metavar="ID", help="The job.")]
Key = Annotated[
    _Text, typer.Option("--key", metavar="KEY", help="Idempotency key: requested once, for ever.")
]
Needs = Annotated[
    _Texts, typer.Option("--needs", metavar="CAP", help="Only on workers that have it; repeatable.")
]
Timeout = Annotated[
    _Text, typer.Option("--timeout", metavar="TIME", help="How long the command may take (1h).")
]
Grace = Annotated[
    _Text, typer.Option("--grace", metavar="TIME", help="From TERM to KILL when it must end (10s).")
]
Retry = Annotated[
    _Text,
    typer.Option("--retry", metavar="WHEN", help="lost: its worker died; any: it failed (lost)."),
]
Attempts = Annotated[
    int | None, typer.Option("--max-attempts", metavar="N", min=1, help="At most so many (3).")
]
Backoff = Annotated[
    _Text, typer.Option("--backoff", metavar="TIME", help="Wait before the second attempt (10s).")
]
StartBy = Annotated[
    _Text, typer.Option("--start-by", metavar="TIME", help="Not at all after 10m, 2h, 3d.")
]
Work = Annotated[_Text, typer.Option("--work", metavar="ID", help="The work item it is for.")]
Env = Annotated[
    _Texts, typer.Option("--env", metavar="K=V", help="A variable of the command's; repeatable.")
]
Secret = Annotated[
    _Texts,
    typer.Option("--secret", metavar="NAME", help="A secret it gets as a variable; repeatable."),
]
Cwd = Annotated[
    _Text, typer.Option("--cwd", metavar="DIR", help="Where it runs (here), below the root.")
]
Repo = Annotated[
    _Text, typer.Option("--repo", metavar="REF", help="In a work tree of its own, of this commit.")
]
Input = Annotated[
    _Text, typer.Option("--input", metavar="FILE|-", help="What it reads on standard input.")
]
PublishLog = Annotated[
    bool, typer.Option("--publish-log", help="Let a sync carry its output, up to 1 MiB.")
]
Cause = Annotated[_Text, typer.Option("--cause", metavar="ID", help="The event that set it off.")]
AllowSecret = Annotated[
    bool, typer.Option("--allow-secret", help="Write it even if it looks like a credential.")
]
Slots = Annotated[
    int, typer.Option("--slots", metavar="N", min=1, help="At most so many jobs at once (1).")
]
Once = Annotated[bool, typer.Option("--once", help="Run what is free, then end.")]
Most = Annotated[
    int | None, typer.Option("--max", metavar="N", min=1, help="At most N attempts, then end.")
]
Cap = Annotated[
    _Texts, typer.Option("--cap", metavar="CAP", help="What this worker has; repeatable.")
]
Only = Annotated[bool, typer.Option("--only", help="Leave alone the jobs that need none of these.")]
Substrate = Annotated[
    str, typer.Option("--substrate", metavar="WHERE", help="local tmux ssh:HOST container:IMAGE.")
]
Stderr = Annotated[bool, typer.Option("--stderr", help="Its standard error instead.")]
Attempt = Annotated[
    int | None, typer.Option("--attempt", metavar="N", min=1, help="This attempt (the last one).")
]
Follow = Annotated[
    bool, typer.Option("-f", "--follow", help="Go on with what comes, until it is over.")
]
All = Annotated[bool, typer.Option("--all", help="Also jobs that are over.")]
Status = Annotated[
    _Texts, typer.Option("--status", metavar="STATUS", help="Only with this status; repeatable.")
]
ForWork = Annotated[_Text, typer.Option("--work", metavar="ID", help="Only of this work item.")]
Lines = Annotated[int | None, typer.Option("-n", "--lines", metavar="N", min=0, help="At most N.")]
At = Annotated[_Text, typer.Option("--at", metavar="TIME", help="As it was then.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, up to 500 bytes.")]
