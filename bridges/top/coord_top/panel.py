"""A panel: rows of which those in sight are drawn, with a title on a rule above them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from coord_top import table
from coord_top.palette import ROWS
from coord_top.table import Column, Ref, Row

if TYPE_CHECKING:
    from textual.events import Click, Resize


class Panel(ScrollView, can_focus=True):
    """Rows with a cursor. What is drawn costs the lines in sight, however many rows there are."""

    DEFAULT_CSS = """
    Panel {
        border-top: solid $panel-lighten-2;
        border-title-color: $foreground-darken-1;
        padding: 0 1;
        scrollbar-size-vertical: 1;
        overflow-x: hidden;
    }
    Panel.-current { border-top: solid $primary; border-title-color: $primary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown,space", "page(1)", show=False),
        Binding("home,g", "end(-1)", show=False),
        Binding("end,G", "end(1)", show=False),
        Binding("enter", "open", show=False),
    ]

    class Opened(Message):
        """Somebody wants to see all of a row's record."""

        def __init__(self, ref: Ref) -> None:
            super().__init__()
            self.ref = ref

    class Moved(Message):
        """The cursor is on another row."""

    def __init__(self, columns: Sequence[Column], empty: str, tail: bool = False, **names: str):
        """`empty`: what is shown without rows. `tail`: the newest row is the last, and is kept."""
        super().__init__(**names)  # type: ignore[arg-type]
        self._columns, self._empty, self._tail = columns, empty, tail
        self._asked = False
        """Is it known what there is?"""
        self.rows: Sequence[Row] = ()
        self._title: tuple[str | tuple[str, str], ...] = ()
        self._sizes: list[int] = []
        self._measured = 0
        """The width that `_sizes` are for; 0: for none."""
        self._at = 0

    @property
    def chosen(self) -> Row | None:
        """The row under the cursor; None without rows."""
        return self.rows[self._at] if self._at < len(self.rows) else None

    @property
    def at_end(self) -> bool:
        """Is the last row in sight?"""
        return self.scroll_offset.y + self.size.height >= len(self.rows)

    def title(self, *parts: str | tuple[str, str]) -> None:
        """Name it: texts, each with a style or without."""
        if parts != self._title:
            self._title = parts
            self.border_title = Content.assemble(*parts)

    def show(self, rows: Sequence[Row]) -> None:
        """Show these rows; the cursor stays on its record, or else where it is."""
        if rows == self.rows and self._asked:
            return
        self._asked = True
        before, followed = self.chosen, self._tail and self._at >= len(self.rows) - 1
        self.rows = rows
        keys = [row.ref and row.ref.key for row in rows]
        if followed:
            self._at = len(rows) - 1
        elif before and before.ref and before.ref.key in keys:
            self._at = keys.index(before.ref.key)
        self._put(self._at, 1)
        self._lay_out()
        self.refresh()

    def _lay_out(self) -> None:
        width = self.scrollable_content_region.width
        self._measured = 0
        self.virtual_size = Size(width, len(self.rows))
        self._reveal()

    def _widths(self, width: int) -> list[int]:
        if self._measured != width:
            self._measured = width
            self._sizes = table.widths(self._columns, self.rows, width)
        return self._sizes

    def _put(self, at: int, step: int) -> None:
        """Put the cursor there, or on the next row in this direction that can be chosen."""
        last = len(self.rows) - 1
        at = max(0, min(at, last))
        for way in (step, -step):
            here = at
            while 0 <= here <= last:
                if self.rows[here].ref:
                    self._at = here
                    return
                here += way
        self._at = at

    def _reveal(self) -> None:
        # The heading above the first row is part of what one wants to see.
        top = 0 if self._at <= 1 else self._at
        region = Region(0, top, 1, self._at - top + 1)
        self.scroll_to_region(region, animate=False, force=True, immediate=True)

    def _moved(self, at: int, step: int) -> None:
        """Somebody has moved the cursor."""
        self._put(at, step)
        self._reveal()
        self.refresh()
        self.post_message(self.Moved())

    def on_resize(self, event: Resize) -> None:
        self._lay_out()
        self.refresh()

    def watch_show_vertical_scrollbar(self) -> None:
        """Its column is or was a part of the lines."""
        self.refresh()

    def mark(self, current: bool) -> None:
        """Show or hide the cursor."""
        self.set_class(current, "-current")
        self.refresh()

    def on_click(self, event: Click) -> None:
        offset = event.get_content_offset(self)
        if offset and (at := offset.y + self.scroll_offset.y) < len(self.rows):
            again = at == self._at and event.chain > 1
            self._moved(at, 1)
            if again:
                self.action_open()

    def action_move(self, step: int) -> None:
        self._moved(self._at + step, step)

    def action_page(self, step: int) -> None:
        self.action_move(step * max(1, self.scrollable_content_region.height - 1))

    def action_end(self, step: int) -> None:
        self._moved(0 if step < 0 else len(self.rows) - 1, -step)

    def action_open(self) -> None:
        if self.chosen and self.chosen.ref:
            self.post_message(self.Opened(self.chosen.ref))

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        at = y + self.scroll_offset.y
        if not self.rows and y == 0:
            parts = [(table.cut(self._empty if self._asked else "…", width), "dim")]
        elif at < len(self.rows):
            parts = table.line(self.rows[at], self._columns, self._widths(width), width)
        else:
            return Strip.blank(width, ROWS[False][""])
        row = self.rows[at] if self.rows else None
        chosen = bool(row and row.ref and at == self._at and self.has_class("-current"))
        styles = ROWS[chosen]
        return Strip([Segment(text, styles[style]) for text, style in parts]).adjust_cell_length(
            width, styles[""]
        )
