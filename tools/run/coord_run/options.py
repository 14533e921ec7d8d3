"""The parameters of run's commands on a command line."""

from __future__ import annotations

from typing import Annotated, Any

import typer

_Text = str | None
_Texts = list[str] | None

Argv = Annotated[
    list[str], typer.Argument(metavar="ARGV...", help="The command and its arguments; no shell.")
]
MaybeArgv = Annotated[
    _Texts,
    typer.Argument(metavar="[ARGV]...", help="The command; without it, JSON lines on stdin."),
]
Ids = Annotated[
    _Texts, typer.Argument(metavar="[ID]...", help="Job ids; without any, JSON lines on stdin.")
]
Id = Annotated[str, typer.Argument(metavar="ID", help="The job.")]
Execution: dict[str, Any] = {
    "timeout": Annotated[
        _Text, typer.Option("--timeout", metavar="TIME", help="Time limit of an attempt (1h).")
    ],
    "grace": Annotated[
        _Text, typer.Option("--grace", metavar="TIME", help="Time from TERM to KILL (10s).")
    ],
    "env": Annotated[
        _Texts, typer.Option("--env", metavar="K=V", help="Set a variable; repeatable.")
    ],
    "secret": Annotated[
        _Texts,
        typer.Option("--secret", metavar="NAME", help="Set a variable to a secret; repeatable."),
    ],
    "cwd": Annotated[
        _Text,
        typer.Option("--cwd", metavar="DIR", help="Working directory below the root (this one)."),
    ],
    "repo": Annotated[
        _Text, typer.Option("--repo", metavar="REF", help="Run in a work tree of this commit.")
    ],
    "name": Annotated[
        _Text,
        typer.Option("--name", metavar="NAME", help="Refuse it while a job of this name is open."),
    ],
    "input_": Annotated[
        _Text, typer.Option("--input", metavar="FILE|-", help="Standard input of the command.")
    ],
}
Scheduling: dict[str, Any] = {
    "needs": Annotated[
        _Texts,
        typer.Option("--needs", metavar="CAP", help="Require a worker capability; repeatable."),
    ],
    "retry": Annotated[
        _Text,
        typer.Option(
            "--retry", metavar="WHEN", help="lost: if its worker died; any: if it failed (lost)."
        ),
    ],
    "max_attempts": Annotated[
        int | None,
        typer.Option("--max-attempts", metavar="N", min=1, help="Make at most N attempts (3)."),
    ],
    "backoff": Annotated[
        _Text,
        typer.Option("--backoff", metavar="TIME", help="Pause after the first failure (10s)."),
    ],
    "after": Annotated[
        _Texts,
        typer.Option("--after", metavar="ID", help="Start when this job succeeded; repeatable."),
    ],
    "start_by": Annotated[
        _Text,
        typer.Option("--start-by", metavar="TIME", help="Expire if not started in 10m, 2h, 3d."),
    ],
    "publish_log": Annotated[
        bool, typer.Option("--publish-log", help="Sync the output, too, up to 1 MiB a stream.")
    ],
}
Recording: dict[str, Any] = {
    "key": Annotated[
        _Text,
        typer.Option("--key", metavar="KEY", help="Idempotency key: one job per key, for ever."),
    ],
    "work": Annotated[
        _Text, typer.Option("--work", metavar="ID", help="The work item that it is for.")
    ],
    "cause": Annotated[
        _Text, typer.Option("--cause", metavar="ID", help="The event that caused it.")
    ],
    "allow_secret": Annotated[
        bool, typer.Option("--allow-secret", help="Write it even if it looks like a credential.")
    ],
}
Capacity: dict[str, Any] = {
    "slots": Annotated[
        int, typer.Option("--slots", metavar="N", min=1, help="Run at most N jobs at once (1).")
    ],
    "max_": Annotated[
        int | None,
        typer.Option("--max", metavar="N", min=1, help="Make at most N attempts, then exit."),
    ],
    "cap": Annotated[
        _Texts, typer.Option("--cap", metavar="CAP", help="Offer a capability; repeatable.")
    ],
    "slots_of": Annotated[
        _Text,
        typer.Option(
            "--slots-of", metavar="POOL", help="Share the slots with all workers of this pool."
        ),
    ],
    "only": Annotated[
        bool, typer.Option("--only", help="Take only jobs that need one of these capabilities.")
    ],
}
Selection: dict[str, Any] = {
    "all_": Annotated[bool, typer.Option("--all", help="Include jobs that are over.")],
    "status": Annotated[
        _Texts, typer.Option("--status", metavar="STATUS", help="Only this status; repeatable.")
    ],
    "work": Annotated[
        _Text, typer.Option("--work", metavar="ID", help="Only jobs for this work item.")
    ],
}
Statuses = Annotated[
    _Texts,
    typer.Option("--status", metavar="STATUS", help="Only what makes a job this; repeatable."),
]
Detach = Annotated[
    bool, typer.Option("--detach", help="Print the request, and run in the background.")
]
Older = Annotated[
    str, typer.Option("--older", metavar="TIME", help="Only of jobs over for this long: 12h, 7d.")
]
SignalName = Annotated[
    str, typer.Argument(metavar="SIGNAL", help="Its name or number: TERM, HUP, USR1, ….")
]
Once = Annotated[bool, typer.Option("--once", help="Exit when no job is free.")]
Substrate = Annotated[
    str,
    typer.Option(
        "--substrate", metavar="WHERE", help="local, tmux, ssh:HOST, container:IMAGE, sprites:NAME."
    ),
]
Capacity["substrate"] = Substrate
Here: dict[str, Any] = {"substrate": Substrate, "detach": Detach}
Stdout = Annotated[bool, typer.Option("--stdout", help="Print standard output only.")]
Stderr = Annotated[bool, typer.Option("--stderr", help="Print standard error only.")]
Attempt = Annotated[
    int | None, typer.Option("--attempt", metavar="N", min=1, help="Of attempt N (the last).")
]
Part: dict[str, Any] = {"stdout": Stdout, "stderr": Stderr, "attempt": Attempt}
Follow = Annotated[
    bool, typer.Option("-f", "--follow", help="Follow the output until the job is over.")
]
Lines = Annotated[
    int | None, typer.Option("-n", "--lines", metavar="N", min=0, help="Print at most N.")
]
At = Annotated[_Text, typer.Option("--at", metavar="TIME", help="Show the state at TIME.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, up to 500 bytes.")]
