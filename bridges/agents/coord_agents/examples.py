"""One or two command lines for each command, for its help."""

from __future__ import annotations

EXAMPLES = {
    "start": (
        "coord-agent start fixer --preset codex --work wk-k3f9x2ab",
        "coord-agent start ada --preset claude --via tmux --worktree --claim",
    ),
    "ls": ("coord-agent ls", "coord-agent ls --all -o table"),
    "show": ("coord-agent show ada",),
    "attach": ("coord-agent attach ada",),
    "say": ("coord-agent say ada 'the tests are red on main'",),
    "stop": ("coord-agent stop ada",),
    "restart": ("coord-agent restart ada",),
    "resume": ("coord-agent resume ada --prompt 'go on'",),
    "seance": ("coord-agent seance 3f1b 'why did you drop the cache?'",),
    "deliver": ("coord-agent deliver", "coord-agent deliver ada"),
    "usage": ("coord-agent usage",),
    "drive": ("coord-agent drive --via acp -- gemini --acp",),
    "presets": ("coord-agent presets -o table",),
}
