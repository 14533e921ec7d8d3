"""The scopes of a call: one by its name, or all that its store may have leases of."""

from __future__ import annotations

from coord_envelope.errors import No, Refused, Usage
from coord_kernel.store import locate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_kernel.cli.call import Call
    from coord_lease.scope import Scope

STRENGTH = {"local": 0, "remote": 1}
_FORMER = {"git": "remote"}
"""What a scope was called before."""


def scope(call: Call, name: str = "local", require: str | None = None) -> Scope:
    """The scope of this name. Raises Refused if it is weaker than required; never downgrades."""
    name, require = _FORMER.get(name, name), require and _FORMER.get(require, require)
    for option, value in (("--scope", name), ("--require", require or name)):
        if value not in STRENGTH:
            raise Usage(
                f"not a valid scope for {option}: {value}",
                todo=f"valid scopes: {', '.join(STRENGTH)}",
            )
    if require and STRENGTH[name] < STRENGTH[require]:
        raise Refused(f"scope {name} is weaker than {require}", todo=f"--scope {require}")
    if name == "remote":
        from coord_lease.remote import Remote

        return Remote(call)
    from coord_lease.local import Local

    return Local(call)


def scopes(call: Call) -> list[Scope]:
    """All scopes of which this store may have leases: `local`, and with a remote `remote`."""
    names = ("local", "remote") if locate.remote(call.journal.store) else ("local",)
    return [scope(call, name) for name in names]


def knowing(scopes: Sequence[Scope], text: str) -> Scope:
    """The scope that knows the lease. Raises No, and Usage if it is ambiguous."""
    if len(scopes) == 1:
        return scopes[0]
    known: list[tuple[Scope, str]] = []
    fault = No("no such lease", where=text, code="not_found")
    for candidate in scopes:
        try:
            known.append((candidate, candidate.known(text)["lease_id"]))
        except No as no:
            fault = no
    if len(known) > 1:
        from coord_kernel.views import resolve

        resolve.only(text, (lease_id for _, lease_id in known))
    if not known:
        raise fault
    return known[0][0]
