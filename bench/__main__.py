"""All benchmarks in one table: `python bench [ROUNDS] [THEME]…`, or `make bench ROUNDS=30`.

Fetches the peers it needs and takes about 20 minutes. Exit status 1 if a demand is missed.
"""

from __future__ import annotations

import sys

import bulk
import dropin
import editor
import follow
import growth
import items
import jobs
import leases
import mail
import measure
import mirrors
import onefile
import past
import presence
import questions
import replay
import signing
import startup
import sync
import tokens
import work
import writers
from measure import Theme

THEMES: dict[str, Theme] = {
    "startup": startup.rows,
    "bulk": bulk.rows,
    "replay": replay.rows,
    "growth": growth.rows,
    "follow": follow.rows,
    "sync": sync.rows,
    "live": mirrors.rows,
    "signing": signing.rows,
    "work": work.rows,
    "items": items.rows,
    "questions": questions.rows,
    "jobs": jobs.rows,
    "leases": leases.rows,
    "mail": mail.rows,
    "past": past.rows,
    "writers": writers.rows,
    "presence": presence.rows,
    "tokens": tokens.rows,
    "editor": editor.rows,
    "onefile": onefile.rows,
    "dropin": dropin.rows,
}


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else measure.ROUNDS
    if unknown := [name for name in sys.argv[2:] if name not in THEMES]:
        sys.exit(f"bench: unknown theme {unknown[0]!r}; valid themes: {' '.join(THEMES)}")
    return measure.report({name: THEMES[name] for name in sys.argv[2:] or THEMES}, rounds)


if __name__ == "__main__":
    sys.exit(main())
