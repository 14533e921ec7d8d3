"""Examples for the help of each command; `tests/test_help.py` parses them."""

EXAMPLES = {
    "new": (
        "wk new 'Write the parser' -p 1 --label core",
        "wk new 'Test it' --blocked-by wk-78qeh4r6 --desc @plan.md",
        "jq -c '{title}' todo.json | wk new",
    ),
    "ls": (
        "wk ls --status active --owner ada",
        "wk ls --field team=web --label urgent -n 20",
        "wk ls --all --at 2026-01-17",
    ),
    "ready": (
        "wk ready -n 5",
        "wk ready --claim -o brief",
        "wk ready --explain",
    ),
    "show": ("wk show wk-78qeh4r6", "wk mine -o id | wk show"),
    "claim": (
        "wk claim wk-78qeh4r6",
        "wk claim wk-78qeh4r6 --require confirmed",
        "wk claim wk-78qeh4r6 --steal --reason 'ada is on holiday'",
    ),
    "release": ("wk release wk-78qeh4r6 --reason 'needs a design'", "wk mine | wk release"),
    "handoff": ("wk handoff wk-78qeh4r6 --to bob --note 'tests are missing'",),
    "close": (
        "wk close wk-78qeh4r6 --note 'merged as 1a2b3c4'",
        "wk close wk-78qeh4r6 --resolution cancelled",
        "wk close wk-78qeh4r6 --dup-of wk-9f3kq2ab",
    ),
    "reopen": ("wk reopen wk-78qeh4r6 --reason 'fails on an empty file'",),
    "update": (
        "wk update wk-78qeh4r6 -p 0 --assignee bob",
        "wk ls --label old | wk update --hold 'after the release'",
    ),
    "edit": ("wk edit wk-78qeh4r6",),
    "comment": (
        "wk comment wk-78qeh4r6 'half of it is done'",
        "make test 2>&1 | wk comment wk-78qeh4r6 -",
    ),
    "artifact": ("wk artifact wk-78qeh4r6 --kind commit --uri 1a2b3c4",),
    "dep": ("wk dep wk-78qeh4r6 wk-9f3kq2ab",),
    "ask": (
        "wk ask 'Deploy 3f2c1a0?' --to human:ada --wait",
        "wk ask 'Is it right?' --to human:ada --about plan.md --blocks wk-78qeh4r6",
        "wk ask 'Go?' --to ada --option go --option no --for 2h --on-timeout no",
    ),
    "answer": ("wk answer wk-78qeh4r6 yes",),
    "check": ("wk check wk-78qeh4r6",),
    "tree": ("wk tree", "wk tree wk-78qeh4r6"),
    "mine": ("wk mine", "wk mine -o id | wk release"),
    "status": ("wk status", "wk status --at 2026-01-17"),
    "search": ("wk search 'login safari'", "wk search parser -o id | wk show"),
    "log": ("wk log wk-78qeh4r6",),
    "stale": ("wk stale", "wk stale -o id | wk show"),
    "apply": ("wk apply <plan.jsonl", "wk apply --atomic <plan.jsonl"),
    "import": ("wk import .beads/issues.jsonl --from beads",),
    "export": ("wk export --to beads >issues.jsonl", "wk export --to md plan"),
    "watch": ("wk watch", "wk watch -o brief"),
}
