"""One or two command lines for each command, for its help."""

from __future__ import annotations

EXAMPLES = {
    "run": ("coord-patrol", "coord-patrol --ls", "coord-patrol --once"),
    "alerts": ("coord-patrol alerts", "coord-patrol alerts --all"),
    "stop": ("coord-patrol stop --reason 'the disk is full'", "coord-patrol stop --scope ada"),
    "resume": ("coord-patrol resume",),
    "why": ("coord-patrol why wk-78qeh4r6", "coord-patrol why run-k3f9x2ab"),
    "free": ("coord-patrol free ada",),
}
