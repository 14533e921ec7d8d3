"""Examples for the help of each command."""

EXAMPLES = {
    "serve": (
        "coord-webhook serve hooks",
        "coord-webhook serve hooks --host 0.0.0.0 --cert chain.pem --key key.pem",
    ),
    "try": ("coord-webhook try hooks/alerts.toml < alert.json",),
    "send": ("ev show wk-78qeh4r6 | coord-webhook send https://example.org/in --secret OUT",),
}
