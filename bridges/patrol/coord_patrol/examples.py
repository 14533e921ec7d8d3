"""One or two command lines for each command, for its help."""

from __future__ import annotations

EXAMPLES = {
    "run": ("coord-patrol", "coord-patrol --ls", "coord-patrol --once"),
    "stop": ("coord-patrol stop --reason 'the disk is full'", "coord-patrol stop --scope ada"),
    "resume": ("coord-patrol resume",),
    "free": ("coord-patrol free ada",),
}
