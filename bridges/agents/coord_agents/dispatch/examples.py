"""One or two command lines for each command, for its help."""

from __future__ import annotations

EXAMPLES = {
    "run": ("coord-dispatch --preset codex --max 3", "coord-dispatch --dry-run -o table"),
    "clear": ("coord-dispatch clear wk-k3f9x2ab",),
}
