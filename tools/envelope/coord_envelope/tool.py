"""The face all five tools share: who acts, what is printed where, and how a failure ends.

A tool is a list of command functions. Each takes a `Call` and its own options, and returns nothing or an exit
status. Typer, which serves parsing, help and completion, is imported by `coord_envelope.shell` only.
"""

from __future__ import annotations

import os
import sys

from coord_envelope import argv, clock, codec, inputs, world
from coord_envelope.context import suppress
from coord_envelope.disk import fault_of, write_all
from coord_envelope.errors import BadData, DiskFault, Fault, No, Usage
from coord_envelope.event import address
from coord_envelope.filter import Filter
from coord_envelope.journal import Journal
from coord_envelope.locate import find
from coord_envelope.output import FORMS, Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any, NoReturn

    from coord_envelope.append import Witness
    from coord_envelope.codec import Json
    from coord_envelope.event import Event

    Values = dict[str, Any]
    Command = Callable[..., int | None]


class Call:
    """One invocation of one tool."""

    def __init__(self, agent: str | None = None, output: str | None = None) -> None:
        if output not in (None, *FORMS):
            raise Usage(f"-o {output}: no such form", todo=f"one of {', '.join(FORMS)}")
        self._agent, self.out, self.status = agent, Output(output), 0
        self._journal: Journal | None = None

    @property
    def journal(self) -> Journal:
        """The journal of this directory's store. Raises Unreachable if there is none."""
        if self._journal is None:
            self._journal = Journal(find())
        return self._journal

    def actor(self) -> Json:
        """Who acts: `--as`, else `$COORD_AGENT`, else `human:<login>` at a terminal. Raises Usage, BadData."""
        given, where = self._agent or world.getenv("COORD_AGENT"), "--as" if self._agent else "COORD_AGENT"
        if not given and any(map(os.isatty, (0, 1, 2))):
            given = "human:" + "".join(c if c.isalnum() or c in "._-" else "-" for c in world.login().lower())
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

    def lines(self, asked: bool = False) -> Iterator[list[inputs.Line]]:
        """Batches of stdin's lines. Raises Usage at a terminal, unless `-` asked for it."""
        if os.isatty(0) and not asked:
            raise Usage("nothing to do", todo="give arguments, or JSON lines on stdin; see --help")
        return inputs.batches()

    def ids(self, given: Sequence[str], *names: str) -> Iterator[list[str]]:
        """The ids on the command line, else batches of those on stdin: bare, or in the first of these fields."""
        if given and list(given) != ["-"]:
            yield list(given)
            return
        for batch in self.lines(asked=bool(given)):
            found = []
            for number, raw in batch:
                try:
                    found.append(inputs.named(raw, *names))
                except BadData as fault:
                    self.fail(fault, f"line {number}")
            yield found

    def each(self, given: Sequence[str] | None, names: Sequence[str], act: Callable[[str], Iterable[Json]]) -> None:
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
        return text if clock.valid(text) else self.journal.index.refresh().resolve(text) or text

    def with_hops(self, draft: Json) -> Json:
        """The draft, one hop behind its cause if it does not say how many."""
        if "cause" not in draft or "hops" in draft:
            return draft
        cause = self.resolve(str(draft["cause"]))
        parent = self.journal.index.refresh().by_id(cause)
        hops = parent.event.get("hops", 0) if parent else 0
        return draft | {"cause": cause, "hops": hops + 1 if isinstance(hops, int) else 1}

    def filter(
        self,
        type_: Sequence[str] | None,
        not_type: Sequence[str] | None,
        agent: Sequence[str] | None,
        not_agent: Sequence[str] | None,
        work: str | None,
        thread: str | None,
        since: str | None,
    ) -> Filter:
        """The filter that the options every reader has describe."""
        return Filter(
            types=type_ or (),
            not_types=not_type or (),
            agents=[agent_id(one, "--agent") for one in agent or ()],
            not_agents=[agent_id(one, "--not-agent") for one in not_agent or ()],
            work=work and self.resolve(work),
            thread=thread and self.resolve(thread),
            since=since and moment(since),
        )

    def write_each(
        self, found: Sequence[tuple[str, Json | Fault]], allow_secret: bool = False, witness: Witness | None = None
    ) -> None:
        """Append what is good, print it, and complain of the rest: each (where it came from, draft or fault)."""
        drafts = [draft for _, draft in found if not isinstance(draft, Fault)]
        try:
            answers = iter(self.journal.append_each(self.actor(), drafts, allow_secret, witness) if drafts else [])
        except DiskFault as fault:
            self.put(fault.accepted)
            raise
        for where, draft in found:
            self.tell(where, draft if isinstance(draft, Fault) else next(answers))
        self.out.flush()

    def tell(self, where: str, answer: Event | Fault) -> None:
        """Print the event, or complain of what came from there."""
        if isinstance(answer, Fault):
            self.fail(answer, where)
        else:
            self.out.put(answer)


