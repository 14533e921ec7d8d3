"""Examples for the help of each command."""

EXAMPLES = {
    "settings": ("coord-hooks settings claude --as builder", "coord-hooks settings codex --keep"),
    "checkpoint": ("coord-hooks checkpoint 1f2e --as builder",),
    "prime": ("coord-hooks prime", "coord-hooks prime --role reviewer"),
}
