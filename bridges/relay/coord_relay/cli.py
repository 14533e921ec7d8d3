"""The commands of coord-relay."""

from __future__ import annotations

import os

from coord_kernel.cli import process, values
from coord_kernel.cli.extra import extra

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.cli.call import Call
    from coord_relay import options as o


def serve(
    call: Call,
    directory: o.Directory,
    host: o.Host = "127.0.0.1",
    port: o.Port = 7370,
    cert: o.Cert = None,
    key: o.Key = None,
) -> None:
    """Serve stores that sync with ws:// or wss://.

    Every project that a token names has a log of its own at ws://HOST:PORT/PROJECT. On another
    address than the loopback it needs a certificate. Prints the URL when it is ready. SIGTERM ends
    it when what was put is on the disk; SIGKILL loses nothing that was acknowledged.
    """
    keys = values.pair(cert, key)
    with extra("relay", "uvicorn", "starlette", "websockets"):
        from coord_relay import server  # 0.3 s
    server.serve(directory, (host, port), keys, lambda url: call.put([{"url": url}]))


def token(
    call: Call,
    directory: o.Directory,
    name: o.Name,
    project: o.Project,
    replica: o.Replica = None,
) -> None:
    """Make a bearer token.

    Prints it once; the file DIR/tokens keeps a digest. Remove its line there to revoke it; a relay
    that runs notices both.
    """
    from coord_relay import tokens

    os.makedirs(directory, mode=0o700, exist_ok=True)
    path = os.path.join(directory, "tokens")
    secret = tokens.add(path, name, project, replica or [tokens.ANY])
    call.put([{"name": name, "project": project, "token": secret}])


COMMANDS = (serve, token)
ABOUT = "A relay for stores that sync live: one process, no engine to run."


def main() -> None:
    process.run("coord-relay", ABOUT, COMMANDS, "coord_relay.options", {})
