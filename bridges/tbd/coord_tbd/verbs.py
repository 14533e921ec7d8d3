"""The verbs and options of `tbd`: what is the same, what differs, what is not there.

This table is the parser's, and the README's list; a test runs both programs and compares.
"""

from __future__ import annotations

from coord_kernel.cli.flags import Verb, options

MANY = 1_000
COMMON = options(
    json="flag --json",
    quiet="flag --quiet",
    dry_run="flag --dry-run",
    color="one --color",
    version="flag --version",
    help="flag -h --help",
    ignored="flag --verbose --no-sync --debug",
)
LIMIT = options(limit="one --limit")
LONG = options(long="flag --long")
CREATE = options(
    type_="one -t --type",
    priority="one -p --priority",
    description="one -d --description",
    file="one -f --file",
    assignee="one --assignee; a name is spelled with a-z 0-9 . _ - /",
    due="one --due",
    defer="one --defer; also defers the item for `wk ready`; whole seconds become milliseconds",
    parent="one --parent",
    spec="one --spec",
    label="many -l --label",
    from_file="none --from-file; use options, or `wk new` with JSON lines",
)
UPDATE = options(
    title="one --title",
    status="one --status; in_progress is a claim, and refused if another agent holds the item",
    type_="one --type",
    priority="one --priority",
    assignee="one --assignee; a claim of the item goes to that agent",
    description="one --description",
    notes="one --notes",
    notes_file="one --notes-file",
    due="one --due",
    defer="one --defer; also defers the item for `wk ready`",
    add_label="many --add-label",
    remove_label="many --remove-label",
    parent="one --parent",
    spec="one --spec; parts do not follow",
    child_order="one --child-order",
    from_file="none --from-file; use options, or `wk edit`",
)
VERBS: dict[str, Verb] = {
    "create": Verb(0, 1, CREATE),
    "list": Verb(
        0,
        0,
        options(
            status="one --status",
            all_="flag --all",
            type_="one --type",
            priority="one --priority",
            assignee="one --assignee",
            label="many --label",
            parent="one --parent",
            spec="one --spec",
            deferred="flag --deferred",
            defer_before="one --defer-before",
            sort="one --sort",
            limit="one --limit",
            count="flag --count",
            long="flag --long",
            pretty="flag --pretty",
            specs="flag --specs",
        ),
    ),
    "ready": Verb(0, 0, {**options(type_="one --type"), **LIMIT, **LONG}),
    "blocked": Verb(0, 0, {**LIMIT, **LONG}),
    "stale": Verb(0, 0, {**options(days="one --days", status="one --status"), **LIMIT}),
    "show": Verb(
        1,
        1,
        options(
            no_parent="flag --no-parent",
            max_lines="one --max-lines",
            show_order="flag --show-order",
        ),
    ),
    "update": Verb(1, 1, UPDATE),
    "start": Verb(1, 1, {}, "tbd 0.2.3 has none; it is `update --status in_progress`"),
    "close": Verb(1, 1, options(reason="one --reason")),
    "reopen": Verb(1, 1, options(reason="one --reason")),
    "search": Verb(
        1,
        1,
        {
            **options(
                status="one --status",
                field="one --field",
                case="flag --case-sensitive",
                no_refresh="flag --no-refresh",
            ),
            **LIMIT,
        },
    ),
    "dep add": Verb(
        2, 2, {}, "refused if it would close a cycle, also of an issue on a part of it"
    ),
    "dep remove": Verb(2, 2, {}),
    "dep list": Verb(1, 1, {}),
    "label add": Verb(2, MANY, {}),
    "label remove": Verb(2, MANY, {}),
    "label list": Verb(0, 0, {}),
    "stats": Verb(0, 0, {}),
    "status": Verb(0, 0, {}, "no worktree, workspaces and integrations: there are none"),
    "sync": Verb(
        0,
        0,
        options(
            status="flag --status",
            part="flag --push --pull --issues --docs; both ways always; there are no docs",
            ignored="flag --no-auto-save --no-outbox",
            force="none --force --fix; use `coord doctor`",
        ),
        "`ev sync` where a remote is configured, else nothing is done, status 0",
    ),
    "prime": Verb(
        0,
        0,
        options(brief="flag --brief", export="flag --export"),
        "an introduction of our own, in 250 words",
    ),
    "init": Verb(
        0,
        0,
        options(
            prefix="one --prefix",
            force="flag --force",
            branch="none --sync-branch --remote; use `ev sync --remote NAME`",
        ),
        "`ev init`, and the prefix in coord.toml; nothing else is written",
    ),
    "setup": Verb(0, -1, {}, "use `tbd init --prefix NAME` and `coord setup`"),
    "config": Verb(0, -1, {}, "settings are in coord.toml"),
    "doctor": Verb(0, -1, {}, "use `coord doctor`"),
    "attic": Verb(0, -1, {}, "use `wk ls --conflicts`"),
    "workspace": Verb(0, -1, {}, "there are none"),
    "save": Verb(0, -1, {}, "use `wk export --to tbd DIR`"),
    "import": Verb(0, -1, {}, "use `wk import --from tbd DIR`"),
    "uninstall": Verb(0, -1, {}, "remove the link, and .coord"),
    "docs": Verb(0, -1, {}, "see coord-tbd(1)"),
    "shortcut": Verb(0, -1, {}, "there are none"),
    "guidelines": Verb(0, -1, {}, "there are none"),
    "template": Verb(0, -1, {}, "there are none"),
    "closing": Verb(0, -1, {}, "there is no protocol: what was printed is on the disk"),
    "skill": Verb(0, -1, {}, "use `tbd prime`"),
    "design": Verb(0, -1, {}, "see spec/"),
    "readme": Verb(0, -1, {}, "see coord-tbd(1)"),
}
