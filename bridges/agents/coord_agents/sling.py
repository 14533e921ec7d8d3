"""Starting a session: asked for, its item claimed, its job begun, up; or all of it undone.

    state     what is there                                       if the start dies now
    -------   ------------------------------------------------   ------------------------------
    (tree)    a clean work tree, locked                           it is clean, and taken again
    asked     session.started, whose pin this process has locked  a patrol ends the session
    claimed   a claim for the agent and this session              … and gives the claim back
    begun     the job, whose processes have inherited the lock    the agent runs, with its claim
    up        a sign of life of the session                       the same

1. The lock passes from this process to `run exec`, and from there to the job and all its processes.
   While any of them lives the session is not dead for a patrol; when none does, it is, at once. So
   there is never a claim that nobody has, nor an agent whose claim was given back.
2. Undone in this order: the job, until it is over; the claim, by its id; the word, session.ended.
   What a killed undo leaves is what a patrol does.
3. One session of an agent at a time: its job has a name, and of a name one job is open.
"""

from __future__ import annotations

import os
import shutil

from coord_agents import draft, fold, trees
from coord_agents.evidence import Evidence
from coord_agents.record import DRIVEN, LOADS
from coord_agents.tools import Tools
from coord_envelope import Fault, No, world
from coord_envelope.errors import TryAgain, Unreachable
from coord_envelope.event import file_form, name_ok
from coord_envelope.platform import suppress
from coord_kernel.cli.budgets import Budgets, Usages, configured
from coord_kernel.journal.beat import beat
from coord_kernel.rules import control
from coord_kernel.store import locate, machine, pins
from coord_kernel.streams.follow import Watcher
from coord_kernel.views.presence import Stops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_agents.record import Record, Way
    from coord_agents.settings import Settings
    from coord_kernel import Journal
    from coord_kernel.views.view import Source

LOOK_MS = 1_000
"""Between two looks at a screen."""


class Order:
    """What is to be started."""

    work: str | None = None
    key: str | None = None
    verb = "start"
    provider: str | None = None
    """The runtime's id of the session that goes on."""
    tree: str | None = None
    """Where to work; None: in a work tree of the pool if `worktree`, else here."""
    worktree = False
    takes_over = False
    """May it take over a claim that an earlier session of the agent has?"""
    slots: Sequence[str] = ()
    """Locks of which it needs one: a hard cap."""

    def __init__(self, agent: str, record: Record, via: str | None, prompt: str) -> None:
        """Raises Usage if the runtime has no such way."""
        self.agent, self.record, self.prompt = agent, record, prompt
        self.asked_via = via

    def way(self) -> tuple[str, Way]:
        return self.record.way(self.asked_via, self.verb)


