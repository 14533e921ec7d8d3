"""How the parameters of ev's commands are declared on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

Type = Annotated[
    str | None,
    typer.Argument(metavar="[TYPE]", help="namespace.verb; without it: JSON lines on stdin."),
]
Pairs = Annotated[
    list[str] | None,
    typer.Argument(metavar="[K=V]...", help="Fields of the body: numbers, true, false, text."),
]
Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help="Event ids; without them: JSON lines on stdin."),
]
Id = Annotated[str, typer.Argument(metavar="ID", help="Event id, full or short.")]
Reason = Annotated[
    str,
    typer.Option("--reason", metavar="TEXT", help="Reason shown to readers; at most 200 bytes."),
]
Body = Annotated[
    str | None, typer.Option("--body", metavar="JSON|@FILE|-", help="Body, a JSON object.")
]
Ref = Annotated[
    list[str] | None, typer.Option("--ref", metavar="K=V", help="Reference; repeatable.")
]
To = Annotated[
    list[str] | None,
    typer.Option("--to", metavar="ADDRESS", help="Recipient, as of mail; repeatable."),
]
Key = Annotated[
    str | None,
    typer.Option("--key", metavar="KEY", help="Idempotency key; written once, never again."),
]
Cause = Annotated[
    str | None, typer.Option("--cause", metavar="ID", help="Event that caused this one.")
]
AllowSecret = Annotated[
    bool, typer.Option("--allow-secret", help="Write even if it looks like a credential.")
]
Lines = Annotated[
    int | None, typer.Option("-n", "--lines", metavar="N", min=0, help="Print the last N (10).")
]
Follow = Annotated[bool, typer.Option("-f", "--follow", help="Print new events as they come.")]
Name = Annotated[
    str | None,
    typer.Option("--cursor", metavar="NAME", help="Continue at the cursor NAME, and move it."),
]
After = Annotated[
    str | None,
    typer.Option(
        "--after", metavar="PLACE", help="Only after this event id, $pos, or {stream: seq}."
    ),
]
AckFd = Annotated[
    int | None,
    typer.Option("--ack-fd", metavar="FD", min=0, help="Move the cursor past ids read from FD."),
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="Only events up to TIME.")
]
First = Annotated[
    int | None, typer.Option("-n", "--lines", metavar="N", min=0, help="Print at most N.")
]
Grep = Annotated[
    str | None,
    typer.Option("--grep", metavar="REGEX", help="Only events with matching text in the body."),
]
Pos = Annotated[bool, typer.Option("--pos", help="In order of arrival here, numbered: $pos.")]
Agents = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME]...", help="Show everything about these.")
]
EmitLive = Annotated[
    bool, typer.Option("--live", help="As a live event: never synced, gone after a week.")
]
WithLive = Annotated[bool, typer.Option("--live", help="Print live events, too.")]
Active = Annotated[bool, typer.Option("--active", help="Only agents seen in the last 30 minutes.")]
UnsafeFs = Annotated[bool, typer.Option("--unsafe-fs", help="Allow a network file system.")]
Remote = Annotated[
    str | None,
    typer.Option("--remote", metavar="NAME", help="Git remote, path, URL of git or of a live log."),
]
With = Annotated[
    str | None,
    typer.Option("--with", metavar="DIR", help="Exchange with the store in DIR instead."),
]
Watch = Annotated[bool, typer.Option("--watch", help="Sync repeatedly.")]
Command = Annotated[
    list[str] | None, typer.Argument(metavar="[-- CMD...]", help="Command to run and compare.")
]
Every = Annotated[bool, typer.Option("--every", help="Append an event for every run.")]
OneLook = Annotated[bool, typer.Option("--once", help="Run the command once and exit.")]
File = Annotated[str, typer.Argument(metavar="FILE", help="Consumer file, in TOML.")]
Once = Annotated[bool, typer.Option("--once", help="Handle the pending events and exit.")]
Most = Annotated[
    int | None,
    typer.Option("--max", metavar="N", min=1, help="Handle at most N events and exit."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the commands that would run; write nothing.")
]
Interval = Annotated[
    str | None, typer.Option("--interval", metavar="TIME", help="Pause between two runs (30s).")
]
Budget = Annotated[str, typer.Option("--budget", metavar="TIME", help="Time limit (60s).")]
SyncStatus = Annotated[
    bool, typer.Option("--status", help="Show unpushed events and events by replica.")
]
Repair = Annotated[
    bool, typer.Option("--repair-arbiter", help="Merge two diverged arbiter histories.")
]
Move = Annotated[
    str | None,
    typer.Option("--move-arbiter", metavar="NAME", help="Move the arbiter to this remote."),
]
Take = Annotated[
    str | None,
    typer.Option(
        "--take-arbiter", metavar="NAME", help="Make this remote the arbiter's place by force."
    ),
]
Forget = Annotated[
    str | None,
    typer.Option("--forget", metavar="NAME", help="Do not sync with this remote any more."),
]
Archive = Annotated[
    bool, typer.Option("--archive", help="Archive refs of replicas inactive for 30 days.")
]
Sign = Annotated[
    bool, typer.Option("--sign", help="Sign what this store gives, with git's user.signingkey.")
]
NextKey = Annotated[
    str | None,
    typer.Option("--next-key", metavar="FILE", help="Sign that this key signs from now on."),
]
Signatures = Annotated[
    bool, typer.Option("--signatures", help="Show who has signed what, and what nobody has.")
]
Show = Annotated[bool, typer.Option("--show", help="Only show the values; change nothing.")]
Fields = {"body": Body, "ref": Ref, "to": To, "key": Key, "cause": Cause, "live": EmitLive}
Part = {"after": After, "until": Until, "most": First, "grep": Grep, "pos": Pos, "live": WithLive}
Position = {"after": After, "cursor_": Name, "ack_fd": AckFd}
Signing = {"sign": Sign, "next_key": NextKey}
Repeat = {"interval": Interval, "every": Every, "once": OneLook}
Action = {
    "with_": With,
    "watch": Watch,
    "status": SyncStatus,
    "archive": Archive,
    "repair_arbiter": Repair,
    "move_arbiter": Move,
    "take_arbiter": Take,
    "forget": Forget,
}
Timing = {"interval": Interval, "budget": Budget}
