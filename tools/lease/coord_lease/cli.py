"""lease has its name and its room, and no command yet."""

from __future__ import annotations

from coord_envelope import tool


def main() -> None:
    tool.not_yet("lease", "leases")
