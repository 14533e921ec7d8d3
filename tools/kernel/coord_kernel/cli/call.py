"""One invocation of one tool: who acts, on which journal, and what is printed."""

from __future__ import annotations

import os

from coord_envelope import ids, world
from coord_envelope.errors import BadData, DiskFault, Fault, No, Usage
from coord_envelope.filter import Filter
from coord_envelope.platform import contextmanager
from coord_kernel.cli import stdin
from coord_kernel.cli.complaints import complain
from coord_kernel.cli.groups import Group
from coord_kernel.cli.output import FORMS, Output
from coord_kernel.cli.progress import progress
from coord_kernel.cli.values import agent_id, moment
from coord_kernel.journal.journal import Journal
from coord_kernel.journal.keys import keyed
from coord_kernel.journal.transaction import Transaction
from coord_kernel.store import machine
from coord_kernel.store.locate import find
from coord_kernel.views import fill

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from coord_envelope.codec import Json
    from coord_envelope.event import Event

    Add = Callable[[Transaction, Json], Event]


class FilterOptions(Group):
    """The options of every reader that say which events it wants."""

    type_: Sequence[str] | None = None
    not_type: Sequence[str] | None = None
    agent: Sequence[str] | None = None
    not_agent: Sequence[str] | None = None
    work: str | None = None
    thread: str | None = None
    since: str | None = None


