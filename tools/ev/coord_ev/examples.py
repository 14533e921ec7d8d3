"""Examples for the help of each command; `tests/test_help.py` parses them."""

EXAMPLES = {
    "init": ("ev init",),
    "emit": (
        "ev emit deploy.finished where=staging ok=true",
        'ev emit deploy.finished --key v1.2 --body \'{"where":"staging"}\'',
        "jq -c '{type: \"ci.done\", body: .}' report.json | ev emit",
    ),
    "tail": (
        "ev tail -n 20",
        "ev tail -f --type 'work.*' | jq -r .refs.work_id",
        "ev tail -f --cursor deploys --type 'deploy.*'",
    ),
    "replay": (
        "ev replay --type 'work.*' --since 2d",
        "ev replay --work wk-78qeh4r6 -n 10",
    ),
    "show": ("ev show 78qeh4r6", "ev tail -o id | ev show"),
    "watch": ("ev watch --type 'deploy.*'", "ev watch --agent ada -o brief"),
    "consume": ("ev consume contrib/consumers/ci.toml", "ev consume ci.toml --once"),
    "sync": ("ev sync", "ev sync --remote origin", "ev sync --watch --interval 10s"),
    "trust": ("ev trust --show", "ev trust"),
    "agents": ("ev agents", "ev agents --active"),
    "redact": ("ev redact 78qeh4r6 --reason 'a password'",),
    "verify": ("ev verify",),
    "stats": ("ev stats", "ev stats -o table"),
}
