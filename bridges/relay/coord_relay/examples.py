"""Examples for the help of each command."""

EXAMPLES = {
    "serve": (
        "coord-relay serve /srv/relay",
        "coord-relay serve /srv/relay --host 0.0.0.0 --cert chain.pem --key key.pem",
    ),
    "token": (
        "coord-relay token /srv/relay ada --project acme",
        "coord-relay token /srv/relay ada --project acme --replica k3f9x2ab",
        "coord-relay token /srv/relay dashboard --project acme --replica -",
    ),
}
