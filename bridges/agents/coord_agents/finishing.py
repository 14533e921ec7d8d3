"""Ending sessions whose work is done: those of programs that would go on by themselves.

1. A session was started for an item, and it holds no item any more: it closed it, or gave it back.
   A session started without work stays.
2. It is idle, and no question of it is open: a driver looks at that and ends its program in one
   step, so it never does so within a turn. Of a terminal the last sign of life counts.
3. Nobody looks on: no terminal and no editor is attached to it.
4. It is ended as its program ends by itself: a driver closes what it reads, a job in a terminal is
   sent TERM. So the program's own hooks still act, which write what it hands over. Nothing is
   written before: a command that dies in between leaves a session that is idle, or one whose job
   has said that it is over.
"""

from __future__ import annotations

import os
import subprocess

from coord_agents import fold
from coord_agents.delivery import LINES
from coord_agents.drive import link
from coord_agents.evidence import label
from coord_agents.record import DRIVEN
from coord_envelope.errors import No
from coord_envelope.platform import suppress
from coord_kernel.rules import claims
from coord_kernel.store import pins
from coord_kernel.views.view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_agents.evidence import Evidence
    from coord_agents.tools import Tools
    from coord_kernel import Journal

REASON = "its work is done"
PATIENCE_S = 10


class Finisher:
    """The sessions of a store, and what they hold."""

    def __init__(self, journal: Journal, evidence: Evidence, tools: Tools) -> None:
        self._journal, self._store, self._tools = journal, journal.store, tools
        self._evidence = evidence
        self._claims = View(self._store, claims)

    def finish(self, session: str) -> fold.Session | None:
        """End this session if its work is done, and return it; else None. Raises Fault."""
        lock = pins.take(self._store, "local", "agents", f"{session}.deliver")
        if lock is None:  # mail is delivered to it, or another ends it
            return None
        try:
            states = [each for each in self.opened() if each["session"] == session]
            for state in states:
                if self.is_done(state) and self._end(state):
                    return state
            return None
        finally:
            os.close(lock)

    def opened(self) -> list[fold.Session]:
        """The sessions that are not over."""
        return list(fold.opened(self._evidence.sessions()))

    def is_done(self, state: fold.Session) -> bool:
        """Is nothing left for a session to do, as far as the store tells?"""
        known = fold.facts(state)
        if "work" not in known or "run" not in known or known.get("via") not in LINES:
            return False
        if not self._evidence.lives(state) or self._evidence.status(state) != "idle":
            return False
        family = [state, *self._evidence.children(state)]
        return not self._holds(state["agent"], {each["session"] for each in family})

    def _holds(self, agent: str, sessions: set[str]) -> bool:
        view = self._claims.refresh()
        for _, entity in view.find("owner", f"{agent} ", f"{agent}!"):
            owner = claims.owner(view.get(entity)) if entity.startswith("work ") else None
            if owner and (not owner["session"] or owner["session"] in sessions):
                return True
        return False

    def _end(self, state: fold.Session) -> bool:
        known = fold.facts(state)
        if known["via"] in DRIVEN:
            if link.end(self._store, state["session"]) != "ended":
                return False
        elif _looked_at(known["run"]):
            return False
        else:
            with suppress(No):  # it is over
                self._tools.run("run", "cancel", known["run"], f"--reason={REASON}")
        self._tools.wait(known["run"])
        return True


def _looked_at(run: str) -> bool:
    """Does somebody look at the terminal of a job?"""
    argv = ["tmux", "-L", label(run), "list-clients", "-t", "job"]
    env = {name: text for name, text in os.environ.items() if name != "TMUX"}
    with suppress(OSError, subprocess.TimeoutExpired):
        nothing = subprocess.DEVNULL
        done = subprocess.run(argv, env=env, stdin=nothing, capture_output=True, timeout=PATIENCE_S)
        return bool(done.stdout.strip())
    return False
