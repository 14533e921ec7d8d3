"""One invocation of one tool: its actor, its journal and its output."""

from __future__ import annotations

import os
import stat

from coord_envelope import ids, world
from coord_envelope.errors import BadData, DiskFault, Fault, No, Usage
from coord_envelope.platform import contextmanager
from coord_kernel.cli import session, stdin
from coord_kernel.cli.complaints import complain, warn
from coord_kernel.cli.groups import Group
from coord_kernel.cli.output import FORMS, Output
from coord_kernel.cli.values import agent_id, content, moment, span, text
from coord_kernel.journal.journal import Journal
from coord_kernel.store import machine
from coord_kernel.store.locate import find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import Any

    from coord_envelope.codec import Json
    from coord_envelope.event import Event
    from coord_envelope.filter import Filter
    from coord_kernel.journal.transaction import Add, Transaction
    from coord_kernel.store.directory import Store


def _progress(what: str, size: int) -> AbstractContextManager[Callable[[int], object]]:
    from coord_kernel.cli.progress import progress  # only for a view that is behind

    return progress(what, size)


class FilterOptions(Group):
    """The options by which every reader selects events."""

    type_: Sequence[str] | None = None
    not_type: Sequence[str] | None = None
    agent: Sequence[str] | None = None
    not_agent: Sequence[str] | None = None
    work: str | None = None
    thread: str | None = None
    since: str | None = None


