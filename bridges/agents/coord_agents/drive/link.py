"""The socket of a driver, at which it is given lines, and editors are connected.

local/agents/SESSION.sock    of this user only; the first line says what for, as JSON:
{"op": "say", "text": …}     answered by {"result": "delivered" | "busy"}
{"op": "end"}                answered by {"result": "ended" | "busy"}
{"op": "attach", "as": …}    answered by {"result": "attached"}, then the protocol of editors
"""

from __future__ import annotations

import os
import socket

from coord_envelope import codec
from coord_envelope.platform import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope.codec import Json
    from coord_kernel import Store

PATIENCE_S = 10
LONGEST = 64 << 20
"""Bytes of a message."""
_ROOM = 100
"""Bytes of a path that an address has room for."""


def listen(store: Store, session: str) -> socket.socket:
    """The socket of a session; who listened there before is gone. Raises OSError."""
    path = _path(store, session)
    with suppress(FileNotFoundError):
        os.unlink(path)
    sock = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        for address in _addresses(path):
            sock.bind(address)
    except BaseException:
        sock.close()
        raise
    finally:
        os.umask(before)
    return sock


def remove(store: Store, session: str) -> None:
    """Take the socket away."""
    with suppress(OSError):
        os.unlink(_path(store, session))


def connect(store: Store, session: str, hello: Json) -> socket.socket | None:
    """A connection to the driver of a session, where it was said what for; None if it is gone."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        for address in _addresses(_path(store, session)):
            sock.connect(address)
        sock.sendall(codec.dumps(hello) + b"\n")
    except OSError:
        sock.close()
        return None
    return sock


def answer(sock: socket.socket) -> str:
    """The result that a driver answers with; empty if it is gone."""
    line = b""
    with suppress(OSError, ValueError):
        while not line.endswith(b"\n"):
            byte = sock.recv(1)  # what comes behind it is the editor's
            if not byte:
                break
            line += byte
        return str(codec.loads(line).get("result", ""))
    return ""


def say(store: Store, session: str, text: str) -> str:
    """Give the program of a session a line: delivered, busy; empty if its driver is gone."""
    return _asked(store, session, {"op": "say", "text": text})


def end(store: Store, session: str) -> str:
    """Have the program of a session end: ended, busy; empty if its driver is gone."""
    return _asked(store, session, {"op": "end"})


def _asked(store: Store, session: str, hello: Json) -> str:
    sock = connect(store, session, hello)
    if sock is None:
        return ""
    with sock:
        sock.settimeout(PATIENCE_S)
        return answer(sock)


def _path(store: Store, session: str) -> str:
    return os.path.join(store.path, "local", "agents", f"{session}.sock")


def _addresses(path: str) -> Iterator[str]:
    """The path, or if an address has no room for it, another one through its directory."""
    if len(os.fsencode(path)) <= _ROOM:
        yield path
        return
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{os.path.basename(path)}"
    finally:
        os.close(directory)
