"""Examples of the help of coord-notify: command → command lines."""

EXAMPLES = {
    "run": ("coord-notify routes.toml", "coord-notify routes.toml --dry-run"),
    "try": ("coord-notify try routes.toml phone",),
}