class Sling:
    """One start, and what it holds so far."""

    def __init__(self, journal: Journal, tools: Tools, settings: Settings, order: Order) -> None:
        self._journal, self._store, self._tools = journal, journal.store, tools
        self._settings, self.order = settings, order
        self.via, self._way = order.way()
        self.session = _session(order)
        self._fds: list[int] = []
        self._claim: str | None = None
        self.run: str | None = None
        self._asked = False
        # A session that goes on has the same id.
        self._key = f"start:{self.session}:{world.entropy(4).hex()}"

    # ---- the steps

    def begin(self) -> None:
        """Take all the steps to the job. Undoes them if one fails. Raises Fault."""
        self.refuse()
        try:
            cwd = self._place()
            self._ask(cwd)
            if self.order.work:
                self._take(self.order.work)
            self._request(cwd)
        except (Fault, OSError) as error:
            self.undo(str(error))
            raise
        finally:
            self._let_go()

    def refuse(self) -> None:
        """Raise what speaks against it, before anything is written."""
        order = self.order
        if not shutil.which(self._way.program, path=self._tools.env["PATH"]):
            what, todo = f"{self._way.program} is not on PATH", "install it, or use another preset"
            raise Unreachable(what, where=order.record.name, todo=todo)
        state = Stops(self._store).control()
        stop = control.stopped(state, order.agent)
        if stop:
            why = f": {stop['reason']}" if stop["reason"] else ""
            what = f"is stopped by {stop['by']}{why}"
            raise No(what, where=order.agent, todo="`coord-patrol resume` ends that")
        if control.open_quarantines(state, order.agent):
            todo = f"`coord-patrol free {order.agent}` ends that"
            raise No("is quarantined: its sessions died too often", order.agent, todo=todo)
        usages, now = Usages(self._store).refresh(), world.now_ms()
        gate = Budgets(configured(self._store), usages, state, now)
        closed = gate.gate(order.agent, order.work, order.record.pool)
        if closed:
            until, why = closed
            todo = f"it may be started from {world.format_ts(until)} on"
            raise TryAgain(why, where=order.agent, todo=todo)
        evidence = Evidence(self._store, {})
        for other in fold.opened(evidence.sessions()):
            if other["agent"] == order.agent and evidence.lives(other):
                todo = "`coord-agent ls` lists sessions"
                raise No(f"runs already: {other['session']}", where=order.agent, todo=todo)

    def _place(self) -> str:
        order = self.order
        for name in order.slots:
            fd = pins.take(self._store, "local", "agents", name)
            if fd is not None:
                self._fds.append(fd)
                break
        else:
            if order.slots:
                raise TryAgain(f"{len(order.slots)} sessions run already, and no more may")
        if order.worktree and order.tree is None:
            branch = f"agents/{file_form(order.agent).partition('.')[2]}/{self.session[:8]}"
            fd, path = trees.take(self._store, self._tools, branch, self._settings.worktrees)
            self._fds.append(fd)
            return path
        if order.tree and not os.path.isdir(order.tree):
            raise Unreachable("its work tree is gone", where=order.tree)
        return order.tree or locate.tree(self._store)

    def _ask(self, cwd: str) -> None:
        order = self.order
        pin = ("local", "agents", self.session)
        fd = pins.take(self._store, *pin)
        if fd is None:
            raise No("runs already", where=self.session)
        self._fds.append(fd)
        about = {"pin": "/".join(pin), "cwd": cwd, "preset": order.record.name, "via": self.via}
        about |= {"provider_session": order.provider} if order.provider else {}
        started = draft.started(order.agent, self.session, about, order.work, order.key)
        with self._journal.transaction({"agent_id": self._tools.env["COORD_AGENT"]}) as t:
            known = order.key and self._journal.index.refresh().by_key("session.started", order.key)
            if not known:
                t.add(started)
        if known:
            raise No("was started already", where=order.key or "", code="held")
        self._asked = True

    def _take(self, work: str) -> None:
        order = self.order
        words = ["--for", order.agent, "--session", self.session]
        words += ["--resume"] if order.takes_over else []
        for event in self._tools.run("wk", "claim", work, *words):
            self._claim = event["event_id"]

    def _request(self, cwd: str) -> None:
        order, record = self.order, self.order.record
        # With a blank before it, for the program would take it for one of its options.
        prompt = f" {order.prompt}" if order.prompt.startswith("-") else order.prompt
        argv = self._argv(prompt)
        variables = {
            **{name: text for name in record.passed if (text := world.getenv(name))},
            **record.env,
            "COORD_AGENT": order.agent,
            "COORD_SESSION": self.session,
            "COORD_POOL": record.pool,
            **({"COORD_WORK": order.work} if order.work else {}),
            **({"COORD_DIR": self._store.path} if world.getenv("COORD_DIR") else {}),
        }
        words = [f"--timeout={record.timeout}", f"--key={self._key}"]
        words += [f"--name={job_name(order.agent)}"]
        words += [f"--substrate={'tmux' if self.via == 'tmux' else 'local'}"]
        words += [f"--work={order.work}"] if order.work else []
        words += [f"--env={name}={text}" for name, text in variables.items()]
        words += [f"--secret={name}" for name in record.secrets if _is_known(name)]
        exec_ = ("run", "exec", "--detach", *words, "--", *argv)
        (request,) = self._tools.run(*exec_, cwd=cwd, keep=self._fds)
        self.run = request["event_id"]

    def _argv(self, prompt: str) -> list[str]:
        order, args = self.order, self.order.record.args
        session = order.provider or self.session
        if self.via not in DRIVEN:
            return self._way.argv(order.verb, args, prompt=prompt, session=session)
        loads = [f"--resume={order.provider}"] if self.via in LOADS and order.provider else []
        words = [f"--via={self.via}", f"--busy={self._way.busy}", *loads]
        words += [f"--prompt={order.prompt}"] if order.prompt else []
        program = self._way.argv(order.verb, args, session=session)
        return ["coord-agent", "drive", *words, "--", *program]

    # ---- the end of a start

    def wait(self) -> bool:
        """Wait until it is up, or over, or its time is; is it up?"""
        evidence = Evidence(self._store, {self.order.record.name: self.order.record})
        follower = self._journal.follow(self._journal.end())
        until = machine.boot_ns() + self._settings.within * 1_000_000
        watcher = Watcher(self._store.path)

        def left() -> float:
            most = LOOK_MS if self._way.ready or watcher.fd is None else self._settings.within
            return max(0.0, min(most, (until - machine.boot_ns()) / 1e6))

        for batch in follower.batches(also=watcher.fd, within=left):
            list(batch)
            watcher.watch([f"local/runs/{self.run}/1"])
            watcher.drain()
            state = session(evidence.sessions(), self.order.agent, self.session)
            if state and evidence.shows(state):
                if not evidence.is_up(state):  # its runtime has no hooks, so far
                    actor = {"agent_id": self.order.agent, "session_id": self.session}
                    beat(self._journal, actor, "busy")
                return True
            if state and fold.over(state):
                return _exit(state) == 0
            if machine.boot_ns() >= until:
                return False
        return False

    def undo(self, why: str) -> None:
        """Give back what the start has taken: job, claim, word. Raises Fault if that fails."""
        request = self._journal.index.refresh().by_key("run.requested", self._key)
        self.run = request.event.id if request else None
        taken = Taken(self.order.agent, self.session, self.run)
        taken.claims = [(self._claim, self.order.work)] if self._claim and self.order.work else []
        taken.asked = self._asked
        undo(self._journal, self._tools, taken, ("crash" if self.run else "stopped", why))

    def _let_go(self) -> None:
        for fd in self._fds:
            os.close(fd)
        self._fds = []


