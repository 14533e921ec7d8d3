"""What a patrol does: it appends events with keys, and has claims released.

An act that is done again, by this patrol or by another one, finds its key and writes nothing. A
claim is given back in two steps, the event that says so and `wk release --claim`, so that a patrol
that dies between them leaves a claim that the next look still finds.
"""

from __future__ import annotations

import os
import subprocess

from coord_envelope.errors import Fault, TryAgain
from coord_envelope.event import address
from coord_envelope.platform import suppress
from coord_kernel.cli.session import VARIABLES
from coord_kernel.proc import beside
from coord_kernel.store import locate
from coord_kernel.views.view import View
from coord_patrol.draft import draft
from coord_wk.items import Items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel import Journal
    from coord_kernel.controller import Act

PATIENCE_S = 60
"""How long a tool may take."""


class Acts:
    """The acts of a patrol, which acts as one agent."""

    def __init__(
        self, journal: Journal, agent: str, overseer: str, put: Callable[[Iterable[Event]], None]
    ) -> None:
        """`put` prints the events that were written."""
        self._journal, self._agent, self._overseer = journal, agent, overseer
        self._put, self._work = put, View(journal.store, Items.fold)

    def draft(self, act: Act) -> Json:
        """The event of an act."""
        return draft(act, self._overseer, self._found(act) if act.kind == "reclaim" else {})

    def do(self, act: Act) -> None:
        """Do it, unless it was done. Raises Fault."""
        said = self.draft(act)
        with self._journal.transaction({"agent_id": self._agent}) as t:
            # Two patrols see two ages: the first event counts, whatever the second would say.
            if self._journal.index.refresh().by_key(said["type"], act.key) is None:
                t.add(said)
        self._put(t.events)
        if act.kind == "reclaim":
            self._save(said["body"])
            claim = act.about["claim"]
            reason = f"--reason=patrol: {said['body']['why']}"[:500]
            release = ("wk", "release", "--claim", claim["id"], reason, claim["work_id"])
            ran(self._agent, (0,), *release)

    def _save(self, body: Json) -> None:
        """Save what the session left in its work tree, if the project wants that.

        It may fail: the claim is given back all the same.
        """
        tree = body.get("worktree")
        with suppress(Fault):
            if tree and locate.section(self._journal.store, "agents").get("checkpoint") is True:
                save = ("coord-hooks", "checkpoint", "--", body["session"])
                ran(body["agent"], (0, 1), *save, cwd=tree)

    def _found(self, act: Act) -> Json:
        """Who made the item, and where the session worked, as far as that is known."""
        found: Json = {}
        state = Items.current(self._work).state(act.about["claim"]["work_id"])
        with suppress(ValueError, KeyError):
            found["creator"] = address(state["created"]["by"]) if state else ""
        started = act.about["row"]["session"].get("started")
        cwd = started[2].get("cwd") if started else None
        if isinstance(cwd, str) and os.path.isdir(cwd):
            found["worktree"] = cwd
            branch = _branch(cwd)
            found |= {"branch": branch} if branch else {}
        return {name: text for name, text in found.items() if text}


def ran(agent: str, good: Collection[int], *argv: str, cwd: str | None = None) -> bytes:
    """What a tool prints, run as an agent. Raises Fault if it ends with another status."""
    env = {name: text for name, text in os.environ.items() if name not in VARIABLES}
    env |= {"PATH": beside.path(), "COORD_AGENT": agent}
    nothing = subprocess.DEVNULL
    try:
        done = subprocess.run(
            argv, env=env, cwd=cwd, stdin=nothing, capture_output=True, timeout=PATIENCE_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TryAgain(str(error), where=argv[0]) from None
    if done.returncode not in good:
        said = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
        raise TryAgain(said or f"exit status {done.returncode}", where=" ".join(argv[:2]))
    return done.stdout


def _branch(directory: str) -> str:
    """The branch that is checked out there; empty if that cannot be known."""
    env = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    argv = ["git", "-C", directory, "branch", "--show-current"]
    with suppress(OSError, subprocess.TimeoutExpired):
        nothing = subprocess.DEVNULL
        done = subprocess.run(argv, env=env, stdin=nothing, capture_output=True, timeout=5)
        return done.stdout.decode("utf-8", "replace").strip()[:200]
    return ""
