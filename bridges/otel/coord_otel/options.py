"""How the parameters of coord-otel are declared on a command line."""

from __future__ import annotations

from typing import Annotated

import typer

SECTION = 8
"""Of the manual page."""

To = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="URL",
        help="The collector: http://HOST:4318 ($OTEL_EXPORTER_OTLP_ENDPOINT).",
    ),
]
Prometheus = Annotated[
    str | None,
    typer.Option("--prometheus", metavar=":PORT", help="Serve the metrics there, too."),
]
Once = Annotated[bool, typer.Option("--once", help="Export what is there, and exit.")]
First = {
    "all_": Annotated[bool, typer.Option("--all", help="A first export of whatever length.")],
    "now": Annotated[bool, typer.Option("--now", help="Begin behind what is there.")],
}
Looks = {
    "dry_run": Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be exported now.")
    ],
    "status": Annotated[bool, typer.Option("--status", help="Only print how far it is.")],
}
