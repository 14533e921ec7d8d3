"""Examples for the help of each command."""

EXAMPLES = {
    "import": ("coord-github import acme/web", "coord-github import acme/web --dry-run"),
    "export": (
        "coord-github export acme/web wk-78qeh4r6",
        "wk ready -o id | coord-github export acme/web - --max 50",
    ),
    "follow": ("coord-github follow acme/web", "coord-github follow acme/web --once"),
}
