"""What is asked for, and of whom: the one interface behind which every scope stands."""

from __future__ import annotations

from coord_envelope import ids
from coord_envelope.errors import No, Refused, Unreachable, Usage
from coord_kernel.store import locate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Protocol

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call

    class Scope(Protocol):
        """Leases as far as this scope reaches. Who cannot be given one raises TakenError or another Fault."""

        name: str
        level: str
        usual_ttl: str
        seldom_ns: int
        """The longest without a renewal, however long the time to live: so a theft is soon noticed."""

        def acquire(self, wanted: Wanted, steal: str | None = None) -> Event: ...
        def renew(self, text: str, ttl_ms: int | None = None, wait_s: float = ...) -> Event: ...
        def release(self, text: str, reason: str) -> Event: ...
        def lose(self, lease_id: str, reason: str) -> None: ...
        def known(self, text: str) -> Json: ...
        def held(self, resources: Sequence[str] = ()) -> Iterator[Json]: ...
        def row(self, state: Json) -> Json: ...
        def mine(self, state: Json) -> bool: ...
        def began(self, event: Event) -> int: ...


STRENGTH = {"local": 0, "git": 1, "relay": 1, "nats": 1, "redis": 1}
LONGEST_MS = 7 * 24 * 60 * 60 * 1000
"""As long as live events are kept."""


class Wanted:
    """What a lease is to be: resources as they are stored, `x` or `s`, milliseconds, and the holder's pin."""

    __slots__ = ("mode", "pin", "resources", "ttl_ms")

    def __init__(
        self, resources: Sequence[str], mode: str, ttl_ms: int, pin: str | None = None
    ) -> None:
        self.resources, self.mode, self.ttl_ms, self.pin = resources, mode, ttl_ms, pin


class TakenError(No):
    """Somebody holds what was wanted. `until` is the boot-clock time at which it is worth another try."""

    def __init__(
        self, blockers: Sequence[Json], wanted: Wanted, left_ms: int, until: int, steal: str
    ) -> None:
        """`left_ms` is the time left of the first of those in the way."""
        first = blockers[0]
        more = f", and {len(blockers) - 1} more in the way" if len(blockers) > 1 else ""
        held = f"{ids.short('ls', first['lease_id'])}{more}"
        what = f"is held by {first['holder']} for {max(0, left_ms) // 1000} s more ({held})"
        super().__init__(
            what, where=" ".join(wanted.resources), todo=f"wait with --wait, or `{steal}`"
        )
        self.pins = [state["pin"] for state in blockers if state.get("pin")]
        self.until = until


def scope(call: Call, name: str = "local", require: str | None = None) -> Scope:
    """The scope of this name. Raises Refused if a stronger one is required; never a silent downgrade."""
    for option, given in (("--scope", name), ("--require", require or name)):
        if given not in STRENGTH:
            raise Usage(f"{option} {given}: no such scope", todo=f"one of {', '.join(STRENGTH)}")
    if require and STRENGTH[name] < STRENGTH[require]:
        raise Refused(f"scope {name} is weaker than {require}", todo=f"--scope {require}")
    if name == "git":
        from coord_lease.remote import Remote

        return Remote(call)
    if name != "local":
        raise Unreachable(f"scope {name} is not there yet", todo="--scope local, or git")
    from coord_lease.local import Local

    return Local(call)


def scopes(call: Call) -> list[Scope]:
    """All of which this store may have leases: `local`, and with a remote `git`."""
    return [
        scope(call, name)
        for name in ("local", "git")
        if name == "local" or locate.remote(call.journal.store)
    ]


def knowing(found: Sequence[Scope], text: str) -> Scope:
    """The one of these scopes that knows the lease. Raises No, and Usage if several could be meant."""
    if len(found) == 1:
        return found[0]
    known, fault = [], No("no such lease", where=text)
    for one in found:
        try:
            known.append((one, one.known(text)["lease_id"]))
        except No as no:
            fault = no
    if len(known) > 1:
        raise Usage(
            f"is ambiguous: {' '.join(lease_id for _, lease_id in known)}",
            text,
            todo="give more characters",
        )
    if not known:
        raise fault
    return known[0][0]
