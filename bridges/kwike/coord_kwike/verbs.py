"""The verbs of `kwike`, and what each is here: the table of the parser and of the README."""

from __future__ import annotations

from coord_kernel.cli.flags import Verb, options

COMMON = options(help="flag -h --help", version="flag --version")
VERBS: dict[str, Verb] = {
    "daemon": Verb(
        0,
        0,
        options(
            http="one --http; no port is opened: other machines have `ev sync`, or coord-relay",
            socket="one --socket; there is none to open: the store is a directory",
        ),
        "makes the store, then prints the events that come; nothing depends on it",
    ),
    "watch": Verb(
        1,
        1,
        options(
            type_="one -t --type",
            interval="one -i --interval",
            once="flag --once",
            every="flag --every",
        ),
    ),
    "dispatch": Verb(
        0,
        0,
        options(
            type_="one -t --type",
            source="none --http; write to the store here, and `ev sync`",
        ),
    ),
    "consume": Verb(
        0,
        0,
        options(
            config="one -c --config; our keys, in YAML or TOML; templates are Jinja2",
            once="flag --once; what is there is handled, then it ends",
            dry_run="flag --dry-run",
            most="one --max",
        ),
    ),
}
