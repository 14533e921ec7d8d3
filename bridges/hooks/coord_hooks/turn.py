"""One run of a hook: who it is for, what the program said, and the tools run for it."""

from __future__ import annotations

import os

from coord_envelope import Usage
from coord_kernel.cli import dialects, stdin
from coord_kernel.cli import session as sessions
from coord_kernel.cli.session import VARIABLES
from coord_kernel.proc import beside
from coord_kernel.rules import presence
from coord_kernel.store.disk import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from subprocess import CompletedProcess

    from coord_envelope.codec import Json
    from coord_kernel import Journal
    from coord_kernel.cli.call import Call
    from coord_kernel.rules.presence import Session

PATIENCE_MS = 1_000
"""How long to wait for stdin: the program writes at once, and may leave stdin open."""


class Turn:
    """One run of a hook: the agent, its session, and the program's input. Raises Usage, BadData."""

    def __init__(self, call: Call, program: str = "claude") -> None:
        if program not in dialects.PROGRAMS:
            known = ", ".join(dialects.PROGRAMS)
            raise Usage(f"unknown program: {program}", todo=f"known programs: {known}")
        self._call, self.program = call, program
        self.dialect = dialects.DIALECTS[dialects.PROGRAMS[program]]
        data = stdin.promptly(PATIENCE_MS)
        self.input = stdin.record(data, "standard input") if data.strip() else {}
        actor = sessions.of_hook(call.actor()["agent_id"], self.input)
        self.agent, self.session = actor["agent_id"], actor.get("session_id", "")
        self.is_subagent = sessions.is_subagent(self.input)

    @property
    def event(self) -> str:
        """The program's name of the event; "" if it gave none."""
        return self.text("hook_event_name")

    @property
    def moment(self) -> str:
        """Which moment of a session that is; "" for an event without a meaning here."""
        return self.dialect["moments"].get(self.event, "")

    def text(self, name: str) -> str:
        """A string of the input; "" if the field is something else."""
        value = self.input.get(name)
        return value if isinstance(value, str) else ""

    @property
    def journal(self) -> Journal:
        """The journal of the program's directory, which is now current. Raises Fault, OSError."""
        self.enter()
        return self._call.journal

    def enter(self) -> None:
        """Make the program's directory the current one. Raises OSError."""
        if where := self.text("cwd"):
            os.chdir(where)

    @property
    def actor(self) -> Json:
        """The agent and its session, as events have them."""
        return {"agent_id": self.agent, **({"session_id": self.session} if self.session else {})}

    def run(self, *argv: str, stdin: bytes = b"", cwd: str = "") -> CompletedProcess[bytes]:
        """Run a tool as the agent, in its session. Raises OSError if it cannot be started."""
        import signal
        import subprocess  # 18 ms

        # A tool that ends before it read its input must not end this process.
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        env = {
            **{name: text for name, text in os.environ.items() if name not in VARIABLES},
            "PATH": beside.path(),
            "COORD_AGENT": self.agent,
            "COORD_SESSION": self.session,
        }
        where = cwd or self.text("cwd") or None
        return subprocess.run(argv, input=stdin, env=env, cwd=where, capture_output=True)

    def complain(self, done: CompletedProcess[bytes]) -> None:
        """Pass on what a tool that failed wrote."""
        if done.returncode:
            write_all(2, done.stderr)

    def known(self, session: str) -> Session | None:
        """What the store knows of a session of the agent."""
        from coord_kernel.views.presence import Sessions

        store = self.journal.store
        view = Sessions(store).refresh()
        found = (
            view.get(presence.session_name(replica, self.agent, session))
            for replica in reversed(store.replicas())
        )
        return next(filter(None, found), None)
