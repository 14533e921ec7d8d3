"""The two lines at the bottom: what came out, or a question to whoever sits there; and the keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical
from textual.suggester import SuggestFromList
from textual.widget import Widget
from textual.widgets import Input

from coord_top.line import Line
from coord_top.shown import Parts

if TYPE_CHECKING:
    from textual.app import ComposeResult

Answered = Callable[[str], None]


class Bar(Vertical):
    """It asks one question at a time; meanwhile the screen goes on."""

    DEFAULT_CSS = """
    Bar { height: 2; }
    Bar #ask { display: none; height: 1; }
    Bar #prompt { width: auto; padding: 0 1; }
    Bar Input, Bar Input:focus { width: 1fr; height: 1; border: none; padding: 0;
        background: $panel; }
    Bar.-asking #status { display: none; }
    Bar.-asking #ask { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._answered: Answered | None = None
        self._changed: Answered | None = None
        self._before: Widget | None = None
        self._hint: Parts = []
        self._said: Parts = []

    def compose(self) -> ComposeResult:
        yield Line("status")
        with Horizontal(id="ask"):
            yield Line("prompt")
            yield Input(id="answer", select_on_focus=False, compact=True)
        yield Line("keys")

    @property
    def asking(self) -> bool:
        """Is a question open?"""
        return self._answered is not None

    def say(self, parts: Parts) -> None:
        """Show what came out, until something else does or `forget`."""
        self._said = parts
        self.query_one("#status", Line).put([(" ", ""), *(parts or self._hint)])

    def forget(self) -> None:
        """Show the hint again: another row was chosen."""
        self.say([])

    def keys(self, parts: Parts, hint: Parts) -> None:
        """Show which keys there are, and what can be done about a row if nothing came out."""
        self.query_one("#keys", Line).put(parts)
        self._hint = hint
        self.say(self._said)

    def ask(
        self,
        prompt: str,
        answered: Answered,
        begin: str = "",
        suggest: Sequence[str] = (),
        changed: Answered | None = None,
    ) -> None:
        """Ask for a line; `answered` gets it, `changed` every state of it on the way."""
        if not self.asking:
            self._before = self.screen.focused
        self._answered, self._changed = answered, changed
        self.query_one("#prompt", Line).put([(prompt, "soon")])
        line = self.query_one(Input)
        line.suggester = SuggestFromList(suggest, case_sensitive=False) if suggest else None
        line.value = begin
        line.cursor_position = len(begin)
        self.add_class("-asking")
        line.focus()

    def complete(self) -> None:
        """Take what is suggested."""
        self.query_one(Input).action_cursor_right()

    def stop(self) -> None:
        """Close the question."""
        self._answered = self._changed = None
        self.remove_class("-asking")
        if self._before and self._before.is_attached and self._before.display:
            self._before.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self._changed:
            self._changed(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        answered = self._answered
        self.stop()
        if answered:
            answered(event.value)
