"""What the parameters of msg's commands are on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Mail ids; none: JSON lines on stdin.")]
To = Annotated[list[str] | None, typer.Option("--to", metavar="ADDRESS", help="Whose mail it is; repeatable.")]
Subject = Annotated[str | None, typer.Option("--subject", metavar="TEXT", help="Its subject, up to 200 bytes.")]
Body = Annotated[str | None, typer.Option("--body", metavar="TEXT|@FILE|-", help="Its text, up to 32 KiB.")]
Thread = Annotated[str | None, typer.Option("--thread", metavar="ID", help="The thread it belongs to.")]
Work = Annotated[str | None, typer.Option("--work", metavar="ID", help="The work item it is about.")]
Key = Annotated[str | None, typer.Option("--key", metavar="KEY", help="Idempotency key: sent once, for ever.")]
AllowSecret = Annotated[bool, typer.Option("--allow-secret", help="Send it even if it looks like a credential.")]
Follow = Annotated[bool, typer.Option("-f", "--follow", help="Go on with what comes.")]
Ack = Annotated[bool, typer.Option("--ack", help="Ack each one after it was printed.")]
