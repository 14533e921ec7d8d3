"""Command lines for the help of coord-acp."""

from __future__ import annotations

EXAMPLES = {
    "serve": ("coord-acp fixer", "coord-acp ada --preset claude --worktree --as human:eve"),
}
