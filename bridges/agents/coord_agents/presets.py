"""The registry of runtimes: the file that comes with the tools, and the user's own laid over it."""

from __future__ import annotations

import os

from coord_agents import record
from coord_envelope import No
from coord_kernel.store import toml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_agents.record import Record

OWN = "presets.toml"
SHIPPED = os.path.join(os.path.dirname(__file__), OWN)


def path() -> str:
    """The user's own file."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return os.path.join(home, "coord", OWN)


def load() -> dict[str, Record]:
    """The runtimes by name. Raises BadData, Refused, DiskFault."""
    shipped, own = toml.load(SHIPPED) or {}, toml.load(path()) or {}
    record.records(own, path())
    return record.records(record.overlaid(shipped, own), path())


def named(name: str) -> Record:
    """The runtime of a name. Raises No if there is none, and as `load`."""
    known = load()
    if name not in known:
        todo = f"known presets: {', '.join(known)}; your own: {path()}"
        raise No(f"unknown preset: {name}", todo=todo, code="not_found")
    return known[name]
