"""Standard output: JSON Lines for programs, a table for people, bare ids on request."""

from __future__ import annotations

import os

from coord_envelope import codec
from coord_envelope.event import Event
from coord_kernel.store.disk import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from coord_envelope.codec import Json

FORMS = ("jsonl", "table", "id")
FULL = 1 << 16
ROWS = 500
"""Rows laid out together: a longer table continues with new widths, in constant memory."""


class Output:
    """Lines collected and written by `flush`: never cut, never late by more than one buffer."""

    def __init__(self, form: str | None) -> None:
        self.terminal = os.isatty(1)
        self.form = form or ("table" if self.terminal else "jsonl")
        self.lines_only = self.form == "jsonl" and not self.terminal
        """Is output exactly the stored lines of events?"""
        self._waiting: list[bytes] = []
        self._size = 0
        self._rows: list[Json] = []
        self._head = True
        self.write = write_all
        self.id_ref: str | None = None
        """The ref that `-o id` prints where an event has it; else it prints the event's own id."""

    def put(self, item: Json) -> None:
        """Print an event as its stored line, any other object as JSON; or as --output asks."""
        if self.form == "table":
            self._rows.append(item)
            if len(self._rows) == ROWS:
                self.flush()
            return
        if self.form == "id":
            ids = (str(value) for name, value in item.items() if name.endswith("_id"))
            ref = item.get("refs", {}).get(self.id_ref) if self.id_ref else None
            line = (ref or (item.id if isinstance(item, Event) else next(ids, ""))).encode()
            if not line:
                return
        else:
            line = item.raw if isinstance(item, Event) else codec.dumps(item)
            if self.terminal:
                from coord_kernel.cli.escape import escape_json

                line = escape_json(line)
        self._waiting.append(line)
        self._size += len(line) + 1
        if self._size > FULL:
            self.flush()

    def put_lines(self, rows: Iterable[bytes]) -> None:
        """Print stored lines at once. Only if `lines_only`."""
        self.flush()
        self._waiting += rows
        self.flush()

    def flush(self) -> None:
        """Write everything that was put. A table continues without repeating its head."""
        if self._rows:
            from coord_kernel.cli.terminal import table  # Rich: 60 ms, for people only

            self._waiting.append(table(self._rows, self.terminal, self._head))
            self._rows, self._head = [], False
        if self._waiting:
            try:
                self.write(1, b"\n".join([*self._waiting, b""]))
            except OSError as error:
                error.filename = error.filename or "standard output"
                raise
            self._waiting, self._size = [], 0

    def end(self) -> None:
        """Flush and close stdout, so that its reader sees the end; nothing may be put after it."""
        self.flush()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)
