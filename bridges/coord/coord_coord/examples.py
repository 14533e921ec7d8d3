"""Examples for the help of each command."""

EXAMPLES = {
    "status": ("coord status", "coord status | jq -c '.problems[]'"),
    "doctor": ("coord doctor", "coord doctor -o table || exit"),
    "man": ("coord man wk", "coord man coord.7"),
    "setup": (
        "coord setup claude --dry-run",
        "coord setup codex --as builder",
        "coord setup claude --undo",
    ),
}
