"""The colours, by what they say: red needs a person now, yellow soon, the rest is calm.

Each has a contrast of 4.5 to 1 or more on both backgrounds (WCAG AA); a test computes it.
"""

from __future__ import annotations

from rich.style import Style
from textual.theme import Theme

BACKGROUND, CHOSEN = "#0f1419", "#1c3145"
_TEXT, _DIM = "#d5dae0", "#8d99a6"
COLOURS = {
    "": _TEXT,
    "dim": _DIM,
    "id": "#7fb4e6",
    "good": "#7ec98f",
    "soon": "#e2b55a",
    "bad": "#f2857b",
    "who": "#b9a3e3",
}
"""Name → colour of the text."""
BOLD = {"heading": _DIM, "title": "#eef2f6", "alarm": COLOURS["bad"]}
STYLES = {
    **{name: Style(color=colour) for name, colour in COLOURS.items()},
    **{name: Style(color=colour, bold=True) for name, colour in BOLD.items()},
}
ROWS = {
    chosen: {name: style + Style(bgcolor=colour) for name, style in STYLES.items()}
    for chosen, colour in ((False, BACKGROUND), (True, CHOSEN))
}
"""Is it the row with the cursor → the styles there: made once, not for each line drawn."""

THEME = Theme(
    name="coord",
    primary="#7fb4e6",
    secondary="#4d6f91",
    accent="#7fb4e6",
    warning=COLOURS["soon"],
    error=COLOURS["bad"],
    success=COLOURS["good"],
    foreground=_TEXT,
    background=BACKGROUND,
    surface=BACKGROUND,
    panel="#1a2129",
    variables={"scrollbar": "#2b3540", "scrollbar-background": BACKGROUND},
)
