"""Who asks a live remote: from the environment, or from a file that only the user can read.

    COORD_REDIS_USER, COORD_REDIS_PASSWORD, COORD_NATS_…, COORD_WS_…    for remotes of these schemes
    COORD_NATS_CREDS                                                    a file of the engine's form
    COORD_CREDENTIALS, by default ~/.config/coord/credentials           a file in the form of netrc:
                                                                        `machine HOST[:PORT] login
                                                                        USER password SECRET`

They are in no URL: what is stored, shown and logged has none. `wss` uses the variables of `ws`,
`rediss` those of `redis`, `tls` those of `nats`.
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from coord_envelope import world
from coord_envelope.errors import BadData
from coord_kernel.store import private
from coord_kernel.sync.live.log import Credentials

_FAMILIES = {"rediss": "redis", "wss": "ws", "tls": "nats"}
_FILE = "~/.config/coord/credentials"


def variable(scheme: str, name: str) -> str:
    """The environment variable of a scheme for USER, PASSWORD or CREDS."""
    return f"COORD_{_FAMILIES.get(scheme, scheme).upper()}_{name}"


def find(url: str) -> Credentials:
    """The credentials for a remote at this URL. Raises Refused if a file of them is not private."""
    parts = urlsplit(url)
    user, password, file = (
        world.getenv(variable(parts.scheme, name)) or "" for name in ("USER", "PASSWORD", "CREDS")
    )
    if file:
        private.check(file)
    if user or password or file:
        return Credentials(user or parts.username or "", password, file)
    login, secret = _of_file(parts.hostname or "", parts.netloc.rpartition("@")[2])
    return Credentials(login or parts.username or "", secret)


def _of_file(*hosts: str) -> tuple[str, str]:
    chosen = world.getenv("COORD_CREDENTIALS")
    path = os.path.expanduser(chosen or _FILE)
    if not chosen and not os.path.exists(path):
        return "", ""
    private.check(path)
    import netrc  # 5 ms: only where there is such a file

    try:
        known = netrc.netrc(path).hosts
    except netrc.NetrcParseError as error:
        # Its message may quote the file.
        raise BadData(
            f"line {error.lineno} is not in the form of netrc", where=path, todo="correct the file"
        ) from None
    for host in reversed(hosts):
        if host in known:
            login, _, secret = known[host]
            return login or "", secret or ""
    return "", ""
