"""Options of coord-web that go together."""

from __future__ import annotations

from coord_kernel.cli.groups import Group


class Listen(Group):
    """Where it is reached."""

    host: str = "127.0.0.1"
    port: int = 7380
    origin: str | None = None
    cert: str | None = None
    key: str | None = None
