"""The verbs and options of `bd`: what is the same, what differs, what is not there.

This table is the parser's, and the README's list.
"""

from __future__ import annotations

from coord_kernel.cli.flags import Option, Verb, options

MANY = 1_000
NOT = Verb(0, -1, {})
COMMON = options(
    json="flag --json",
    format="one --format",
    actor="one --actor",
    db="one --db",
    directory="one -C --directory",
    quiet="flag -q --quiet",
    verbose="flag -v --verbose",
    help="flag -h --help",
    version="flag -V --version",
    ignored="flag --no-daemon --sandbox --no-auto-flush --no-auto-import --no-db --allow-stale"
    " --readonly --lock-timeout",
)
TEXTS = options(
    description="one -d --description --body -m --message",
    body_file="one --body-file --description-file",
    design="one --design",
    acceptance="one --acceptance",
    notes="one --notes",
    external_ref="one --external-ref",
    spec_id="one --spec-id",
    estimate="one -e --estimate",
    due="one --due",
    defer="one --defer; a date, a time, or +6h +2d +1w; no `tomorrow`",
)
NARROW = options(
    status="list -s --status",
    assignee="one -a --assignee",
    no_assignee="flag --no-assignee",
    type_="one -t --type",
    exclude_type="list --exclude-type",
    label="list -l --label",
    label_any="list --label-any",
    exclude_label="list --exclude-label",
    priority="one -p --priority",
    priority_min="one --priority-min",
    priority_max="one --priority-max",
    parent="one --parent",
    no_parent="flag --no-parent",
    id="list --id",
    title="one --title --title-contains",
    desc_contains="one --desc-contains",
    created_after="one --created-after",
    created_before="one --created-before",
    updated_after="one --updated-after",
    updated_before="one --updated-before",
    closed_after="one --closed-after",
    closed_before="one --closed-before",
    metadata_field="many --metadata-field",
    has_metadata_key="one --has-metadata-key",
    empty_description="flag --empty-description",
    limit="one -n --limit",
    sort="one --sort",
    reverse="flag -r --reverse",
)
CREATE = {
    **TEXTS,
    **options(
        title="one --title",
        stdin="flag --stdin",
        type_="one -t --type; any word of a-z 0-9 . _ - is a type, none has to be configured",
        priority="one -p --priority",
        assignee="one -a --assignee; a name is spelled with a-z 0-9 . _ - /",
        labels="list -l --labels --label",
        parent="one --parent",
        no_inherit="flag --no-inherit-labels",
        id="one --id",
        deps="list --deps",
        metadata="one --metadata; objects and lists are kept as text",
        ephemeral="flag --ephemeral; kept and synced like any other, but never ready",
        silent="flag --silent",
        dry_run="flag --dry-run",
        force="flag -f --force",
        graph="none --graph --graph-file; use `wk apply`",
        file="none --file; use `wk new` with JSON lines",
        gate="none --waits-for --waits-for-gate; use `bd dep add ID TO -t waits-for`",
        rig="none --rig --repo --prefix; a store has one project",
    ),
}
UPDATE = {
    **TEXTS,
    **options(
        status="one -s --status; in_progress is a claim of the assignee, or else of the actor",
        priority="one -p --priority",
        type_="one -t --type; any word",
        title="one --title",
        assignee="one -a --assignee; of an item in progress: its claim goes to that agent, and"
        ' with `""` the item is open again',
        append_notes="one --append-notes",
        add_label="list --add-label",
        remove_label="list --remove-label",
        set_labels="list --set-labels",
        parent="one --parent",
        metadata="one --metadata; objects and lists are kept as text",
        set_metadata="many --set-metadata; `alias` is the id, and null takes a key away",
        unset_metadata="many --unset-metadata",
        claim="flag --claim; another session of the same agent is refused, too",
        stdin="flag --stdin",
        session="one --session",
    ),
}
LIST = {
    **NARROW,
    **options(
        ready="flag --ready",
        all_="flag --all",
        flat="flag --flat",
        long="flag --long",
        pretty="flag --pretty --tree",
        infra="flag --include-infra --include-gates --include-templates",
        pinned="flag --pinned",
        no_pinned="flag --no-pinned",
        no_pager="flag --no-pager",
        watch="none -w --watch; use `wk watch`",
        spec="none --spec --wisp-type --mol-type; use --metadata-field",
        offset="none --offset; use --limit",
    ),
}
READY = {
    **options(
        limit="one -n --limit",
        assignee="one -a --assignee",
        unassigned="flag -u --unassigned --no-assignee",
        type_="one -t --type",
        exclude_type="list --exclude-type",
        label="list -l --label",
        label_any="list --label-any",
        exclude_label="list --exclude-label",
        priority="one -p --priority",
        parent="one --parent",
        sort="one -s --sort",
        metadata_field="many --metadata-field",
        has_metadata_key="one --has-metadata-key",
        deferred="flag --include-deferred",
        ephemeral="flag --include-ephemeral",
        claim="flag --claim",
        pretty="flag --pretty --plain --flat",
        mol="one --mol",
        mol_type="none --mol-type --gated; use --mol",
        explain="none --explain; use `wk ready --explain`",
        rig="none --rig; a store has one project",
    ),
}
POUR = options(
    var="many --var",
    assignee="one --assignee; of the root",
    attach="none --attach --root-only --dry-run; use `coord-flow cook`",
)
TREE = options(depth="one -d --max-depth", direction="one --direction", reverse="flag --reverse")
VERBS: dict[str, Verb] = {
    "create": Verb(0, MANY, CREATE),
    "q": Verb(
        1,
        MANY,
        options(priority="one -p --priority", type_="one -t --type", labels="list -l --labels"),
    ),
    "show": Verb(
        0,
        MANY,
        options(
            id="list --id",
            short="flag --short",
            children="flag --children",
            dependents="flag --include-dependents",
            comments="flag --include-comments",
            long="flag --long",
            current="flag --current",
            refs="none --refs --thread --as-of --watch --local-time; use `wk show`, `wk log`",
        ),
    ),
    "update": Verb(0, MANY, UPDATE),
    "close": Verb(
        0,
        MANY,
        options(
            reason="many -r --reason -m --message --comment",
            reason_file="one --reason-file",
            force="flag -f --force",
            suggest_next="flag --suggest-next",
            claim_next="flag --claim-next",
            session="one --session",
            no_auto="none --continue --no-auto; use --suggest-next",
        ),
    ),
    "reopen": Verb(1, MANY, options(reason="one -r --reason")),
    "list": Verb(0, 0, LIST),
    "ready": Verb(0, 0, READY),
    "blocked": Verb(
        0, 0, options(parent="one --parent", assignee="one -a --assignee", limit="one -n --limit")
    ),
    "search": Verb(0, MANY, {**NARROW, **options(query="one --query", long="flag --long")}),
    "query": Verb(
        1,
        MANY,
        options(
            limit="one -n --limit",
            all_="flag -a --all",
            sort="one --sort",
            reverse="flag -r --reverse",
        ),
    ),
    "children": Verb(1, 1, options(pretty="flag --pretty")),
    "count": Verb(
        0,
        0,
        {
            **NARROW,
            **options(
                by_status="flag --by-status",
                by_priority="flag --by-priority",
                by_type="flag --by-type",
                by_assignee="flag --by-assignee",
                by_label="flag --by-label",
            ),
        },
    ),
    "status": Verb(
        0,
        0,
        options(
            all_="flag --all; counts everything, as without it",
            assigned="flag --assigned; counts everything",
            no_activity="flag --no-activity",
        ),
    ),
    "stale": Verb(
        0, 0, options(days="one -d --days", status="list -s --status", limit="one -n --limit")
    ),
    "dep add": Verb(
        1,
        2,
        options(
            type_="one -t --type",
            blocked_by="one --blocked-by --depends-on",
            file="none --file; use `wk apply`",
        ),
    ),
    "dep": Verb(1, 1, options(blocks="one --blocks")),
    "dep remove": Verb(2, 2, {}),
    "dep list": Verb(1, MANY, options(direction="one --direction", type_="one -t --type")),
    "dep tree": Verb(
        1,
        1,
        {
            **TREE,
            **options(
                format="none --format; use --json", status="none --status --type; filter the JSON"
            ),
        },
    ),
    "dep cycles": Verb(0, 0, {}),
    "label add": Verb(2, MANY, {}),
    "label remove": Verb(2, MANY, {}),
    "label list": Verb(1, 1, {}),
    "label list-all": Verb(0, 0, {}),
    "comments": Verb(1, 1, {}),
    "comments add": Verb(1, MANY, options(file="one -f --file", author="one -a --author")),
    "comment": Verb(1, MANY, options(stdin="flag --stdin", file="one -f --file")),
    "delete": Verb(
        1,
        MANY,
        options(
            force="flag -f --force",
            cascade="flag --cascade",
            dry_run="flag --dry-run",
            hard="flag --hard",
        ),
        "an event is never deleted: the item is cancelled and not shown by bd",
    ),
    "epic status": Verb(0, 0, options(eligible="flag --eligible-only")),
    "epic close-eligible": Verb(0, 0, options(dry_run="flag --dry-run")),
    "export": Verb(
        0,
        0,
        options(output="one -o --output", all_="flag --all"),
        "every item, as `wk export --to beads` has it",
    ),
    "import": Verb(
        0,
        1,
        options(file="one -i --input"),
        "prints `wk import`'s counts on stderr, and no JSON",
    ),
    "sync": Verb(
        0,
        0,
        options(
            message="one -m --message",
            status="flag --status",
            flush="flag --flush-only --import-only --from-main --no-pull",
        ),
        "`ev sync` where a remote is configured, else nothing",
    ),
    "prime": Verb(0, 0, options(full="flag --full --mcp --stealth --export")),
    "init": Verb(
        0,
        0,
        options(
            prefix="one -p --prefix; without it ids are those of wk",
            ignored="flag --stealth --quiet --skip-hooks --force",
        ),
    ),
    "where": Verb(0, 0, {}),
    "info": Verb(0, 0, {}, "the store's path and prefix only"),
    "config get": Verb(1, 1, {}, "issue_prefix only; types and statuses need none"),
    "config set": Verb(2, 2, {}, "takes issue_prefix and types.custom, changes neither"),
    "version": Verb(0, 0, {}),
    "edit": Verb(0, -1, {}, "use `wk edit`"),
    "mol pour": Verb(1, 1, POUR, "what coord-flow(1) cooks; gates are opened by `coord-flow run`"),
    "mol wisp": Verb(1, 2, POUR, "as pour; kept and synced like any other"),
    "mol current": Verb(0, 1, {}),
    "mol show": Verb(1, 1, {}),
    "mol squash": Verb(
        1, 1, options(summary="one --summary"), "a comment on the parent, or the root; all closed"
    ),
    "mol burn": Verb(1, 1, options(force="flag --force"), "closes, does not delete"),
    "mol bond": Verb(0, -1, {}, "use `coord-flow cook --parent ID`"),
    "mol distill": Verb(0, -1, {}, "write a formula; see coord-flow(1)"),
    "formula": Verb(0, -1, {}, "use `coord-flow check` and `coord-flow draw`"),
    "gate": Verb(0, -1, {}, "use `wk update --hold`"),
    "sql": Verb(0, -1, {}, "there is no SQL database; use `bd query` or `ev replay`"),
    "dolt": Verb(0, -1, {}, "there is no Dolt; use `ev sync`"),
    "daemon": Verb(0, -1, {}, "there is no daemon"),
    "doctor": Verb(0, -1, {}, "use `coord doctor`"),
    "duplicate": Verb(0, -1, {}, "use `wk close ID --dup-of OTHER`"),
    "supersede": Verb(0, -1, {}, "use `bd dep add NEW OLD -t supersedes`"),
    "rename": Verb(0, -1, {}, "an id stays; use `wk update ID --field alias=NEW`"),
    "remember": Verb(0, -1, {}, "use `ev emit note.made text=…`"),
    "history": Verb(0, -1, {}, "use `wk log`"),
    "graph": Verb(0, -1, {}, "use `wk tree`"),
}
ALIASES = {
    "new": "create",
    "view": "show",
    "done": "close",
    "stats": "status",
    "dep rm": "dep remove",
}
ON_STDOUT = ("show", "update", "close", "label", "dep", "comments")
"""Verbs that print their errors on stdout with --json, as bd does."""
__all__ = ["ALIASES", "COMMON", "ON_STDOUT", "VERBS", "Option"]
