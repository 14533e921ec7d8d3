"""The place of a live remote: its URL, checked; its engine, found by the scheme."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from coord_envelope.errors import Refused, Unreachable, Usage
from coord_envelope.platform import signal, suppress
from coord_kernel.sync.live import credentials
from coord_kernel.sync.live.log import GROUP, Place
from coord_kernel.sync.settings import LIVE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.store.directory import Store
    from coord_kernel.sync.live.log import Log

_PLAIN = {"nats": "tls", "redis": "rediss", "ws": "wss"}
"""Schemes without encryption, and those with it."""
_LOOPBACK = re.compile(r"localhost|127(?:\.\d{1,3}){3}|::1")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")


def place(store: Store, url: str) -> Place:
    """The place that a URL names, with the user's credentials for it.

    Raises Usage if it is not the URL of a log, Refused if it holds a password or would be reached
    without encryption, except on this machine.
    """
    try:
        parts = urlsplit(url)
        host, password, _ = parts.hostname or "", parts.password, parts.port
    except ValueError:
        raise Usage("not a valid URL", where="--remote") from None
    if password is not None:
        raise Refused(
            "the URL holds a password, nothing was sent or stored",
            where=f"{parts.scheme}://{host}",
            todo=f"leave it out, and set {credentials.variable(parts.scheme, 'PASSWORD')}",
        )
    name = parts.path.rpartition("/")[2]
    nested = parts.path.count("/") > 1 and bool(host)
    if not _NAME.fullmatch(name) or nested or parts.query or parts.fragment:
        example = f"{parts.scheme}://{host or 'HOST'}/{store.project}"
        raise Usage(f"{url}: names no log", todo=f"as in {example}")
    if parts.scheme in _PLAIN and not _LOOPBACK.fullmatch(host):
        raise Refused(
            "not encrypted, and not on this machine; nothing was sent",
            where=url,
            todo=f"use {_PLAIN[parts.scheme]}://",
        )
    return Place(url, name, store.project, credentials.find(url))


def connect(place: Place) -> Log:
    """The log at a place, by its engine; not connected yet. Raises Unreachable if it has none."""
    from importlib.metadata import entry_points  # 30 ms

    with suppress(ValueError):  # a thread may not
        # A server that hung up is a failure of the call, and must not end the process.
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    scheme = urlsplit(place.url).scheme
    engine = next(iter(entry_points(group=GROUP, name=scheme)), None)
    try:
        if engine is None:
            raise ImportError
        log: Log = engine.load()(place)
    except ImportError:
        extra = LIVE.get(scheme)
        todo = f"pip install 'coord-kernel[{extra}]'" if extra else "see ev(1), REMOTES"
        raise Unreachable(
            f"no engine for {scheme}:// is installed", where=place.public, todo=todo
        ) from None
    return log
