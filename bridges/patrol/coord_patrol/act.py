"""What a patrol does: events with a key, each of which is mail, and claims that are released.

An act that is done again, by this patrol or by another one, finds its key and writes nothing. A
claim is given back in two steps, the event that says so and `wk release --claim`, so that a patrol
that dies between them leaves a claim that the next one releases.
"""

from __future__ import annotations

import os
import subprocess
import sys

from coord_envelope import Fault, ids
from coord_envelope.event import address
from coord_kernel.cli.session import VARIABLES
from coord_kernel.views.view import View
from coord_wk.items import Items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel import Journal
    from coord_kernel.controller import Act
    from coord_kernel.rules.health import Held, Row

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

    def do(self, act: Act) -> None:
        """Do it, unless it was done. Raises Fault."""
        getattr(self, f"_{act.kind}")(act, **act.about)

    def draft(self, act: Act) -> Json:
        """The event of an act, as it would be written."""
        return getattr(self, f"_{act.kind}_draft")(act, **act.about)  # type: ignore[no-any-return]

    # ---- what is written

    def _nudge_draft(self, act: Act, row: Row, health: Json, n: int) -> Json:
        first, minutes = row["claims"][0], health["age_ms"] // 60_000
        text = (
            f"No sign of life for {minutes} min. You hold {_named(row)}.\n"
            "If you are at work, go on: any command of these tools is a sign of life. If you are"
            " stuck, say so: wk comment, then wk release."
        )
        body = _about(row, health) | {"claim": first["id"], "n": n}
        return {
            "type": "patrol.nudged",
            "to": [row["session"]["agent"]],
            "refs": {"work_id": first["work_id"]},
            "body": body | {"subject": f"Are you there? ({_named(row)})", "text": text},
        }

    def _reclaim_draft(self, act: Act, row: Row, health: Json, claim: Held) -> Json:
        agent, short = claim["agent"], ids.short("wk", claim["work_id"])
        text = (
            f"{agent} held {short}: {health['why']}, {health['since']}.\nIt can be claimed again."
        )
        place = _place(row)
        if place:
            text += f" What was done is kept in {place['worktree']}"
            text += f", branch {place['branch']}." if "branch" in place else "."
        body = _about(row, health) | {"claim": claim["id"], **place}
        draft: Json = {
            "type": "patrol.reclaimed",
            "refs": {"work_id": claim["work_id"]},
            "body": body | {"subject": f"{short} was given back: {agent} {_how(health)}"},
        }
        draft["body"]["text"] = text
        creator = self._creator(claim["work_id"])
        return draft | {"to": sorted({agent, creator} if creator else {agent})}

    def _end_draft(self, act: Act, row: Row, health: Json) -> Json:
        how = "crash" if health["state"] == "dead" else "lost"
        session, refs = row["session"], {"work_id": row["claims"][0]["work_id"]}
        named = {"agent": session["agent"], "session": session["session"]}
        return {
            "type": "session.ended",
            "refs": refs if row["claims"] else {},
            "body": named | {"how": how, "why": health["why"]},
        }

    def _escalate_draft(self, act: Act, row: Row, health: Json, what: str, severity: str) -> Json:
        agent, minutes = row["session"]["agent"], health["age_ms"] // 60_000
        said = {
            "never": "started, and has shown no sign of life: a login that failed, a full account?",
            "waiting": f"waits for a person: {health['why']}",
            "stalled": "is silent, and its process lives: stopped, or in one long call?",
        }[what]
        holds = f" It holds {_named(row)}." if row["claims"] else ""
        body = _about(row, health) | {"sev": severity, "what": what}
        if row["claims"]:
            body["claim"] = row["claims"][0]["id"]
        return {
            "type": "patrol.escalated",
            "to": [self._overseer],
            "refs": {"work_id": row["claims"][0]["work_id"]} if row["claims"] else {},
            "body": body
            | {
                "subject": f"{agent} {_states(what)}",
                "text": f"For {minutes} min {agent} {said}{holds}",
            },
        }

    def _quarantine_draft(self, act: Act, agent: str, causes: list[str]) -> Json:
        why = f"{len(causes)} sessions died shortly after each other"
        text = f"{agent}: {why}. Start no more of them; then: coord-patrol free {agent}"
        return {
            "type": "patrol.quarantined",
            "to": [self._overseer],
            "body": {
                "subject": f"{agent} is quarantined",
                "text": text,
                "name": agent,
                "why": why,
                "causes": causes,
            },
        }

    # ---- doing it

    def _nudge(self, act: Act, **about: object) -> None:
        self._say(act)

    _end = _escalate = _quarantine = _nudge

    def _reclaim(self, act: Act, row: Row, health: Json, claim: Held) -> None:
        self._say(act)
        reason = f"patrol: {health['why']}"[:500]
        self._tool("wk", "release", "--claim", claim["id"], f"--reason={reason}", claim["work_id"])

    def _say(self, act: Act) -> None:
        """Append the event of an act, unless one with its key is there."""
        draft = self.draft(act) | {"idempotency_key": act.key}
        with self._journal.transaction({"agent_id": self._agent}) as t:
            # Two patrols see two ages: the first event counts, whatever the second would say.
            if self._journal.index.refresh().by_key(draft["type"], act.key) is None:
                t.add(draft)
        self._put(t.events)

    def _tool(self, *argv: str) -> None:
        """Run a tool as this patrol. Raises Fault."""
        path = os.pathsep.join(
            (os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath))
        )
        env = {name: text for name, text in os.environ.items() if name not in VARIABLES}
        env |= {"PATH": path, "COORD_AGENT": self._agent}
        try:
            done = subprocess.run(
                argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Fault(str(error), where=argv[0]) from None
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
            raise Fault(said or f"exit status {done.returncode}", where=" ".join(argv[:2]))

    def _creator(self, work: str) -> str | None:
        """Who made an item, if that is an address."""
        state = Items.current(self._work).state(work)
        try:
            return address(state["created"]["by"]) if state else None
        except ValueError:
            return None


def _about(row: Row, health: Json) -> Json:
    """Which session an event is about, and the evidence with its age."""
    session = row["session"]
    return {
        "agent": session["agent"],
        "session": session["session"],
        "replica": session["replica"],
        "state": health["state"],
        "why": health["why"],
        "since": health["since"],
        "age_ms": health["age_ms"],
    }


def _named(row: Row) -> str:
    """The items that it holds."""
    return " ".join(ids.short("wk", claim["work_id"]) for claim in row["claims"])


def _how(health: Json) -> str:
    return "died" if health["state"] == "dead" else "is gone"


def _states(what: str) -> str:
    return {"never": "never came up", "waiting": "waits for you", "stalled": "is stuck"}[what]


def _place(row: Row) -> Json:
    """The directory in which it worked, and the branch there, if its start names one."""
    started = row["session"].get("started")
    cwd = started[2].get("cwd") if started else None
    if not isinstance(cwd, str) or not os.path.isdir(cwd):
        return {}
    env = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    argv = ["git", "-C", cwd, "branch", "--show-current"]
    try:
        done = subprocess.run(
            argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return {"worktree": cwd}
    branch = done.stdout.decode("utf-8", "replace").strip()
    return {"worktree": cwd, "branch": branch[:200]} if branch else {"worktree": cwd}
