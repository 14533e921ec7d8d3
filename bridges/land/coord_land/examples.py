"""One or two command lines for each command, for its help."""

from __future__ import annotations

EXAMPLES = {
    "add": ("coord-land add", "coord-land add parser --work wk-78qeh4r6 --close"),
    "ls": ("coord-land ls", "coord-land ls --all -o table"),
    "show": ("coord-land show land-k3f9x2ab",),
    "rm": ("coord-land rm land-k3f9x2ab",),
    "run": ("coord-land run", "coord-land run --once"),
    "resume": ("coord-land resume",),
    "status": ("coord-land status",),
}
