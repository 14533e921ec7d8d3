"""Delivering: what is looked at, and how a program is given a line."""

from __future__ import annotations

import os
import subprocess
import time

from coord_agents import delivery, fold
from coord_agents.drive import link
from coord_agents.evidence import Evidence, label
from coord_agents.record import DRIVEN
from coord_kernel.store import pins
from coord_kernel.views.view import View
from coord_msg.mail import Mail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from coord_agents.delivery import Target
    from coord_agents.record import Record
    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel import Journal, Store

PATIENCE_S = 30
MOST = 1_000
"""Messages that are counted."""


class Waiting:
    """The mail that sessions do not know of yet."""

    def __init__(self, store: Store, evidence: Evidence) -> None:
        self._evidence, self._mail = evidence, View(store, Mail.fold)

    def due(self, agent: str, state: fold.Session | None) -> delivery.Mail | None:
        """What an agent's session was not told of."""
        mail = self._unread(agent, state)
        told = state["nudges"] if state else ()
        due = mail is not None and delivery.is_due(state["session"] if state else "", mail, told)
        return mail if due else None

    def _unread(self, agent: str, state: fold.Session | None) -> delivery.Mail | None:
        """What it has not read, and no hook has shown to its session."""
        mail = Mail.current(self._mail)
        family = [state, *self._evidence.children(state)] if state else []
        untold = mail.untold(agent, [each["session"] for each in family])
        messages = [each["mail"] for _, each in zip(range(MOST), untold, strict=False)]
        if not messages:
            return None
        newest = messages[-1]
        return {"count": len(messages), "newest": newest["id"], "sender": newest["from"]}


class Deliverer:
    """The sessions of a store, and the mail of their agents."""

    def __init__(self, journal: Journal, records: Mapping[str, Record], agent: str) -> None:
        """`agent` writes the outcomes."""
        self._journal, self._records, self._agent = journal, records, agent
        self._evidence = Evidence(journal.store, records)
        self._waiting = Waiting(journal.store, self._evidence)

    def agents(self) -> list[str]:
        """The agents that have a session which is not over."""
        opened = fold.opened(self._evidence.sessions())
        return list(dict.fromkeys(state["agent"] for state in opened))

    def deliver(self, agent: str) -> list[Event]:
        """Point an agent's session to its mail, and note the outcome; nothing without new mail.

        Of two that do so at once, one does.
        """
        state = self._session(agent)
        mail = self._waiting.due(agent, state)
        if mail is None:
            return []
        record = self._records.get(fold.facts(state).get("preset", "")) if state else None
        target = self._target(state, agent)
        way, result = delivery.choose(target, record)
        if not (way and state and record):
            return self._note(delivery.nudged(target, agent, mail, way, result))
        store = self._journal.store
        lock = pins.take(store, "local", "agents", f"{state['session']}.deliver")
        if lock is None:
            return []
        try:
            # At the last moment: it may have been read meanwhile, or the session be over.
            again = self._session(agent)
            mail = self._waiting.due(agent, again)
            if mail is None:
                return []
            if again is None or again["session"] != state["session"]:
                way, result = None, "gone"
            else:
                result = self._send(way, state, record, delivery.pointer(mail))
            return self._note(delivery.nudged(target, agent, mail, way, result))
        finally:
            os.close(lock)

    def _note(self, draft: Json) -> list[Event]:
        with self._journal.transaction({"agent_id": self._agent}) as t:
            key = draft["idempotency_key"]
            if self._journal.index.refresh().by_key(draft["type"], key) is None:
                t.add(draft)
        return t.events

    def _session(self, agent: str) -> fold.Session | None:
        """The agent's session that lives."""
        opened = fold.opened(self._evidence.sessions())
        lives = self._evidence.lives
        return next((each for each in opened if each["agent"] == agent and lives(each)), None)

    def _target(self, state: fold.Session | None, agent: str) -> Target:
        if state is None:
            names: Json = {"session": "", "via": "", "status": "", "provider": None}
            return {**names, "lives": False}  # type: ignore[typeddict-item]
        return {
            "session": state["session"],
            "via": fold.facts(state).get("via", ""),
            "status": self._evidence.status(state),
            "lives": True,
            "provider": self._evidence.provider(state),
        }

    def _send(self, way: str, state: fold.Session, record: Record, line: str) -> str:
        """Give the program a line; the outcome."""
        if way in DRIVEN:
            return link.say(self._journal.store, state["session"], line) or "unknown"
        if way == "queue":
            provider = self._evidence.provider(state) or ""
            sent = _ran(record.queued(provider, line), record.env)
        else:
            sent = self._type(state, record, line)
        return "delivered" if sent else "unknown"

    def _type(self, state: fold.Session, record: Record, line: str) -> bool:
        tmux = ["tmux", "-L", label(fold.facts(state)["run"]), "send-keys", "-t", "job"]
        # Text and Enter at once would be taken for a paste.
        if not _ran([*tmux, "-l", "--", line]):
            return False
        time.sleep(record.ways["tmux"].enter_ms / 1000)
        return _ran([*tmux, "Enter"])


def _ran(argv: list[str], more: Mapping[str, str] | None = None) -> bool:
    nothing = subprocess.DEVNULL
    env = {name: text for name, text in os.environ.items() if name not in ("TMUX", "COORD_AGENT")}
    env |= more or {}
    try:
        done = subprocess.run(
            argv, env=env, stdin=nothing, stdout=nothing, stderr=nothing, timeout=PATIENCE_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
