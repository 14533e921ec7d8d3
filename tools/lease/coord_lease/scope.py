"""What is asked for, and of whom: the one interface behind which every scope stands."""

from __future__ import annotations

from coord_envelope.errors import Refused, Unreachable, Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Protocol

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_envelope.tool import Call

    class Scope(Protocol):
        """Leases as far as this scope reaches. Who cannot be given one raises TakenError or another Fault."""

        level: str

        def acquire(self, wanted: Wanted, steal: str | None = None) -> Event: ...
        def renew(self, text: str, ttl_ms: int | None = None, wait_s: float = ...) -> Event: ...
        def release(self, text: str, reason: str) -> Event: ...
        def lose(self, lease_id: str, reason: str) -> None: ...
        def known(self, text: str) -> Json: ...
        def held(self, resources: Sequence[str] = ()) -> Iterator[Json]: ...
        def row(self, state: Json) -> Json: ...
        def mine(self, state: Json) -> bool: ...


STRENGTH = {"local": 0, "git": 1, "relay": 1, "nats": 1, "redis": 1}
LONGEST_MS = 7 * 24 * 60 * 60 * 1000
"""As long as live events are kept."""


class Wanted:
    """What a lease is to be: resources as they are stored, `x` or `s`, milliseconds, and the holder's pin."""

    __slots__ = ("mode", "pin", "resources", "ttl_ms")

    def __init__(self, resources: Sequence[str], mode: str, ttl_ms: int, pin: str | None = None) -> None:
        self.resources, self.mode, self.ttl_ms, self.pin = resources, mode, ttl_ms, pin


def scope(call: Call, name: str = "local", require: str | None = None) -> Scope:
    """The scope of this name. Raises Refused if a stronger one is required; never a silent downgrade."""
    for option, given in (("--scope", name), ("--require", require or name)):
        if given not in STRENGTH:
            raise Usage(f"{option} {given}: no such scope", todo=f"one of {', '.join(STRENGTH)}")
    if require and STRENGTH[name] < STRENGTH[require]:
        raise Refused(f"scope {name} is weaker than {require}", todo=f"--scope {require}")
    if name == "git":
        raise Unreachable("scope git needs `ev sync`, which is not there yet", todo="--scope local")
    if name != "local":
        raise Unreachable(f"scope {name} is not there yet", todo="--scope local")
    from coord_lease.local import Local

    return Local(call)
