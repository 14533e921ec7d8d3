"""Many lines of `ev emit` at once, by columns where that can be: see `journal.columns`."""

from __future__ import annotations

import gc

from coord_envelope import codec, event
from coord_envelope.errors import Fault
from coord_kernel.journal import columns
from coord_kernel.journal.keys import keyed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.cli.stdin import Line
    from coord_kernel.journal.transaction import Transaction

    Draft = Callable[[bytes], Json | Fault]
    """The draft on a line, or why it is refused."""


def append(call: Call, batch: Sequence[Line], draft: Draft, allow_secret: bool) -> None:
    """Append the drafts on these lines and print the events, as `Call.append_each` does."""
    codec.bulk()
    gc.disable()  # JSON has no cycles, and this process ends soon
    blocks = [
        _Block(batch[at : at + columns.BLOCK], draft) for at in range(0, len(batch), columns.BLOCK)
    ]
    if any(block.keyed() for block in blocks):
        call.journal.keys.prepare()
    with call.printing_accepted(), call.transaction(allow_secret) as t:
        for block in blocks:
            block.add(t)
    for block in blocks:
        block.tell(call)
    call.out.flush()


class _Block:
    """Some lines: as columns, or as drafts one by one."""

    def __init__(self, lines: Sequence[Line], draft: Draft) -> None:
        self._lines, self._draft = lines, draft
        self._columns = columns.read([raw for _, raw in lines])
        self._drafts = [] if self._columns else [draft(raw) for _, raw in lines]
        self._rows: list[bytes] | None = None

    def keyed(self) -> bool:
        if self._columns:
            return bool(self._columns.keys)
        return keyed([draft for draft in self._drafts if not isinstance(draft, Fault)])

    def add(self, t: Transaction) -> None:
        self._rows = t.add_block(self._columns) if self._columns else None
        if self._rows is None:
            drafts = self._drafts or [self._draft(raw) for _, raw in self._lines]
            self._answers = [t.attempt(draft) for draft in drafts]

    def tell(self, call: Call) -> None:
        if self._rows is None:
            places = [f"line {number}" for number, _ in self._lines]
            call.tell_each(zip(places, self._answers, strict=True))
        elif call.out.lines_only:
            call.out.put_lines(self._rows)
        else:
            call.put(map(event.parse, self._rows))
