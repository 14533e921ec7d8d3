"""How the parameters of msg's commands are declared on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

_Text = str | None
_Texts = list[str] | None
_Number = int | None

Ids = Annotated[
    _Texts,
    typer.Argument(metavar="[ID]...", help="Message ids; without any, JSON lines on stdin."),
]
OneId = Annotated[str, typer.Argument(metavar="ID", help="The message.")]
ThreadId = Annotated[str, typer.Argument(metavar="ID", help="The thread, or a message in it.")]
Source = Annotated[
    _Text,
    typer.Argument(metavar="[ADDRESS]", help="queue:NAME, chan:NAME or all; default: your mail."),
]
Address = Annotated[_Text, typer.Argument(metavar="[ADDRESS]", help="Only mail to this address.")]
Queues = Annotated[_Text, typer.Argument(metavar="[QUEUE]", help="Only this queue.")]
Groups = Annotated[
    _Texts, typer.Argument(metavar="[GROUP]...", help="The groups, or channels: chan:NAME.")
]
Retain = Annotated[
    _Text,
    typer.Option("--retain", metavar="TIME", help="Of the channels, read nothing older: 12h, 7d."),
]
AllMine = Annotated[bool, typer.Option("--all", help="Ack all mail that waits for you.")]
Dir = Annotated[
    str, typer.Argument(metavar="[DIR]", help="Save here (default: the current directory).")
]
Program = Annotated[
    str, typer.Argument(metavar="PROGRAM", help="The hook's program: claude, codex, gemini, …")
]
Body = Annotated[
    _Text,
    typer.Option("--body", metavar="TEXT|@FILE|-", help="The text (default: what is piped in)."),
]
Shared = {
    "to": Annotated[
        _Texts, typer.Option("--to", metavar="ADDRESS", help="A recipient; repeatable.")
    ],
    "thread": Annotated[
        _Text, typer.Option("--thread", metavar="ID", help="The thread it belongs to.")
    ],
    "work": Annotated[
        _Text, typer.Option("--work", metavar="ID", help="The work item it is about.")
    ],
    "severity": Annotated[
        _Text,
        typer.Option("--severity", metavar="LEVEL", help="low, medium, high or critical."),
    ],
    "fingerprint": Annotated[
        _Text,
        typer.Option(
            "--fingerprint", metavar="NAME", help="What went wrong, as NAME or GROUP/NAME."
        ),
    ],
    "expires": Annotated[
        _Text, typer.Option("--expires", metavar="TIME", help="Expire after TIME: 10m, 2h, 3d.")
    ],
    "visibility": Annotated[
        _Text,
        typer.Option("--visibility", metavar="TIME", help="How long a claim hides it (10m)."),
    ],
    "max_deliveries": Annotated[
        _Number,
        typer.Option("--max-deliveries", metavar="N", min=1, help="Dead after N deliveries (5)."),
    ],
}
Content = {
    "subject": Annotated[
        _Text, typer.Option("--subject", metavar="TEXT", help="The subject, up to 200 bytes.")
    ],
    "body": Body,
    "attach": Annotated[
        _Texts, typer.Option("--attach", metavar="FILE", help="A file to attach; repeatable.")
    ],
    "key": Annotated[
        _Text, typer.Option("--key", metavar="KEY", help="Idempotency key: send only once.")
    ],
}
Overrides = {
    "force": Annotated[bool, typer.Option("--force", help="Send to unknown agents, too.")],
    "allow_secret": Annotated[
        bool, typer.Option("--allow-secret", help="Send even what looks like a credential.")
    ],
}
AsText = Annotated[bool, typer.Option("--text", help="Print as text, each message in a fence.")]
MinTrust = Annotated[
    _Text, typer.Option("--min-trust", metavar="LEVEL", help="Only mail of at least this $trust.")
]
Reading = {
    "follow": Annotated[bool, typer.Option("-f", "--follow", help="Keep printing new messages.")],
    "wait": Annotated[
        _Text,
        typer.Option(
            "--wait", metavar="TIME", help="Wait up to TIME for mail; exit 1 if none arrives."
        ),
    ],
    "max_": Annotated[
        _Number, typer.Option("--max", metavar="N", min=1, help="Print at most N messages.")
    ],
    "ack": Annotated[bool, typer.Option("--ack", help="Ack each message after printing it.")],
    "text": AsText,
    "min_trust": MinTrust,
}
FromQueue = {
    "visibility": Annotated[
        _Text,
        typer.Option("--visibility", metavar="TIME", help="Queue: how long your claim hides it."),
    ],
    "require": Annotated[
        _Text,
        typer.Option(
            "--require", metavar="LEVEL", help="Queue: local, or confirmed by the arbiter."
        ),
    ],
}
FromChannel = {
    "cursor": Annotated[
        _Text,
        typer.Option(
            "--cursor", metavar="NAME", help="Channel: name of the cursor (one per agent)."
        ),
    ],
    "ack_fd": Annotated[
        _Number,
        typer.Option("--ack-fd", metavar="FD", min=0, help="Channel: read acked ids from FD."),
    ],
}
Delay = Annotated[_Text, typer.Option("--delay", metavar="TIME", help="Not before TIME is over.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, up to 500 bytes.")]
Words = Annotated[list[str], typer.Argument(metavar="TEXT...", help="The words.")]
Lines = Annotated[
    _Number, typer.Option("-n", "--lines", metavar="N", min=0, help="At most N messages.")
]
Retire = Annotated[bool, typer.Option("--retire", help="Say that you will no longer act.")]
Description = {
    "kind": Annotated[
        _Text, typer.Option("--kind", metavar="KIND", help="ai, human, bot or bridge.")
    ],
    "model": Annotated[_Text, typer.Option("--model", metavar="TEXT", help="The model you run.")],
    "cap": Annotated[
        _Texts, typer.Option("--cap", metavar="WORD", help="What you can do; repeatable.")
    ],
}
Selection = {
    "from_": Annotated[
        _Text, typer.Option("--from", metavar="AGENT", help="Only mail from this agent.")
    ],
    "work": Annotated[_Text, typer.Option("--work", metavar="ID", help="Only about this item.")],
    "unread": Annotated[
        bool, typer.Option("--unread", help="Only what ADDRESS (you) has not read or acked.")
    ],
    "all_": Annotated[bool, typer.Option("--all", help="Include messages done or expired.")],
    "lines": Lines,
}
At = Annotated[_Text, typer.Option("--at", metavar="TIME", help="Show the state at TIME.")]
Event = Annotated[
    _Text, typer.Option("--event", metavar="EVENT", help="The event (default: from stdin).")
]
Wait = Annotated[
    _Text,
    typer.Option("--wait", metavar="TIME", help="Wait up to TIME, and exit 2 when mail comes."),
]
