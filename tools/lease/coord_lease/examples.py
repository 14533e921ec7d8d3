"""Examples for the help of each command; `tests/test_help.py` parses them."""

EXAMPLES = {
    "acquire": (
        "lease acquire 'file:src/**' --ttl 30m",
        "lease acquire port:8080 env:staging --wait 5m",
        "lease acquire env:production --scope remote --require confirmed",
    ),
    "renew": ("lease renew ls-78qeh4r6 --ttl 1h", "lease ls --mine -o id | lease renew"),
    "release": ("lease release ls-78qeh4r6", "lease release --all"),
    "ls": ("lease ls --mine", "lease ls --prefix file:src/", "lease ls --at 10m"),
    "show": ("lease show ls-78qeh4r6",),
    "steal": ("lease steal port:8080 --reason 'its holder hangs'",),
    "with": (
        "lease with port:8080 -- make serve",
        "lease with env:staging --ttl 10m --wait 1h -- ./deploy.sh",
    ),
    "guard": ("lease guard",),
    "watch": ("lease watch",),
}
