"""A line of styled parts: never parsed, cut at the width of the terminal."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static

from coord_top.palette import STYLES
from coord_top.shown import Parts


def text_of(parts: Parts) -> Text:
    """Parts as one text."""
    text = Text(no_wrap=True, overflow="ellipsis", end="")
    for part, style in parts:
        text.append(part, STYLES[style])
    return text


class Line(Static):
    """One line of the screen."""

    DEFAULT_CSS = "Line { height: 1; }"

    def __init__(self, id: str) -> None:
        super().__init__(id=id, markup=False)
        self._parts: Parts = []

    def put(self, parts: Parts) -> None:
        """Show these parts."""
        if parts != self._parts:
            self._parts = parts
            self.update(text_of(parts), layout=self.styles.is_auto_width)
