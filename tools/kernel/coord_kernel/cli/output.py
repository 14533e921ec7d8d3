"""Standard output: JSON Lines for programs, tables and pages for people, brief lines, bare ids."""

from __future__ import annotations

import os

from coord_envelope import codec, ids
from coord_envelope.event import Event
from coord_kernel.store.disk import STDOUT, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from coord_envelope.codec import Json
    from coord_kernel.cli.pager import Pager
    from coord_kernel.cli.terminal import Screen

FORMS = ("jsonl", "table", "brief", "id")
FULL = 1 << 16
ROWS = 500
"""Rows laid out together: a longer table continues with new widths, in constant memory."""
READERS = frozenset(
    "agents dead log ls mine ready replay search show stale thread tree".split()  # noqa: SIM905
)
"""Commands whose output goes through the pager of a person: they end, and change nothing."""
PAGES = frozenset(("read", "recv", "show", "thread"))
"""Commands that show what was asked for by name: a person sees each as a page."""


class Output:
    """Lines collected and written by `flush`: never cut, never late by more than one buffer."""

    def __init__(self, form: str | None) -> None:
        self.terminal = os.isatty(1)
        self.form = form or ("table" if self.terminal else "jsonl")
        self.lines_only = self.form == "jsonl" and not self.terminal
        """Is output exactly the stored lines of events?"""
        self.tool, self.command, self.coloured = "", "", "auto"
        self.call: object = None
        self._waiting: list[bytes] = []
        self._size = 0
        self._rows: list[Json] = []
        self._screen: Screen | None = None
        self._pager: Pager | None = None
        self.write = write_all
        self.id_ref: str | None = None
        """The ref that `-o id` prints where an event has it; else it prints the event's own id."""

    def title(self, entity: str) -> str:
        """What the entity with this id is called; a tool that knows replaces it."""
        return ""

    def short(self, prefix: str, entity: str) -> str:
        """The short id of an entity; a tool that knows the others replaces it."""
        return ids.short(prefix, entity)

    def _named(self, item: Json) -> Json:
        """A row, with the short id that names it among the others."""
        from coord_kernel.views.resolve import PREFIX  # who prints only events needs none

        prefix = str(item.get("id", "")).partition("-")[0]
        full = next((item.get(f"{name}_id") for name in PREFIX if PREFIX[name] == prefix), None)
        return {**item, "id": self.short(prefix, full)} if isinstance(full, str) else item

    def put(self, item: Json) -> None:
        """Print an event as its stored line, any other object as JSON; or as --output asks."""
        if self.form in ("table", "brief") and not isinstance(item, Event):
            item = self._named(item)
        if self.form == "table":
            self._rows.append(item)
            if len(self._rows) == ROWS:
                self.flush()
            return
        for line in self._lines(item):
            self._waiting.append(line)
            self._size += len(line) + 1
        if self._size > FULL:
            self.flush()

    def _lines(self, item: Json) -> Iterator[bytes]:
        if self.form == "brief":
            from coord_kernel.cli import words

            if self.tool == "ev" and isinstance(item, Event):  # by what ev knows it
                lines = [f"{self.short('ev', item.id)} {words.sentence(item, self)}"]
            else:
                lines = words.brief(item, self)
            yield from (text.encode("utf-8", "replace") for text in lines)
        elif self.form == "id":
            ids = (str(value) for name, value in item.items() if name.endswith("_id"))
            ref = item.get("refs", {}).get(self.id_ref) if self.id_ref else None
            if line := ref or (item.id if isinstance(item, Event) else next(ids, "")):
                yield line.encode()
        else:
            line = item.raw if isinstance(item, Event) else codec.dumps(item)
            if self.terminal:
                from coord_kernel.cli.escape import escape_json

                line = escape_json(line)
            yield line

    def put_lines(self, rows: Iterable[bytes]) -> None:
        """Print stored lines at once. Only if `lines_only`."""
        self.flush()
        self._waiting += rows
        self.flush()

    def flush(self) -> None:
        """Write everything that was put. A table continues without repeating its head."""
        if self._rows:
            if self._screen is None:
                from coord_kernel.cli.terminal import Screen  # Rich: 60 ms, for people only

                module = f"coord_{self.tool}.screen"
                look = (self.terminal, self.coloured)
                self._screen = Screen(module, *look, self, self.call)
            lines = self._screen.lines(self._rows, self.command in PAGES)
            self._rows = []
            if self.terminal and self._pager is None and self.command in READERS:
                from coord_kernel.cli.pager import Pager

                self._pager = Pager.start()
            self._waiting.append(lines)
        if self._waiting:
            try:
                self.write(1, b"\n".join([*self._waiting, b""]))
            except OSError as error:
                error.filename = error.filename or STDOUT
                raise
            self._waiting, self._size = [], 0

    def close(self) -> None:
        """Flush, and wait for the person to leave the pager, if there is one."""
        self.flush()
        if self._pager:
            self._pager.close()

    def end(self) -> None:
        """Flush and close stdout, so that its reader sees the end; nothing may be put after it."""
        self.flush()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)
