"""Ending sessions whose work is done: those of programs that would go on by themselves.

1. A session was started for an item, and nothing is left for it: it holds no item any more, none is
   assigned to its agent, no question of its agent is open, and it knows of all its mail. A session
   started without work stays.
2. It is idle: a driver looks at that and ends its program in one step, so it never does so within a
   turn. Of a terminal the last sign of life counts, which is read directly before the end: a turn
   that begins after that is cut off. So may be a claim, for both.
3. Nobody looks on: no terminal and no editor is attached to it. What cannot be known counts as
   somebody.
4. It is ended as its program ends by itself: a driver closes what it reads, a job in a terminal is
   sent TERM. So the program's own hooks still act, which write what it hands over. Nothing is
   written before: a command that dies in between leaves a session that is idle, or one whose job
   has said that it is over.
"""

from __future__ import annotations

import os
import subprocess

from coord_agents import fold
from coord_agents.deliver import Waiting
from coord_agents.delivery import LINES
from coord_agents.drive import link
from coord_agents.duties import Duties
from coord_agents.evidence import label
from coord_agents.record import DRIVEN
from coord_envelope.errors import No
from coord_envelope.platform import suppress
from coord_kernel.store import pins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_agents.evidence import Evidence
    from coord_agents.tools import Tools
    from coord_kernel import Journal

REASON = "its work is done"
PATIENCE_S = 10


class Finisher:
    """The sessions of a store, and what is left for them."""

    def __init__(self, journal: Journal, evidence: Evidence, tools: Tools) -> None:
        self._journal, self._store, self._tools = journal, journal.store, tools
        self._evidence = evidence
        self._duties, self._waiting = Duties(self._store), Waiting(self._store, evidence)

    def finish(self, session: str) -> str | None:
        """End this session if its work is done; else why it goes on. Raises Fault."""
        lock = pins.take(self._store, "local", "agents", f"{session}.deliver")
        if lock is None:  # mail is delivered to it, or another ends it
            return "mail is delivered to it, or another ends it"
        try:
            states = (each for each in self.opened() if each["session"] == session)
            state = next(states, None)
            if state is None:
                return "is over"
            return self.kept(state) or self._end(state)
        finally:
            os.close(lock)

    def opened(self) -> list[fold.Session]:
        """The sessions that are not over."""
        return list(fold.opened(self._evidence.sessions()))

    def kept(self, state: fold.Session) -> str | None:
        """Why a session goes on, as far as the store tells now; None if its work is done."""
        self._evidence.sessions()
        known = fold.facts(state)
        if fold.over(state):
            return "is over"
        if "work" not in known:
            return "was started without work"
        if "run" not in known or known.get("via") not in LINES:
            return "ends by itself"
        if not self._evidence.lives(state):
            return "does not run here"
        status = self._evidence.status(state)
        if status != "idle":
            return f"is {status}" if status else "has not said that it is idle"
        family = [state, *self._evidence.children(state)]
        left = self._duties.left(state["agent"], {each["session"] for each in family})
        if left is None and self._waiting.due(state["agent"], state):
            return "has mail that it was not told of"
        return left

    def _end(self, state: fold.Session) -> str | None:
        run = fold.facts(state)["run"]
        if fold.facts(state)["via"] in DRIVEN:
            result = link.end(self._store, state["session"])
            if result != "ended":
                return "is busy, or attached" if result else "its driver does not answer"
        else:
            # Looking at the terminal takes time, in which a turn may begin.
            why = _looked_at(run) or self.kept(state)
            if why:
                return why
            with suppress(No):  # it is over
                self._tools.run("run", "cancel", run, f"--reason={REASON}")
        self._tools.wait(run)
        return None


def _looked_at(run: str) -> str | None:
    """Does somebody look at the terminal of a job, or can that not be known?"""
    argv = ["tmux", "-L", label(run), "list-clients", "-t", "job"]
    env = {name: text for name, text in os.environ.items() if name != "TMUX"}
    nothing = subprocess.DEVNULL
    try:
        done = subprocess.run(argv, env=env, stdin=nothing, capture_output=True, timeout=PATIENCE_S)
    except (OSError, subprocess.TimeoutExpired):
        return "tmux does not answer"
    if done.returncode:
        return "its terminal cannot be looked at (another TMUX_TMPDIR?)"
    return "is attached" if done.stdout.strip() else None
