"""Standard output: JSON Lines for programs, a table for people, bare ids on request."""

from __future__ import annotations

import os

from coord_envelope import codec
from coord_envelope.event import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json

FORMS = ("jsonl", "table", "id")
FULL = 1 << 16


class Output:
    """Lines collected and written by `flush`; in a pipe never cut, never late by more than one buffer."""

    def __init__(self, form: str | None) -> None:
        self.terminal = os.isatty(1)
        self.form = form or ("table" if self.terminal else "jsonl")
        self._waiting: list[bytes] = []
        self._size = 0
        self._rows: list[Json] = []

    def put(self, item: Json) -> None:
        """An event as the bytes it is stored in; any other object as one line."""
        if self.form == "table":
            self._rows.append(item)
            return
        if self.form == "id":
            line = next((str(v) for k, v in item.items() if k == "id" or k.endswith("_id")), "").encode()
        else:
            line = item.raw if isinstance(item, Event) else codec.dumps(item)
            if self.terminal:
                from coord_envelope.terminal import escape_json

                line = escape_json(line)
        self._waiting.append(line)
        self._size += len(line) + 1
        if self._size > FULL:
            self.flush()

    def flush(self) -> None:
        """Everything put so far is written when this returns. A table goes on below its head."""
        if self._rows:
            from coord_envelope.terminal import table  # Rich: 60 ms, for people only

            self._waiting.append(table(self._rows, self.terminal))
            self._rows = []
        if self._waiting:
            write(1, b"\n".join([*self._waiting, b""]))
            self._waiting, self._size = [], 0


def write(fd: int, data: bytes) -> None:
    """Write it all."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
