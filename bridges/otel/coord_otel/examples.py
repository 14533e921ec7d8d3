"""Examples of the help of coord-otel: command → command lines."""

EXAMPLES = {
    "run": (
        "coord-otel --to http://localhost:4318",
        "coord-otel --to http://localhost:4318 --dry-run",
        "coord-otel --prometheus :9464",
    )
}
