"""What the parameters of msg's commands are on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

_Text = str | None
_Texts = list[str] | None

Ids = Annotated[
    _Texts, typer.Argument(metavar="[ID]...", help="Message ids; none: JSON lines on stdin.")
]
OneId = Annotated[str, typer.Argument(metavar="ID", help="The message.")]
ThreadId = Annotated[str, typer.Argument(metavar="ID", help="The thread, or a message in it.")]
Source = Annotated[
    _Text,
    typer.Argument(metavar="[ADDRESS]", help="queue:NAME, chan:NAME or all; none: your mail."),
]
Address = Annotated[_Text, typer.Argument(metavar="[ADDRESS]", help="Only to this one.")]
Queues = Annotated[_Text, typer.Argument(metavar="[QUEUE]", help="Only of this queue.")]
Groups = Annotated[_Texts, typer.Argument(metavar="[GROUP]...", help="The groups.")]
Dir = Annotated[
    str, typer.Argument(metavar="[DIR]", help="Where the files go (the current directory).")
]
Program = Annotated[
    str, typer.Argument(metavar="PROGRAM", help="Which program's hook: claude or codex.")
]
To = Annotated[
    _Texts, typer.Option("--to", metavar="ADDRESS", help="Whose mail it is; repeatable.")
]
Subject = Annotated[
    _Text, typer.Option("--subject", metavar="TEXT", help="Its subject, up to 200 bytes.")
]
Body = Annotated[
    _Text, typer.Option("--body", metavar="TEXT|@FILE|-", help="Its text, up to 32 KiB.")
]
Thread = Annotated[_Text, typer.Option("--thread", metavar="ID", help="The thread it belongs to.")]
Work = Annotated[_Text, typer.Option("--work", metavar="ID", help="The work item it is about.")]
Attach = Annotated[
    _Texts, typer.Option("--attach", metavar="FILE", help="A file to go with it; repeatable.")
]
Expires = Annotated[
    _Text, typer.Option("--expires", metavar="TIME", help="Wanted no more after 10m, 2h, 3d.")
]
Visibility = Annotated[
    _Text, typer.Option("--visibility", metavar="TIME", help="How long a claim hides it (10m).")
]
Deliveries = Annotated[
    int | None, typer.Option("--max-deliveries", metavar="N", min=1, help="Then it is dead (5).")
]
Key = Annotated[
    _Text, typer.Option("--key", metavar="KEY", help="Idempotency key: sent once, for ever.")
]
Force = Annotated[bool, typer.Option("--force", help="Send it to names nobody has, too.")]
AllowSecret = Annotated[
    bool, typer.Option("--allow-secret", help="Send it even if it looks like a credential.")
]
Follow = Annotated[bool, typer.Option("-f", "--follow", help="Go on with what comes.")]
Wait = Annotated[
    _Text, typer.Option("--wait", metavar="TIME", help="Wait so long for something; else exit 1.")
]
Most = Annotated[int | None, typer.Option("--max", metavar="N", min=1, help="At most N messages.")]
Ack = Annotated[bool, typer.Option("--ack", help="Ack each one after it was printed.")]
Require = Annotated[
    _Text,
    typer.Option(
        "--require", metavar="LEVEL", help="confirmed: by the remote's arbiter; or local."
    ),
]
Cursor = Annotated[
    _Text, typer.Option("--cursor", metavar="NAME", help="The place in a channel (one an agent).")
]
AckFd = Annotated[
    int | None,
    typer.Option("--ack-fd", metavar="FD", min=0, help="Move the cursor behind ids read here."),
]
AsText = Annotated[bool, typer.Option("--text", help="Print as text, each message inside a fence.")]
Delay = Annotated[_Text, typer.Option("--delay", metavar="TIME", help="Not again before then.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, up to 500 bytes.")]
From = Annotated[_Text, typer.Option("--from", metavar="AGENT", help="Only by this one.")]
All = Annotated[bool, typer.Option("--all", help="Also what is done or expired.")]
Lines = Annotated[int | None, typer.Option("-n", "--lines", metavar="N", min=0, help="At most N.")]
At = Annotated[_Text, typer.Option("--at", metavar="TIME", help="As it was then.")]
Event = Annotated[
    _Text, typer.Option("--event", metavar="EVENT", help="The event (as stdin says).")
]
