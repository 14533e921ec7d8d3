"""Examples for the help of each command."""

EXAMPLES = {
    "settings": ("coord-hooks settings claude --as builder", "coord-hooks settings codex --keep"),
    "prime": ("coord-hooks prime", "coord-hooks prime --role reviewer"),
}
