"""Examples for the help of each command; `tests/test_help.py` parses them."""

EXAMPLES = {
    "request": (
        "run request --timeout 10m -- make test",
        "run request --after run-78qeh4r6 -- ./deploy.sh",
        "run request --name nightly --retry any -- ./backup.sh",
    ),
    "worker": ("run worker --slots 4", "run worker --once"),
    "exec": ("run exec -- make test", "run exec --timeout 5m --work wk-78qeh4r6 -- pytest -q"),
    "poll": ("run poll run-78qeh4r6",),
    "attach": ("run attach run-78qeh4r6",),
    "logs": ("run logs run-78qeh4r6", "run logs -f run-78qeh4r6"),
    "ls": ("run ls", "run ls --all --work wk-78qeh4r6"),
    "show": ("run show run-78qeh4r6", "run ls --all -o id | run show"),
    "cancel": ("run cancel run-78qeh4r6 --reason 'a newer commit'",),
    "retry": ("run retry run-78qeh4r6",),
    "signal": ("run signal run-78qeh4r6 HUP",),
    "prune": ("run prune --older 7d",),
    "watch": ("run watch", "run watch --status failed"),
}
