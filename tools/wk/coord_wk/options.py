"""The parameters of wk's commands on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

_Texts = list[str] | None
_Text = str | None

Title = Annotated[
    _Text, typer.Argument(metavar="[TITLE]", help="What to do; without it, JSON lines on stdin.")
]
Ids = Annotated[
    _Texts, typer.Argument(metavar="[ID]...", help="Work ids; without any, JSON lines on stdin.")
]
OneId = Annotated[str, typer.Argument(metavar="ID", help="A work id.")]
WaitingId = Annotated[str, typer.Argument(metavar="ITEM", help="The work item that waits.")]
BlockerId = Annotated[
    str, typer.Argument(metavar="BLOCKER", help="The work item that must be closed first.")
]
MaybeId = Annotated[
    _Text, typer.Argument(metavar="[ID]", help="A work id; without it, all without a parent.")
]
Comment = Annotated[str, typer.Argument(metavar="TEXT|@FILE|-", help="The comment.")]
Question = Annotated[str, typer.Argument(metavar="TEXT|@FILE|-", help="The question.")]
Answer = Annotated[str, typer.Argument(metavar="OPTION", help="One of the question's options.")]
At = Annotated[_Text, typer.Option("--at", metavar="TIME", help="Show the state at TIME.")]
OfClaim = Annotated[
    _Text, typer.Option("--claim", metavar="CLAIM", help="End this claim only, whoever has it.")
]
Lines = Annotated[int | None, typer.Option("-n", "--lines", metavar="N", min=0, help="At most N.")]
Explain = Annotated[bool, typer.Option("--explain", help="Show why items are not ready.")]
Reason = Annotated[_Text, typer.Option("--reason", metavar="TEXT", help="The reason.")]
File = Annotated[
    str, typer.Argument(metavar="FILE|-", help="The file to import; for tbd also a directory.")
]
Dir = Annotated[_Text, typer.Argument(metavar="[DIR]", help="For md and tbd: where the files go.")]
From = Annotated[
    str, typer.Option("--from", metavar="PROGRAM", help="The program that wrote it: beads or tbd.")
]
To = Annotated[
    str,
    typer.Option("--to", metavar="FORM", help="beads (JSON lines), or tbd or md (files in DIR)."),
]
AllowSecret = Annotated[
    bool, typer.Option("--allow-secret", help="Accept text that looks like a credential.")
]

Words = Annotated[list[str], typer.Argument(metavar="TEXT...", help="The words.")]
Statuses = Annotated[
    _Texts, typer.Option("--status", metavar="STATUS", help="Only with this status; repeatable.")
]
Older = Annotated[str, typer.Option("--older", metavar="TIME", help="Untouched for so long (7d).")]
Atomic = Annotated[bool, typer.Option("--atomic", help="Do all of them, or none.")]

_Label = Annotated[
    _Texts, typer.Option("-l", "--label", metavar="LABEL", help="A label; repeatable.")
]
_Kind = Annotated[
    _Text,
    typer.Option("--kind", metavar="KIND", help="A word: task bug feature epic … (task)."),
]
_Assignee = Annotated[
    _Text, typer.Option("--assignee", metavar="AGENT", help="The agent that should do it.")
]

_Missing = Annotated[
    bool, typer.Option("--allow-missing", help="Accept full ids of items not known here.")
]
AllowMissing = _Missing

Fields = {
    "desc": Annotated[_Text, typer.Option("--desc", metavar="TEXT|@FILE|-", help="A description.")],
    "kind": _Kind,
    "priority": Annotated[
        int | None,
        typer.Option("-p", "--priority", metavar="N", min=0, max=4, help="0 is most urgent (2)."),
    ],
    "label": _Label,
    "parent": Annotated[
        _Text, typer.Option("--parent", metavar="ID", help="The item it is a part of.")
    ],
    "assignee": _Assignee,
    "field": Annotated[
        _Texts, typer.Option("--field", metavar="K=V", help="A field of your own; repeatable.")
    ],
}
Making = {
    "blocked_by": Annotated[
        _Texts, typer.Option("--blocked-by", metavar="ID", help="What it waits on; repeatable.")
    ],
    "hold": Annotated[
        _Text, typer.Option("--hold", metavar="REASON", help="On hold from the beginning.")
    ],
    "defer_until": Annotated[
        _Text, typer.Option("--defer-until", metavar="TIME", help="Not ready before TIME.")
    ],
    "key": Annotated[
        _Text, typer.Option("--key", metavar="KEY", help="Idempotency key: create it only once.")
    ],
    "allow_missing": _Missing,
}
Asking = {
    "to": Annotated[
        _Texts, typer.Option("--to", metavar="AGENT", help="Who is to answer; repeatable.")
    ],
    "option": Annotated[
        _Texts,
        typer.Option("--option", metavar="TEXT", help="A possible answer; repeatable (yes, no)."),
    ],
    "about": Annotated[
        _Text,
        typer.Option(
            "--about", metavar="FILE|DIGEST|ID", help="What the answer is bound to, as it is now."
        ),
    ],
    "for_": Annotated[
        _Text, typer.Option("--for", metavar="TIME", help="Until then it can be answered: 2h.")
    ],
    "on_timeout": Annotated[
        _Text, typer.Option("--on-timeout", metavar="OPTION", help="The answer after that.")
    ],
    "blocks": Annotated[
        _Texts, typer.Option("--blocks", metavar="ID", help="What waits for it; repeatable.")
    ],
    "key": Annotated[
        _Text, typer.Option("--key", metavar="KEY", help="Idempotency key: ask it only once.")
    ],
    "wait": Annotated[bool, typer.Option("--wait", help="Wait for the answer, and exit with it.")],
}
Changes = {
    "title": Annotated[_Text, typer.Option("--title", metavar="TEXT", help="A new title.")],
    "rm_label": Annotated[
        _Texts, typer.Option("--rm-label", metavar="LABEL", help="Remove this label; repeatable.")
    ],
    "hold": Annotated[
        _Text, typer.Option("--hold", metavar="REASON", help="Put on hold; empty: end the hold.")
    ],
    "defer_until": Annotated[
        _Text,
        typer.Option("--defer-until", metavar="TIME", help="Defer it; empty: end the deferral."),
    ],
}
Override = {
    "force": Annotated[bool, typer.Option("--force", help="Override its status or its holder.")],
    "allow_secret": AllowSecret,
}
Listing = {
    "label": _Label,
    "kind": Annotated[
        _Texts, typer.Option("--kind", metavar="KIND", help="Only of this kind; repeatable.")
    ],
    "not_kind": Annotated[
        _Texts, typer.Option("--not-kind", metavar="KIND", help="Not of this kind; repeatable.")
    ],
    "priority": Annotated[
        _Texts,
        typer.Option("-p", "--priority", metavar="N", help="Of this priority; repeatable."),
    ],
    "parent": Annotated[
        _Text, typer.Option("--parent", metavar="ID", help="Only parts of this item.")
    ],
    "assignee": Annotated[
        _Text, typer.Option("--assignee", metavar="AGENT", help="Only what this agent should do.")
    ],
    "unassigned": Annotated[
        bool, typer.Option("--unassigned", help="Only what is assigned to nobody.")
    ],
    "owner": Annotated[
        _Text, typer.Option("--owner", metavar="AGENT", help="Only what this agent holds.")
    ],
    "field": Annotated[
        _Texts,
        typer.Option("--field", metavar="K=V", help="Only with this field; repeatable."),
    ],
    "lines": Lines,
    "full": Annotated[bool, typer.Option("--full", help="Show everything about each.")],
    "at": At,
}
Selection = {
    "status": Statuses,
    "all_": Annotated[bool, typer.Option("--all", help="Closed ones, too.")],
    "conflicts": Annotated[bool, typer.Option("--conflicts", help="Only items with conflicts.")],
    "stalled": Annotated[
        bool, typer.Option("--stalled", help="Only items whose holder is stuck or gone, and why.")
    ],
}
Takeover = {
    "steal": Annotated[
        bool, typer.Option("--steal", help="Take it from an owner silent for 30 minutes.")
    ],
    "resume": Annotated[
        bool, typer.Option("--resume", help="Take it over from another session of yours.")
    ],
    "reason": Reason,
    "for_": Annotated[
        _Text, typer.Option("--for", metavar="AGENT", help="Claim it for this agent.")
    ],
    "session": Annotated[
        _Text, typer.Option("--session", metavar="ID", help="With --for: the agent's session.")
    ],
}
Handing = {
    "to": Annotated[_Text, typer.Option("--to", metavar="AGENT", help="Who does it from now on.")],
    "note": Annotated[
        _Text, typer.Option("--note", metavar="TEXT", help="What AGENT should know: a comment.")
    ],
}
Relation = {
    "rel": Annotated[str, typer.Option("--rel", metavar="REL", help="The relation (blocked_by).")],
    "rm": Annotated[bool, typer.Option("--rm", help="Remove the dependency.")],
    "allow_missing": _Missing,
}
First = {
    "claim": Annotated[bool, typer.Option("--claim", help="Claim the first one.")],
    "anyone": Annotated[
        bool, typer.Option("--anyone", help="Also what is assigned to another agent.")
    ],
}
Strength = {
    "require": Annotated[
        _Text,
        typer.Option("--require", metavar="LEVEL", help="local, or confirmed: if not, exit 69."),
    ],
    "no_sync": Annotated[bool, typer.Option("--no-sync", help="Do not ask the remote: tentative.")],
}
Closing = {
    "resolution": Annotated[
        _Text,
        typer.Option("--resolution", metavar="HOW", help="done cancelled duplicate wontfix."),
    ],
    "dup_of": Annotated[
        _Text, typer.Option("--dup-of", metavar="ID", help="The item it is a duplicate of.")
    ],
    "note": Annotated[_Text, typer.Option("--note", metavar="TEXT", help="A note, up to 4 KiB.")],
    "require": Annotated[
        _Text,
        typer.Option(
            "--require",
            metavar="LEVEL",
            help="confirmed: claim it first; if not confirmed, exit 69.",
        ),
    ],
}
Artifact = {
    "kind": Annotated[
        str,
        typer.Option("--kind", metavar="KIND", help="commit branch pr diff log file url trace."),
    ],
    "uri": Annotated[_Text, typer.Option("--uri", metavar="URI", help="Where it is.")],
    "name": Annotated[_Text, typer.Option("--name", metavar="NAME", help="A name for it.")],
}
