"""The panels together: which are shown, where, and with which rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Container, Horizontal, Vertical

from coord_top import arrange
from coord_top.arrange import PANELS, TITLES
from coord_top.lists import BOARD
from coord_top.palette import COLOURS
from coord_top.panel import Panel
from coord_top.seen import COLUMNS
from coord_top.table import Row, filtered

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from coord_top.stores import Looked

EMPTY = {
    "needs": "Nothing needs you.",
    "agents": "No agent yet: one is known from its first event on.",
    "work": "No work yet: `wk new TITLE` makes an item.",
    "leases": "Nothing is held: `lease acquire file:PATH` holds a file.",
    "jobs": "No job: `run request -- COMMAND` asks for one.",
    "mail": "No mail for you.",
    "events": "No event yet.",
}
"""What a panel says that has no row."""


class Body(Container):
    """All panels. What a person chose stays chosen while rows come and go."""

    DEFAULT_CSS = """
    Body { height: 1fr; }
    Body #left, Body #right { height: auto; }
    Body.-wide { layout: horizontal; }
    Body.-wide #left { width: 9fr; height: 100%; margin-right: 1; }
    Body.-wide #right { width: 11fr; height: 100%; }
    Body #board { height: auto; }
    Body #board Panel { width: 1fr; height: 100%; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.chosen, self.query_text = "needs", ""
        self.alone = self.board = self.problems = False
        self._looked: Looked | None = None
        self._unseen = 0
        self.room = (0, 0)
        """Columns and lines of the terminal."""

    def compose(self) -> ComposeResult:
        with Vertical(id="left"):
            yield from map(_panel, arrange.LEFT)
        with Vertical(id="right"):
            yield _panel("work")
            with Horizontal(id="board"):
                for name in BOARD:
                    yield Panel(COLUMNS["board"], "-", id=f"board-{name}")
            yield from map(_panel, arrange.RIGHT[1:])

    def panel(self, name: str) -> Panel:
        """A panel, or a column of the board: `board-NAME`."""
        return self.query_one(f"#{name}", Panel)

    @property
    def current(self) -> Panel | None:
        """The panel that has the keys."""
        return self.screen.focused if isinstance(self.screen.focused, Panel) else None

    @property
    def counts(self) -> dict[str, int]:
        """Lines of each panel."""
        return {name: len(self.panel(name).rows) for name in PANELS}

    @property
    def numbers(self) -> dict[str, int]:
        """Records of each panel."""
        return {name: sum(bool(row.ref) for row in self.panel(name).rows) for name in PANELS}

    def passed(self, fresh: int) -> int:
        """How many of so many new events will not be on the screen."""
        events = self.panel("events")
        room = events.size.height if events.at_end and events.display else 0
        return max(0, fresh - room)

    # ---- drawing

    def draw(self, looked: Looked) -> None:
        """Show what was looked at."""
        self._looked = looked
        self.redraw()

    def draw_events(self, events: list[Row], unseen: int) -> None:
        """Show new events; `unseen` of them passed without having been on the screen."""
        self._show("events", events)
        self._unseen = unseen
        self._title()

    def redraw(self) -> None:
        """Show the same again, as it is chosen now."""
        if self._looked is None:
            self._arrange()
            return
        rows = dict(self._looked.panels)
        if self.problems:
            rows["needs"] = self._looked.problems
        rows |= {f"board-{name}": cards for name, cards in self._looked.board.items()}
        for name, every in rows.items():
            self._show(name, every)
        self._arrange()
        self._title()

    def _show(self, name: str, rows: list[Row]) -> None:
        self.panel(name).show(filtered(rows, self.query_text) if self.query_text else rows)

    def _arrange(self) -> None:
        size = self.room
        chosen = "needs" if self.problems else self.chosen
        alone = self.alone or self.problems
        heights = arrange.heights(size, self.counts, chosen, alone)
        self.set_class(arrange.wide(*size) and not alone, "-wide")
        for side, names in (("left", arrange.LEFT), ("right", arrange.RIGHT)):
            self.query_one(f"#{side}").display = any(name in heights for name in names)
        places = {name: self.panel(name) for name in PANELS}
        board = self.query_one("#board")
        board.display, places["work"].display = self.board, not self.board
        shown = {**places, "work": board} if self.board else places
        for name, place in shown.items():
            place.display = name in heights
            if name in heights:
                place.styles.height = heights[name]

    def _title(self) -> None:
        assert self._looked
        counts = self.counts
        for number, name in enumerate(PANELS, 1):
            beside = self._looked.titles.get(name, "")
            if name == "needs":
                beside = f"{counts[name]:,}" if counts[name] else ""
            if name == "events":
                beside = f"+{self._unseen:,}" if self._unseen else ""
            title = "Problems" if name == "needs" and self.problems else TITLES[name]
            more = [(f"  {beside}", COLOURS["dim"])] if beside else []
            self.panel(name).title((f"{number} ", COLOURS["id"]), (title, "bold"), *more)
        for name in BOARD:
            panel = self.panel(f"board-{name}")
            panel.title((name.capitalize(), "bold"), (f" {len(panel.rows):,}", COLOURS["dim"]))

    # ---- moving

    def go(self, name: str) -> None:
        """Choose a panel, and give it the keys."""
        self.chosen, self.problems = name, False
        self.redraw()
        self.take_keys()

    def take_keys(self) -> None:
        """Give the keys to the chosen panel."""
        name = "needs" if self.problems else self.chosen
        self.panel("board-active" if name == "work" and self.board else name).focus()

    def turn(self, step: int) -> None:
        """Go to the next column of the board, or the next panel."""
        columns = [f"board-{name}" for name in BOARD]
        if self.current and self.current.id in columns:
            at = columns.index(self.current.id) + step
            if 0 <= at < len(columns):
                self.panel(columns[at]).focus()
                return
        self.go(PANELS[(PANELS.index(self.chosen) + step) % len(PANELS)])

    def toggle(self, what: str) -> None:
        """Begin or end `problems`, `board` or `alone`."""
        setattr(self, what, not getattr(self, what))
        if what == "board":
            self.chosen, self.problems = "work", False
        if what == "problems":
            self.chosen = "needs"
        self.redraw()
        self.take_keys()


def _panel(name: str) -> Panel:
    return Panel(COLUMNS[name], EMPTY[name], tail=name == "events", id=name)
