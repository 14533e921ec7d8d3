"""One or two command lines for each command, for its help."""

from __future__ import annotations

EXAMPLES = {
    "run": ("coord-cron run cron.toml", "lease with env:cron -- coord-cron run cron.toml"),
    "next": ("coord-cron next cron.toml -n 10",),
}
