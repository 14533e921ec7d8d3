"""What the parameters of wk's commands are on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

_Texts = list[str] | None
_Text = str | None

Title = Annotated[
    _Text, typer.Argument(metavar="[TITLE]", help="What is to be done; none: JSON lines on stdin.")
]
Ids = Annotated[
    _Texts, typer.Argument(metavar="[ID]...", help="Work ids; none: JSON lines on stdin.")
]
OneId = Annotated[str, typer.Argument(metavar="ID", help="A work id.")]
MaybeId = Annotated[
    _Text, typer.Argument(metavar="[ID]", help="A work id; none: all that have no parent.")
]
Said = Annotated[str, typer.Argument(metavar="TEXT|@FILE|-", help="What is to be said.")]
Desc = Annotated[
    _Text, typer.Option("--desc", metavar="TEXT|@FILE|-", help="A description, up to 32 KiB.")
]
Kind = Annotated[
    _Text,
    typer.Option("--kind", metavar="KIND", help="task bug feature epic chore question (task)."),
]
Priority = Annotated[
    int | None, typer.Option("-p", "--priority", metavar="N", min=0, max=4, help="0 is first (2).")
]
NewTitle = Annotated[_Text, typer.Option("--title", metavar="TEXT", help="Another title.")]
Label = Annotated[
    _Texts, typer.Option("-l", "--label", metavar="LABEL", help="A label; repeatable.")
]
RmLabel = Annotated[
    _Texts, typer.Option("--rm-label", metavar="LABEL", help="Take this label off; repeatable.")
]
Parent = Annotated[_Text, typer.Option("--parent", metavar="ID", help="The item it is a part of.")]
BlockedBy = Annotated[
    _Texts, typer.Option("--blocked-by", metavar="ID", help="What it waits on; repeatable.")
]
Rel = Annotated[str, typer.Option("--rel", metavar="REL", help="How it depends (blocked_by).")]
Rm = Annotated[bool, typer.Option("--rm", help="Take the dependency away.")]
Assignee = Annotated[_Text, typer.Option("--assignee", metavar="AGENT", help="Who should do it.")]
Hold = Annotated[
    _Text, typer.Option("--hold", metavar="REASON", help="Why it must wait; empty: no more.")
]
Defer = Annotated[
    _Text, typer.Option("--defer-until", metavar="TIME", help="Not before then; empty: no more.")
]
Field = Annotated[
    _Texts, typer.Option("--field", metavar="K=V", help="A field of your own; repeatable.")
]
Key = Annotated[
    _Text, typer.Option("--key", metavar="KEY", help="Idempotency key: made once, for ever.")
]
Status = Annotated[
    _Texts, typer.Option("--status", metavar="STATUS", help="Only with this status; repeatable.")
]
All = Annotated[bool, typer.Option("--all", help="Closed ones too.")]
Conflicts = Annotated[
    bool, typer.Option("--conflicts", help="Only with concurrent writes that lost.")
]
Most = Annotated[int | None, typer.Option("-n", "--lines", metavar="N", min=0, help="At most N.")]
At = Annotated[_Text, typer.Option("--at", metavar="TIME", help="As it was then.")]
Claim = Annotated[bool, typer.Option("--claim", help="Claim the first one.")]
Explain = Annotated[bool, typer.Option("--explain", help="Say why items are not ready.")]
Steal = Annotated[
    bool, typer.Option("--steal", help="Take it from an owner silent for 30 minutes.")
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Take it over from another session of yours.")
]
Reason = Annotated[_Text, typer.Option("--reason", metavar="TEXT", help="Why.")]
Force = Annotated[bool, typer.Option("--force", help="Even if its status does not allow it.")]
Resolution = Annotated[
    _Text, typer.Option("--resolution", metavar="HOW", help="done cancelled duplicate (done).")
]
DupOf = Annotated[_Text, typer.Option("--dup-of", metavar="ID", help="A duplicate, of this item.")]
Note = Annotated[
    _Text, typer.Option("--note", metavar="TEXT", help="What is to be said, up to 4 KiB.")
]
ArtifactKind = Annotated[
    str, typer.Option("--kind", metavar="KIND", help="commit branch pr diff log file url trace.")
]
Uri = Annotated[_Text, typer.Option("--uri", metavar="URI", help="Where it is.")]
Name = Annotated[_Text, typer.Option("--name", metavar="NAME", help="What it is called.")]
File = Annotated[
    str, typer.Argument(metavar="FILE|-", help="What is to be imported; for tbd also a directory.")
]
Dir = Annotated[_Text, typer.Argument(metavar="[DIR]", help="For md: where the files go.")]
From = Annotated[
    str, typer.Option("--from", metavar="PROGRAM", help="What wrote it: beads or tbd.")
]
To = Annotated[
    str,
    typer.Option("--to", metavar="FORM", help="beads (JSON lines on stdout) or md (files in DIR)."),
]
AllowSecret = Annotated[
    bool, typer.Option("--allow-secret", help="Write it even if it looks like a credential.")
]
Require = Annotated[
    _Text,
    typer.Option("--require", metavar="LEVEL", help="local, confirmed: else give it back, 69."),
]
NoSync = Annotated[bool, typer.Option("--no-sync", help="Do not ask the remote: tentative.")]
