"""How the parameters of coord-flow's commands are declared on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

File = Annotated[
    str, typer.Argument(metavar="FILE|-", help="A formula, in TOML or JSON; - is standard input.")
]
Files = Annotated[list[str], typer.Argument(metavar="FILE...", help="Formulas, in TOML or JSON.")]
_VARIABLES = {
    "var": Annotated[
        list[str] | None,
        typer.Option("--var", metavar="NAME=VALUE", help="The value of a variable; repeatable."),
    ],
    "preset": Annotated[
        str | None, typer.Option("--preset", metavar="NAME", help="Only the legs of this preset.")
    ],
}
Variables = _VARIABLES
Pouring = {
    **_VARIABLES,
    "key": Annotated[
        str | None,
        typer.Option(
            "--key", metavar="KEY", help="With one key a formula is poured once (derived)."
        ),
    ],
    "wisp": Annotated[bool, typer.Option("--wisp", help="Its steps are ephemeral: see squash.")],
    "parent": Annotated[
        str | None, typer.Option("--parent", metavar="ID", help="The item that it is a part of.")
    ],
}
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Roots of poured formulas.")]
Note = Annotated[
    str | None, typer.Option("--note", metavar="TEXT", help="Added to the comment, or the reason.")
]
Once = Annotated[bool, typer.Option("--once", help="Do what is due now, and exit.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only print what would be done now; write nothing.")
]
Programs = Annotated[
    str | None,
    typer.Option(
        "--programs", metavar="DIR", help="Where programs of gates and checks may be run from."
    ),
]
Store = Annotated[
    list[str] | None,
    typer.Option(
        "--store",
        metavar="NAME=DIR",
        help="Another project, for items that mirror its; repeatable.",
    ),
]
