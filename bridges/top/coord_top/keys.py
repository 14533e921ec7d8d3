"""The keys of coord-top: one table for what they do, the help and the line at the bottom."""

from __future__ import annotations

from typing import NamedTuple


class Key(NamedTuple):
    """A key, as Textual names it and as a person sees it, and what it does."""

    key: str
    shown: str
    action: str
    about: str


MOVE = (
    Key("", "↑ ↓ k j", "", "move; also PgUp, PgDn, Home, End"),
    Key("tab", "Tab", "turn(1)", "next panel; Shift-Tab: the one before"),
    Key("shift+tab", "", "turn(-1)", ""),
    *(Key(str(number), "", f"panel({number})", "") for number in range(1, 8)),
    Key("", "1 … 7", "", "this panel"),
    Key("", "Enter", "", "open the record; Esc closes it"),
)
LOOK = (
    Key("p", "p", "flip('problems')", "only what needs a person; p again: everything"),
    Key("b", "b", "flip('board')", "work as a board, or as a list"),
    Key("z", "z", "flip('alone')", "this panel alone, or all of them"),
    Key("slash", "/", "filter", "show only rows with these words; Esc: all"),
)
ACT = (
    Key("c", "c", "act('claim')", "claim this work item"),
    Key("t", "t", "act('assign')", "assign it to somebody"),
    Key("h", "h", "act('hand_off')", "hand it off, also from who holds it"),
    Key("r", "r", "act('release')", "release this work item or lease"),
    Key("a", "a", "act('answer')", "answer this question or message"),
    Key("s", "s", "act('say')", "say something to whom this row is about"),
    Key("d", "d", "act('done')", "acknowledge this message as done"),
    Key("x", "x", "act('cancel')", "cancel this job"),
    Key("e", "e", "act('escalate')", "escalate it to the person of the project"),
)
TIME = (
    Key("left_square_bracket", "[ ]", "step(-1)", "the moment of the event before, or after"),
    Key("right_square_bracket", "", "step(1)", ""),
    Key("left_curly_bracket", "{ }", "hours(-1)", "an hour back, or on"),
    Key("right_curly_bracket", "", "hours(1)", ""),
    Key("at", "@", "moment", "go to a time: a date, or 10m, 2h, 3d ago"),
    Key("n", "n", "now", "back to now"),
)
PROGRAM = (
    Key("question_mark", "?", "help", "this page"),
    Key("escape", "Esc", "leave", "close, clear the filter, end p or z"),
    Key("q", "q", "quit", "quit; also Ctrl-C"),
    Key("ctrl+c", "", "quit", ""),
)
GROUPS = {"Move": MOVE, "Look": LOOK, "Act": ACT, "Time": TIME, "Program": PROGRAM}
"""Heading in the help → keys."""
ALL = [key for keys in GROUPS.values() for key in keys if key.key]
