"""Options of lease that go together."""

from __future__ import annotations

from coord_kernel.cli.groups import Group


class Terms(Group):
    """How a resource is to be held."""

    shared: bool = False
    ttl: str | None = None
    scope: str = "local"


class Attempt(Group):
    """What to do if it cannot be held at once, or not as far as it must be."""

    wait: str | None = None
    require: str | None = None
