"""Rows of cells, laid out to a width. Pure.

A column is as wide as its widest cell, up to its `most`; those with a `share` divide what is left.
A column with a `drop` is left out where less than that is left; the greatest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

GAP = 2
"""Blank columns between two columns."""


class Cell(NamedTuple):
    """A text without control characters, and the name of its style (see `palette`)."""

    text: str
    style: str = ""


class Ref(NamedTuple):
    """What a row is about, for whoever acts on it."""

    kind: str
    """item, question, agent, lease, job, message, event or store"""
    id: str
    """As its tool takes it, in full."""
    store: int = 0
    """Number of the store that it is in."""
    name: str = ""
    """As a person reads it."""
    who: str = ""
    """The agent to speak to about it: who holds, sent or runs it."""
    work: str = ""
    """The work item that it is about."""
    holder: str = ""
    """Who holds it."""
    options: tuple[str, ...] = ()
    """Of a question: what may be answered."""
    note: str = ""
    """Of a problem: what is wrong."""
    todo: str = ""
    """What a person can do about it."""

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for the same record, whatever it says now."""
        return self.kind, self.id, self.store, self.note


class Row(NamedTuple):
    """A line of a panel. A heading has no `ref` and cannot be chosen."""

    cells: tuple[Cell, ...]
    ref: Ref | None = None

    @property
    def text(self) -> str:
        """What a filter looks at."""
        return " ".join(cell.text for cell in self.cells).casefold()


class Column(NamedTuple):
    """How wide a column may be; `share` 0: as wide as its cells, up to `most`."""

    most: int = 0
    share: int = 0
    drop: int = 0
    right: bool = False


def widths(columns: Sequence[Column], rows: Sequence[Row], width: int) -> list[int]:
    """The width of each column; 0 for a column that is left out."""
    columns = list(columns)
    found = [0] * len(columns)
    for row in rows:
        if row.ref is None:
            continue
        for number, cell in enumerate(row.cells[: len(columns)]):
            if not columns[number].share and found[number] < columns[number].most:
                found[number] = max(found[number], cell_len(cell.text))
    found = [min(size, column.most) for size, column in zip(found, columns, strict=True)]
    for number in sorted(range(len(columns)), key=lambda at: -columns[at].drop):
        column = columns[number]
        if column.drop and _left(found, columns, width) < column.drop:
            found[number] = 0
            if column.share:
                columns[number] = Column()
    shares = sum(column.share for column in columns)
    left = max(_left(found, columns, width), shares)
    for number, column in enumerate(columns):
        if column.share:
            found[number] = max(1, left * column.share // shares)
    return found


def _left(found: Sequence[int], columns: Sequence[Column], width: int) -> int:
    """What the columns with a share may take."""
    shown = sum(bool(size or column.share) for size, column in zip(found, columns, strict=True))
    return width - sum(found) - GAP * max(0, shown - 1)


def cut(text: str, width: int) -> str:
    """A text in so many columns of the terminal, padded or with an ellipsis."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, width - 1) + "…" if width > 0 else ""


def line(
    row: Row, columns: Sequence[Column], sizes: Sequence[int], width: int
) -> list[tuple[str, str]]:
    """Texts and the names of their styles, together `width` columns wide."""
    if row.ref is None:
        text = "  ".join(cell.text for cell in row.cells)
        return [(cut(text, width), row.cells[0].style if row.cells else "")]
    parts: list[tuple[str, str]] = []
    for cell, column, size in zip(row.cells, columns, sizes, strict=False):
        if not size:
            continue
        if parts:
            parts.append((" " * GAP, ""))
        text = cut(cell.text, size)
        if column.right and cell_len(cell.text) < size:
            text = " " * (size - cell_len(cell.text)) + cell.text
        parts.append((text, cell.style))
    used = sum(cell_len(text) for text, _ in parts)
    return [*parts, (" " * max(0, width - used), "")]


def matches(row: Row, query: str) -> bool:
    """Does the row have every word of the query? Case is ignored."""
    return all(word in row.text for word in query.casefold().split())


def filtered(rows: Sequence[Row], query: str) -> list[Row]:
    """The rows that match, with the headings that still have a row below them."""
    shown: list[Row] = []
    heading: Row | None = None
    for row in rows:
        if row.ref is None:
            heading = row
        elif matches(row, query):
            if heading:
                shown.append(heading)
                heading = None
            shown.append(row)
    return shown