def agent_id(text: str, where: str) -> str:
    """The agent's address in full. Raises BadData that names the option."""
    try:
        return address(text)
    except ValueError as reason:
        raise BadData(str(reason), where) from None


def moment(text: str, ahead: bool = False) -> str:
    """A stamp for `2026-01-17`, `2026-01-17T12:00:00+01:00`, or how long ago: `90s 10m 2h 3d`. Raises Usage.

    With `ahead` those are how long from now.
    """
    unit = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}.get(text[-1:], 0)
    try:
        if unit and text[:-1].isdecimal():
            away = int(text[:-1]) * unit
            return world.format_ts(min(max(0, world.now_ms() + (away if ahead else -away)), _LAST_MS))
        return world.format_ts(world.parse_ts(text))
    except (ValueError, OverflowError):
        todo = f"2026-01-17, 2026-01-17T12:00:00Z, or 90s 10m 2h 3d {'from now' if ahead else 'ago'}"
        raise Usage(f"{text!r} is no time", todo=todo) from None


_LAST_MS = 253_402_300_799_999  # the end of 9999: later years have a digit more, and stamps compare as text


def complain(fault: Fault) -> None:
    """One line on stderr; an object with `--errors json`."""
    words = {"where": fault.where, "what": fault.what, "todo": fault.todo}
    told = {name: text.encode("utf-8", "replace").decode() for name, text in words.items()}
    fields = {"tool": _tool, "status": fault.status, **told}
    if _errors == "json":
        line = codec.dumps(fields)
    else:
        from coord_envelope.terminal import visible

        line = visible(f"{_tool}: {fault}").encode("utf-8", "replace")
    with suppress(OSError):  # a closed stderr hides the words, not the status
        write_all(2, line + b"\n")


def warn(text: str) -> None:
    """As `complain`, of what is no failure: status 0."""
    fault = Fault(text)
    fault.status = 0
    complain(fault)


_tool, _errors = "coord", "text"


def report_as(errors: str) -> None:
    """How failures are said from here on: `text` or `json`."""
    global _errors
    if errors not in ("text", "json"):
        raise Usage(f"--errors {errors}: no such form", todo="one of text, json")
    _errors = errors


def main(tool: str, about: str, commands: Sequence[Command], options: str, table: argv.Table) -> NoReturn:
    """Run the tool on this process's arguments and exit.

    `options` names the module that declares what the commands' parameters are on a command line; `table` is what
    `make table` made of them.
    """

    def run() -> int:
        asked = f"_{tool.upper()}_COMPLETE" in os.environ  # by a shell, for what could come next
        plain = None if asked else argv.parse(table, sys.argv[1:])
        if plain:
            name, values = plain
            return perform(next(command for command in commands if name_of(command) == name), values)
        from coord_envelope import shell

        return shell.run(tool, about, commands, options, sys.argv[1:])

    _end(tool, run)


def name_of(command: Command) -> str:
    """What a command function is called on a command line."""
    return command.__name__.rstrip("_").replace("_", "-")


def perform(command: Command, values: Values) -> int:
    """Run a command with the values of its parameters, and of those all have; the exit status."""
    report_as(values.pop("errors", None) or "text")
    call = Call(values.pop("as_", None), values.pop("output", None))
    if "wanted" in command.__annotations__:
        values["wanted"] = call.filter(**{name: values.pop(name, None) for name in FILTERS})
    return command(call, **values) or call.status


FILTERS = ("type_", "not_type", "agent", "not_agent", "work", "thread", "since")


def _end(tool: str, run: Callable[[], int]) -> NoReturn:
    import _signal as signal  # type: ignore[import-not-found]  # without its enum: 3 ms

    global _tool
    _tool = tool
    _fill_standard_descriptors()
    # The journal survives any kill, so the plain death is the clean one: no traceback, status 128+n. systemd
    # lets its children inherit an ignored SIGPIPE, which would turn `… | head` into an error.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # a background job's shell ignores it for a reason
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        sys.exit(run())
    except Fault as fault:
        complain(fault)
        sys.exit(fault.status)
    except OSError as error:
        complain(refusal := fault_of(error))
        sys.exit(refusal.status)
    except Exception:
        sys.excepthook(*sys.exc_info())
        sys.exit(Fault.status)  # a bug; Python's own 1 would say "no"


def _fill_standard_descriptors() -> None:
    # Where one is closed, the next file opened would take its number: and what is printed, its place on the disk.
    # Opened for reading, so that printing still fails.
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)