class Taken:
    """What a session holds: for an undo, and to stop it."""

    claims: Sequence[tuple[str, str]] = ()
    """Each with its item."""
    asked = True
    """Is it to be said that it is over?"""

    def __init__(self, agent: str, session: str, run: str | None) -> None:
        self.agent, self.session, self.run = agent, session, run


def undo(
    journal: Journal, tools: Tools, taken: Taken, end: tuple[str, str], by: str | None = None
) -> None:
    """End the job, then the claims, then say so: `end` is how and why. Raises Fault."""
    how, why = end
    if taken.run:
        with suppress(No):  # it is over
            tools.run("run", "cancel", taken.run, f"--reason={why[:400]}")
        tools.wait(taken.run)
    for claim, work in taken.claims:
        tools.run("wk", "release", "--claim", claim, f"--reason={why[:400]}", work)
    if taken.asked:
        over = draft.ended(taken.agent, taken.session, how, why, by=by)
        journal.append({"agent_id": tools.env["COORD_AGENT"]}, [over])


def session(source: Source, agent: str, name: str) -> fold.Session | None:
    """The session of an agent with this id."""
    for _, entity in source.find("id", name, f"{name}\0"):
        state: fold.Session = source.get(entity)
        if state["agent"] == agent:
            return state
    return None


def job_name(agent: str) -> str:
    """The name of the one job that may run an agent."""
    name = file_form(agent).replace("%", "-")
    if name_ok(name) and "/" not in agent:
        return name
    import zlib

    return f"{name[:50]}-{zlib.crc32(agent.encode()):08x}"


def _session(order: Order) -> str:
    if order.provider and order.record.chosen:
        return order.provider
    digits = bytearray(world.entropy(16))
    digits[6], digits[8] = digits[6] & 0x0F | 0x40, digits[8] & 0x3F | 0x80
    text = digits.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _is_known(secret: str) -> bool:
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    path = os.path.join(home, "coord", "secrets", secret)
    return bool(world.getenv(secret)) or os.path.exists(path)


def _exit(state: fold.Session) -> int | None:
    codes = [body.get("code") for _, body in state["ends"].values()]
    return next((code for code in codes if type(code) is int), None)
