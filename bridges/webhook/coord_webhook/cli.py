"""The commands of coord-webhook."""

from __future__ import annotations

import os
import sys

from coord_envelope import BadData, Usage, codec, world
from coord_kernel.cli import process, values
from coord_kernel.cli.extra import extra

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.cli.call import Call
    from coord_webhook import options as o


def serve(
    call: Call,
    directory: o.Directory,
    host: o.Host = "127.0.0.1",
    port: o.Port = 7371,
    cert: o.Cert = None,
    key: o.Key = None,
) -> None:
    """Serve webhooks: POST /hook/NAME.

    A delivery to a hook is verified with its secret, becomes events of bridge:NAME as DIR/NAME.toml
    says, and is answered when they are on the disk. On another address than the loopback it needs a
    certificate. Prints the URL when it is ready.
    """
    keys = values.pair(cert, key)
    with extra("webhook", "uvicorn", "starlette", "h11"):
        from coord_webhook import server  # 0.3 s
    from coord_webhook.hook import Hooks

    webhooks = server.Webhooks(Hooks(directory), call.journal)
    server.serve(webhooks, (host, port), keys, lambda url: call.put([{"url": url}]))


def try_(call: Call, file: o.File, header: o.Header = None) -> None:
    """Print the events of a delivery on stdin.

    Writes nothing, and verifies no signature.
    """
    from coord_webhook.hook import LARGEST, Hook

    try:
        hook = Hook(file)
    except FileNotFoundError:
        raise BadData("no such file", where=file) from None
    headers = {}
    for text in header or ():
        name, colon, value = text.partition(":")
        if not colon:
            raise Usage("not NAME:VALUE", where=f"--header {text}")
        headers[name.strip().lower()] = value.strip()
    body = sys.stdin.buffer.read(LARGEST + 1)
    if len(body) > LARGEST:
        raise BadData("exceeds 1 MiB", where="standard input")
    call.put(hook.drafts(body, headers))


def send(call: Call, url: o.Url, secret: o.Secret = None, id_: o.Name = None) -> None:
    """Send stdin to a URL, signed.

    $NAME is the URL in this environment variable, for URLs that are secret. Exits 0 when the server
    has answered 2xx; 69 or 75 if it may be tried again; 65 if not.
    """
    from coord_kernel.cli import urls
    from coord_kernel.store import private
    from coord_webhook.send import send as post

    key = private.named(secret, "--secret") if secret else ""
    named = url.startswith("$")
    url = private.named(url, "URL") if named else url
    urls.http(url, shown=not named)
    body = sys.stdin.buffer.read()
    name = id_ or _named(body)
    answer = post(url, body, key, name)
    if answer:
        os.write(1, answer.rstrip(b"\n") + b"\n")


def _named(body: bytes) -> str:
    """The id of the event; without one, a new id."""
    from coord_envelope import ids

    try:
        event = codec.loads(body)
    except ValueError:
        event = None
    found = event.get("event_id") if isinstance(event, dict) else None
    return (
        found if isinstance(found, str) else ids.mint(ids.tick(0, world.now_ms()), world.entropy(8))
    )


COMMANDS = (serve, try_, send)
ABOUT = "Webhooks in and out: deliveries become events, events are delivered."


def main() -> None:
    process.run("coord-webhook", ABOUT, COMMANDS, "coord_webhook.options", {})