class Call:
    """One invocation of one tool."""

    complain, warn = staticmethod(complain), staticmethod(warn)
    agent_id, content = staticmethod(agent_id), staticmethod(content)
    moment, span, text = staticmethod(moment), staticmethod(span), staticmethod(text)

    def __init__(
        self, agent: str | None = None, output: str | None = None, store: Store | None = None
    ) -> None:
        """`store`: act on this store, not on the one found from the current directory."""
        if agent == "":
            raise Usage("empty value: --as", todo="is a variable unset?")
        if output not in (None, *FORMS):
            raise Usage(f"not a valid form: -o {output}", todo=f"use {', '.join(FORMS)}")
        self._agent, self.out, self.status = agent, Output(output), 0
        self.out.title, self.out.short = self.title, self.short  # type: ignore[method-assign]
        self._journal = Journal(store) if store else None

    @property
    def journal(self) -> Journal:
        """The journal of this directory's store. Raises Unreachable if there is none."""
        if self._journal is None:
            self._journal = Journal(find())
            self._journal.store.progress = _progress
        return self._journal

    @property
    def chosen(self) -> str | None:
        """The agent that `--as` names."""
        return self._agent

    @property
    def asked(self) -> str | None:
        """The agent that `--as` names."""
        return self._agent

    @property
    def named(self) -> str | None:
        """The agent that `--as` or `$COORD_AGENT` names."""
        return self._agent or world.getenv("COORD_AGENT")

    def actor(self) -> Json:
        """The agent and its session, as events have them: {agent_id, session_id?}.

        `--as`, else `$COORD_AGENT`, else `human:<login>` at a terminal. Raises Usage, BadData.
        """
        name = self.named
        where = "--as" if self._agent else "COORD_AGENT"
        if not name and any(map(os.isatty, (0, 1, 2))):
            login = machine.login().lower()
            name = "human:" + "".join(c if c.isalnum() or c in "._-" else "-" for c in login)
        if not name:
            raise Usage("no agent name", todo="set COORD_AGENT or use --as NAME")
        return session.actor(agent_id(name, where))

    def put(self, items: Iterable[Any]) -> None:
        """Print items, each as a line (or a row of a table), and flush."""
        for item in items:
            self.out.put(item)
        self.out.flush()

    def fail(self, fault: Fault, where: str = "") -> None:
        """Print a failure and go on; the status of the first one becomes the exit status."""
        fault.where = where or fault.where
        self.status = self.status or fault.status
        self.out.flush()
        complain(fault)

    def lines(self, asked: bool = False) -> Iterator[list[stdin.Line]]:
        """Batches of lines from stdin.

        Without any it warns, unless `-` was given. Raises Usage if stdin is a terminal or
        /dev/null, unless `-` was given.
        """
        if not asked and stat.S_ISCHR(os.fstat(0).st_mode):
            raise Usage("nothing to do", todo="give arguments, or JSON lines on stdin; see --help")
        empty = True
        try:
            for batch in stdin.batches():
                empty = False
                yield batch
        except BadData as fault:  # not what the caller does with a batch: that is not raised here
            self.fail(fault)
            return
        if empty and not asked:
            warn("nothing to do: no line on standard input")

    def ids(
        self, given: Sequence[str], *names: str, refused: Mapping[str, str] | None = None
    ) -> Iterator[list[str]]:
        """The ids on the command line, else those on stdin in batches.

        A line on stdin is a bare id, or an object with the id in the first of the fields `names`
        that it has; `refused` as for `stdin.named`.
        """
        if given and list(given) != ["-"]:
            yield list(given)
            return
        for batch in self.lines(asked=bool(given)):
            group = []
            for number, raw in batch:
                if raw.startswith(stdin.QUOTE):
                    continue
                try:
                    group.append(stdin.named(raw, *names, refused=refused))
                except BadData as fault:
                    self.fail(fault, f"line {number}")
            yield group

    def each(
        self,
        given: Sequence[str] | None,
        names: Sequence[str],
        act: Callable[[str], Iterable[Any]],
        refused: Mapping[str, str] | None = None,
    ) -> None:
        """Print what `act` returns for each id (see `ids`). A failed id does not stop the others.

        A failure that concerns all of them, of the disk or the remote, is raised.
        """
        for group in self.ids(given or (), *names, refused=refused):
            for name in group:
                try:
                    self.put(act(name))
                except (No, Usage, BadData) as fault:
                    self.fail(fault, fault.where or name)

    def event(self, text: str) -> Event | None:
        """The event with a full or short id; None if there is none. Raises Usage if ambiguous."""
        index = self.journal.index.refresh()
        full = index.resolve(text)
        place = index.by_id(full) if full else None
        return self.journal.shown(place.event) if place else None

    def short(self, prefix: str, entity: str) -> str:
        """The short id of an entity, which names no other event here."""
        from coord_kernel.views.resolve import short

        return short(prefix, entity, self.journal.index.refresh().ending_so)

    def title(self, entity: str) -> str:
        """What its first event calls an entity; empty if that is not here."""
        from coord_kernel.cli.words import titled

        place = self.journal.index.refresh().by_id(entity)
        return titled(self.journal.shown(place.event)["body"]) if place else ""

    def resolve(self, text: str) -> str:
        """The full event id for a short one; the text itself if no event has it (a foreign id)."""
        return text if ids.valid(text) else self.journal.index.refresh().resolve(text) or text

    def with_hops(self, draft: Json) -> Json:
        """The draft with `hops`, if it lacks them: one more than its cause has."""
        if "cause" not in draft or "hops" in draft:
            return draft
        cause = self.resolve(str(draft["cause"]))
        parent = self.journal.index.refresh().by_id(cause)
        hops = parent.event.get("hops", 0) if parent else 0
        return draft | {"cause": cause, "hops": hops + 1 if isinstance(hops, int) else 1}

    def filter(self, options: FilterOptions) -> Filter:
        """The filter for these options, ids resolved. Raises Usage, BadData."""
        for name, value in options.given().items():
            if "" in ([value] if isinstance(value, str) else value):
                raise Usage(f"empty value: --{name.strip('_').replace('_', '-')}")
        from coord_envelope.filter import Filter  # a writer needs none

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
        """A transaction of the journal by `actor`; see `coord_kernel.journal.transaction`."""
        return self.journal.transaction(self.actor(), allow_secret=allow_secret)

    def append(self, drafts: Sequence[Json], allow_secret: bool = False) -> None:
        """Append the drafts, all or none, and print the events."""
        self.put(self.journal.append(self.actor(), drafts, allow_secret))

    def append_each(
        self,
        drafts: Sequence[tuple[str, Json | Fault]],
        allow_secret: bool = False,
        add: Add | None = None,
    ) -> None:
        """Append and print the valid drafts, and report the others: (where it came from, draft).

        `add` replaces `Transaction.add`.
        """
        good = [draft for _, draft in drafts if not isinstance(draft, Fault)]
        self.journal.prepare(good)
        answers: list[Event | Fault] = [fault for _, fault in drafts if isinstance(fault, Fault)]
        if good:
            with self.printing_accepted(), self.transaction(allow_secret) as t:
                answers = [t.attempt(draft, add) for _, draft in drafts]
        self.tell_each(zip((where for where, _ in drafts), answers, strict=True))

    @contextmanager
    def printing_accepted(self) -> Iterator[None]:
        """Around a transaction: if the disk fails, print the events that were written."""
        try:
            yield
        except DiskFault as fault:
            self.put(fault.accepted)
            raise

    def tell_each(self, answers: Iterable[tuple[str, Event | Fault]]) -> None:
        """Print the events and report the failures: (where it came from, event or failure)."""
        for where, answer in answers:
            if isinstance(answer, Fault):
                self.fail(answer, where)
            else:
                self.out.put(answer)
        self.out.flush()
