"""A page over the panels: a record as its tool shows it, or the help."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from coord_kernel.cli.escape import visible
from coord_top import keys
from coord_top.palette import STYLES
from coord_top.table import Ref

if TYPE_CHECKING:
    from textual.app import ComposeResult

LAST = 200
"""Lines of a job's output that are shown."""


class Page(VerticalScroll):
    """A text that scrolls."""

    DEFAULT_CSS = """
    Page { border-top: solid $primary; border-title-color: $primary; border-title-style: bold;
           padding: 0 1; height: 1fr; display: none; scrollbar-size-vertical: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_up", show=False),
        Binding("down,j", "scroll_down", show=False),
        Binding("space", "page_down", show=False),
        Binding("g", "scroll_home", show=False),
        Binding("G", "scroll_end", show=False),
    ]

    def compose(self) -> ComposeResult:
        yield Static(id="text", markup=False)

    @property
    def width(self) -> int:
        """Columns of a line."""
        return self.app.size.width - 3

    def begin(self, title: str) -> None:
        """Empty, under this title."""
        self.border_title = Content(title)
        self.put(Text("…", STYLES["dim"]))
        self.scroll_home(animate=False)

    def put(self, text: Text) -> None:
        """Show a text; where one has scrolled to stays."""
        self.query_one("#text", Static).update(text)


def commands(ref: Ref, at: str | None) -> list[list[str]]:
    """The commands whose output is the page of a record."""
    then = [f"--at={at}"] if at else []
    if ref.kind in ("item", "question"):
        return [["wk", "show", ref.id, *then]]
    if ref.kind == "agent":
        return [["ev", "agents", ref.id]]
    if ref.kind == "lease":
        return [["lease", "show", ref.id, *then]]
    if ref.kind == "job":
        return [["run", "show", ref.id, *then], ["run", "logs", ref.id]]
    if ref.kind == "message":
        return [["msg", "show", ref.id, *then]]
    if ref.kind == "event":
        return [["ev", "show", ref.id]]
    return [["coord", "status"]]


def drawn(ref: Ref, outputs: list[tuple[int, str]]) -> Text:
    """The page of a record, of what its commands printed. Output of a job is shown escaped."""
    text = Text()
    if ref.note:
        text.append(f"{visible(ref.note)}\n\n", STYLES["soon"])
    for number, (status, said) in enumerate(outputs):
        if number:
            text.append("\n")
        if number and ref.kind == "job":
            lines = said.split("\n")[-LAST:]
            text.append("\n".join(visible(each) for each in lines), STYLES[""])
        elif status:
            text.append(f"{visible(said)}\n", STYLES["bad"])
        else:
            text.append_text(Text.from_ansi(said))
            text.append("\n")
    return text


def help_page(read_only: bool) -> Text:
    """Every key."""
    text = Text()
    for heading, group in keys.GROUPS.items():
        off = " (off: --read-only)" if read_only and heading == "Act" else ""
        text.append(f"{heading}{off}\n", STYLES["title"])
        for key in group:
            if key.shown:
                text.append(f"  {key.shown:<9}", STYLES["id"])
                text.append(f"{key.about}\n", STYLES[""])
        text.append("\n")
    text.append("Needs you", STYLES["title"])
    text.append(
        ": questions to answer and mail to you, then what is stuck, failed or in conflict.\n"
        "An act runs the tool that does it; what came out stands above the keys.\n",
        STYLES["dim"],
    )
    return text
