"""Tables and text for people, without control characters or bidirectional marks."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator

from coord_envelope import world
from coord_envelope.codec import Json
from coord_envelope.event import Event
from coord_kernel.cli.escape import visible

_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
WIDTHS = {"time": 15, "id": 8, "type": 16, "who": 20}


def table(rows: list[Json], wide: bool, head: bool) -> bytes:
    """Rows as a table, with a head or without; `wide` cuts it at the width of the terminal."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table

    shown = [_event_row(row) if isinstance(row, Event) else _row(row) for row in rows]
    names = list(dict.fromkeys(name for row in shown for name in row))
    grid = Table(box=None, pad_edge=False, header_style="bold", show_edge=False, show_header=head)
    grid.width = -2  # two blanks between columns, none behind the last
    for name in names:
        width = max(
            WIDTHS.get(name, 0),
            *(cell_len(text) for text in (name, *(row.get(name, "") for row in shown))),
        )
        grid.add_column(name, no_wrap=True, width=width)
        grid.width += width + 2
    for row in shown:
        grid.add_row(*(row.get(name, "") for name in names))
    # Laid out in full width, then cut: fitted by rich, columns in the middle may vanish.
    console = Console(
        width=None if wide else grid.width, markup=False, emoji=False, highlight=False
    )
    with console.capture() as capture:
        console.print(grid)
    return "\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n")).encode()


@contextlib.contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr; yields the function that advances it."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(what, total=total)
        yield lambda done: bars.advance(bar, done)


def _row(item: Json) -> dict[str, str]:
    """A cell for each field, without the full form of the short id."""
    _, dash, short = str(item.get("id", "")).rpartition("-")
    whole = {
        name
        for name, value in item.items()
        if dash and short and str(value).lower().endswith(short)
    } - {"id"}
    return {name: visible(_cell(value)) for name, value in item.items() if name not in whole}


def _cell(value: object) -> str:
    if isinstance(value, str):
        return _local(value) if _STAMP.fullmatch(value) else value
    if isinstance(value, list) and all(isinstance(element, str) for element in value):
        return " ".join(value)
    return _compact(value)


def _event_row(event: Event) -> dict[str, str]:
    body = event["body"]
    words = [
        body[name]
        for name in ("subject", "title", "text")
        if isinstance(body.get(name), str) and body[name]
    ]
    what = " - ".join(words) or (_compact(body) if body else "")
    return {
        "time": _local(event["ts"]),
        "id": event.id[-8:].lower(),
        "type": visible(event["type"]),
        "who": visible(event["actor"]["agent_id"]),
        "what": visible(what),
    }


def _local(ts: str) -> str:
    try:
        return time.strftime("%b %d %H:%M:%S", time.localtime(world.parse_ts(ts) / 1000))
    except (ValueError, OverflowError):
        return visible(ts)


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
