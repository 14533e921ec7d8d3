"""Examples of the help of coord-web: command → command lines."""

EXAMPLES = {
    "serve": (
        "coord-web",
        "coord-web ~/src/one ~/src/two --read-only",
        "coord-web --origin https://coord.example.org",
    ),
}