class Call:
    """One invocation of one tool."""

    def __init__(self, agent: str | None = None, output: str | None = None) -> None:
        if output not in (None, *FORMS):
            raise Usage(f"-o {output}: no such form", todo=f"one of {', '.join(FORMS)}")
        self._agent, self.out, self.status = agent, Output(output), 0
        self._journal: Journal | None = None
        fill.progress = progress

    @property
    def journal(self) -> Journal:
        """The journal of this directory's store. Raises Unreachable if there is none."""
        if self._journal is None:
            self._journal = Journal(find())
        return self._journal

    def actor(self) -> Json:
        """Who acts: `--as`, else `$COORD_AGENT`, else `human:<login>` at a terminal. Raises Usage, BadData."""
        given, where = (
            self._agent or world.getenv("COORD_AGENT"),
            "--as" if self._agent else "COORD_AGENT",
        )
        if not given and any(map(os.isatty, (0, 1, 2))):
            given = "human:" + "".join(
                c if c.isalnum() or c in "._-" else "-" for c in machine.login().lower()
            )
        if not given:
            raise Usage("nothing says who acts", todo="--as NAME, or set COORD_AGENT")
        actor = {"agent_id": agent_id(given, where)}
        session = world.getenv("COORD_SESSION")
        return actor | {"session_id": session} if session else actor

    def put(self, items: Iterable[Json]) -> None:
        """Print items, each as one line (or row), and flush."""
        for item in items:
            self.out.put(item)
        self.out.flush()

    def fail(self, fault: Fault, where: str = "") -> None:
        """Say it on stderr and go on; the first failure's status is the exit status."""
        fault.where = where or fault.where
        self.status = self.status or fault.status
        self.out.flush()
        complain(fault)

    def lines(self, asked: bool = False) -> Iterator[list[stdin.Line]]:
        """Batches of stdin's lines. Raises Usage at a terminal, unless `-` asked for it."""
        if os.isatty(0) and not asked:
            raise Usage("nothing to do", todo="give arguments, or JSON lines on stdin; see --help")
        return stdin.batches()

    def ids(self, given: Sequence[str], *names: str) -> Iterator[list[str]]:
        """The ids on the command line, else batches of those on stdin: bare, or in the first of these fields."""
        if given and list(given) != ["-"]:
            yield list(given)
            return
        for batch in self.lines(asked=bool(given)):
            found = []
            for number, raw in batch:
                try:
                    found.append(stdin.named(raw, *names))
                except BadData as fault:
                    self.fail(fault, f"line {number}")
            yield found

    def each(
        self,
        given: Sequence[str] | None,
        names: Sequence[str],
        act: Callable[[str], Iterable[Json]],
    ) -> None:
        """Print what `act` gives of each id (see `ids`), and go on after one that it refuses.

        What concerns all of them, the disk or the remote, ends it.
        """
        for group in self.ids(given or (), *names):
            for text in group:
                try:
                    self.put(act(text))
                except (No, Usage, BadData) as fault:
                    self.fail(fault, fault.where or text)

    def event(self, text: str) -> Event | None:
        """The event a full or short id names. Raises Usage if several could be meant."""
        index = self.journal.index.refresh()
        full = index.resolve(text)
        place = index.by_id(full) if full else None
        return self.journal.shown(place.event) if place else None

    def resolve(self, text: str) -> str:
        """A full event id for a short one; the text itself if it is full, or no event has it (a foreign id)."""
        return text if ids.valid(text) else self.journal.index.refresh().resolve(text) or text

    def with_hops(self, draft: Json) -> Json:
        """The draft, one hop behind its cause if it does not say how many."""
        if "cause" not in draft or "hops" in draft:
            return draft
        cause = self.resolve(str(draft["cause"]))
        parent = self.journal.index.refresh().by_id(cause)
        hops = parent.event.get("hops", 0) if parent else 0
        return draft | {"cause": cause, "hops": hops + 1 if isinstance(hops, int) else 1}

    def filter(self, options: FilterOptions) -> Filter:
        """The filter that the options describe."""
        return Filter(
            types=options.type_ or (),
            not_types=options.not_type or (),
            agents=[agent_id(name, "--agent") for name in options.agent or ()],
            not_agents=[agent_id(name, "--not-agent") for name in options.not_agent or ()],
            work=options.work and self.resolve(options.work),
            thread=options.thread and self.resolve(options.thread),
            since=options.since and moment(options.since),
        )

    def transaction(self, allow_secret: bool = False) -> Transaction:
        """A transaction of the journal by who acts; see `coord_kernel.journal.transaction`."""
        return self.journal.transaction(self.actor(), allow_secret=allow_secret)

    def append(self, drafts: Sequence[Json], allow_secret: bool = False) -> None:
        """Append the drafts, all or none, and print the events."""
        self.put(self.journal.append(self.actor(), drafts, allow_secret))

    def append_each(
        self,
        drafts: Sequence[tuple[str, Json | Fault]],
        allow_secret: bool = False,
        add: Add = Transaction.add,
    ) -> None:
        """Append what is good, print it, and report the rest: each (where it came from, draft or fault).

        `add` stands in for `Transaction.add`.
        """
        good = [draft for _, draft in drafts if not isinstance(draft, Fault)]
        if keyed(good):
            self.journal.index.refresh()
        answers: list[Event | Fault] = [fault for _, fault in drafts if isinstance(fault, Fault)]
        if good:
            with self.printing_accepted(), self.transaction(allow_secret) as t:
                answers = [attempted(t, draft, add) for _, draft in drafts]
        self.tell_each(zip((where for where, _ in drafts), answers, strict=True))

    @contextmanager
    def printing_accepted(self) -> Iterator[None]:
        """Around a transaction: if the disk fails, print what was written all the same."""
        try:
            yield
        except DiskFault as fault:
            self.put(fault.accepted)
            raise

    def tell_each(self, answers: Iterable[tuple[str, Event | Fault]]) -> None:
        """Print the events, and report what is wrong with the others: each with where it came from."""
        for where, answer in answers:
            if isinstance(answer, Fault):
                self.fail(answer, where)
            else:
                self.out.put(answer)
        self.out.flush()


def attempted(t: Transaction, draft: Json | Fault, add: Add = Transaction.add) -> Event | Fault:
    """The event of a draft, or what is wrong with it: the transaction goes on without it."""
    if isinstance(draft, Fault):
        return draft
    try:
        return add(t, draft)
    except Fault as fault:
        return fault
