"""One or two command lines for each command, for its help."""

from __future__ import annotations

EXAMPLES = {
    "cook": (
        "coord-flow cook release.toml --var version=1.2 | wk apply --atomic",
        "coord-flow cook patrol.toml --wisp --parent wk-78qeh4r6 --key today | wk apply",
    ),
    "check": ("coord-flow check *.formula.toml",),
    "draw": ("coord-flow draw release.toml --var version=1.2",),
    "squash": ("coord-flow squash wk-78qeh4r6",),
    "burn": ("coord-flow burn wk-78qeh4r6 --note 'begun twice'",),
    "run": ("coord-flow run --programs gates", "coord-flow run --dry-run"),
}
