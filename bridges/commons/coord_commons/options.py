"""How the parameters of coord-commons' commands are declared on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

SECTION = 1
"""Of the manual page."""

_Text = str | None
_Texts = list[str] | None


def _value(name: str) -> object:
    return Annotated[
        int | None,
        typer.Option(f"--{name}", metavar="N", min=0, max=5, help=f"The {name}, from 0 to 5."),
    ]


Remote = Annotated[
    str, typer.Argument(metavar="REMOTE", help="A URL or path, as for `ev sync --remote`.")
]
Name = Annotated[
    _Text, typer.Option("--name", metavar="NAME", help="What you call it (the remote's name).")
]
Town = Annotated[
    _Text, typer.Option("--town", metavar="TOWN", help="What you are called (git's user.name).")
]
Signers = Annotated[
    _Text,
    typer.Option("--signers", metavar="FILE", help="Agree to this allowed_signers file."),
]
Left = Annotated[str, typer.Argument(metavar="NAME", help="A commons that you have joined.")]
Force = Annotated[bool, typer.Option("--force", help="Also what was not given.")]
NewTown = Annotated[str, typer.Argument(metavar="TOWN", help="What the town is called.")]
NewKey = Annotated[
    str, typer.Argument(metavar="KEY", help="Its public SSH key, or a file with it.")
]
Digest = Annotated[
    _Text, typer.Argument(metavar="[DIGEST]", help="Agree to the file with this digest.")
]
Without = Annotated[
    _Texts,
    typer.Option("--without", metavar="KEY", help="Leave out this new key; repeatable."),
]
Commons = Annotated[
    _Text, typer.Option("--commons", metavar="NAME", help="Which commons (the only one).")
]
Id = Annotated[
    str, typer.Argument(metavar="ID", help="An offer, or an item here that stands for it.")
]
_Reward = Annotated[
    _Text, typer.Option("--reward", metavar="TEXT", help="What is given for it, in your words.")
]
_Needs = Annotated[
    _Texts,
    typer.Option("--needs", metavar="CAP", help="A capability that it needs; repeatable."),
]
_Share = Annotated[
    _Texts,
    typer.Option("--share", metavar="FIELD", help="Show this field of it, too; repeatable."),
]
_Can = Annotated[
    _Texts,
    typer.Option("--can", metavar="CAP", help="Only what needs nothing else; repeatable."),
]
_Everything = Annotated[bool, typer.Option("--all", help="Those that are not wanted, too.")]
_Lines = Annotated[
    int | None, typer.Option("-n", "--lines", metavar="N", min=1, help="Print at most N.")
]
Offering = {"reward": _Reward, "needs": _Needs, "share": _Share}
Wanted = {"can": _Can, "everything": _Everything, "lines": _Lines}
At = Annotated[_Text, typer.Option("--at", metavar="TIME", help="Show the state at TIME.")]
Evidence = Annotated[
    _Texts,
    typer.Option("--evidence", metavar="ARTIFACT", help="What shows it, KIND=URI; repeatable."),
]
Note = Annotated[_Text, typer.Option("--note", metavar="TEXT", help="What else is to be said.")]
Why = Annotated[_Text, typer.Option("--why", metavar="TEXT", help="What is to be changed.")]
Subject = Annotated[
    _Text, typer.Argument(metavar="[SUBJECT]", help="A town, or the fingerprint of its key.")
]
Valence = {
    "quality": _value("quality"),
    "reliability": _value("reliability"),
    "creativity": _value("creativity"),
    "note": Note,
}
