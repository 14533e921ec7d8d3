"""Examples of the help of coord-slack: command → command lines."""

EXAMPLES = {
    "run": (
        "coord-slack workspace.toml",
        "coord-slack workspace.toml --dry-run",
        "coord-slack workspace.toml --read-only",
    )
}
