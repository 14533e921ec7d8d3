"""Asking the store's mirror (`ev sync --watch`) by `local/bus.sock`: one line there, one back.

    {"confirm":null}                      settle this store's claims
    {"confirm":[DRAFT…],"after":SEQ}      add these events to the arbiter's stream, if its last
                                          event has this seq (0: there is none)

    {"elapsed":[CLAIM…]}                  how long ago the server added their confirmations

    {"done":true}                         both are in the journal now
    {"moved":true}                        the stream has grown; the journal has it
    {"elsewhere":true}                    the arbiter lives at no remote of this mirror
    {"elapsed":{CLAIM:MS…}}               by the server's clock, of those that are known
    {"fault":{"what":…,"where":…,"todo":…}}

It costs a command no more than a socket. A mirror that does not answer in time is not waited for.
"""

from __future__ import annotations

import os

from coord_envelope import codec
from coord_envelope.errors import Unreachable
from coord_envelope.platform import contextmanager, socket, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope.codec import Json
    from coord_kernel.store.directory import Store

NAME = "bus.sock"
ANSWER_S = 1.5
"""How long a command waits for the mirror."""
MOST = 1 << 24
"""Bytes of a request or an answer."""


class Connection:
    """A connection to a mirror."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer

    def ask(self, request: Json) -> Json:
        """The mirror's answer. Raises Unreachable if there is none in time."""
        with suppress(OSError, ValueError):
            # A mirror that was killed is a failure of this call, not the end of the process.
            self._peer.sendall(codec.dumps(request) + b"\n", getattr(socket, "MSG_NOSIGNAL", 0))
            data = b""
            while not data.endswith(b"\n"):
                part = self._peer.recv(1 << 16)
                if not part or len(data) > MOST:
                    raise ValueError
                data += part
            answer = codec.loads(data[:-1])
            if isinstance(answer, dict):
                return answer
        raise Unreachable(
            "the mirror does not answer", where="ev sync --watch", todo="look at that process"
        )


@contextmanager
def connected(store: Store, seconds: float = ANSWER_S) -> Iterator[Connection | None]:
    """A connection to the store's mirror; None: no mirror runs. An answer may take `seconds`."""
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    peer.settimeout(seconds)
    try:
        connected = False
        with suppress(OSError):
            directory = store.directory("local")
            try:
                peer.connect(path(store, directory))
                connected = True
            finally:
                os.close(directory)
        yield Connection(peer) if connected else None
    finally:
        peer.close()


def path(store: Store, directory: int) -> str:
    """The address of the socket: short, however long the path of the store is."""
    short = f"/proc/self/fd/{directory}"
    return f"{short if os.path.isdir(short) else os.path.join(store.path, 'local')}/{NAME}"
