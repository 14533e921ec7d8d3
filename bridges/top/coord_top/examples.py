"""Examples for the help."""

EXAMPLES = {
    "watch": (
        "coord-top",
        "coord-top ~/src/acme ~/src/website",
        "coord-top --at 2026-11-29T23:00:00Z",
        "coord-top --at 8h --read-only",
    )
}
