"""An editor's pipes and the driver of an agent, connected: bytes pass as they are."""

from __future__ import annotations

import os
import signal
import socket
import threading

from coord_agents import fold
from coord_agents import presets as registry
from coord_agents.drive import link
from coord_agents.evidence import Evidence
from coord_envelope import Usage
from coord_envelope.errors import Unreachable
from coord_envelope.platform import suppress
from coord_kernel.store.disk import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.cli.call import Call

VIA = "acp"
CHUNK = 1 << 16


def running(call: Call, agent: str) -> fold.Session | None:
    """The agent's session that lives. Raises Usage if it runs another way than via acp."""
    evidence = Evidence(call.journal.store, registry.load())
    for state in fold.opened(evidence.sessions()):
        if state["agent"] == agent and evidence.lives(state):
            via = fold.facts(state).get("via")
            if via != VIA:
                todo = f"`coord-agent restart {agent.removeprefix('agent:')} --via {VIA}`"
                raise Usage(f"{agent} runs via {via}", todo=todo)
            return state
    return None


def connect(call: Call, agent: str, state: fold.Session | None) -> None:
    """Pass on what the editor and the driver say, until the editor ends. Raises Unreachable."""
    hello = {"op": "attach", "as": call.actor()["agent_id"]}
    sock = link.connect(call.journal.store, state["session"], hello) if state else None
    if sock is None or link.answer(sock) != "attached":
        raise Unreachable("does not answer", where=agent, todo="see `coord-agent show`")
    # Its reader may be gone: that is the end, not a failure.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    ended = threading.Event()
    threading.Thread(target=_send, args=(sock, ended), daemon=True).start()
    with suppress(BrokenPipeError):
        while data := _received(sock):
            write_all(1, data)
        if not ended.is_set():
            raise Unreachable("its session is over", where=agent)


def _send(sock: socket.socket, ended: threading.Event) -> None:
    """What the editor says, to the driver, until it ends."""
    with suppress(OSError):
        while data := os.read(0, CHUNK):
            sock.sendall(data)
    ended.set()
    with suppress(OSError):
        sock.shutdown(socket.SHUT_WR)


def _received(sock: socket.socket) -> bytes:
    with suppress(OSError):
        return sock.recv(CHUNK)
    return b""
