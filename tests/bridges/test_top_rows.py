"""coord-top's pure parts: how rows are laid out, which panels are shown, what a key would do."""

from __future__ import annotations

import importlib.util

import pytest
from rich.cells import cell_len

if not importlib.util.find_spec("textual"):
    pytest.skip("textual is not installed", allow_module_level=True)

from coord_envelope.errors import No
from coord_top import acts, arrange, shown, table
from coord_top.acts import People
from coord_top.palette import BACKGROUND, BOLD, CHOSEN, COLOURS
from coord_top.table import Cell, Column, Ref, Row

COLUMNS = (Column(4), Column(share=1), Column(8, drop=20))
PEOPLE = People("human:kim", ("agent:ada", "agent:bob"), "human:lee")
ITEM = Ref("item", "01FULL", name="wk-full", work="01FULL")
HELD = ITEM._replace(who="agent:ada", holder="agent:ada")
QUESTION = Ref("question", "01Q", name="wk-q", who="agent:bob", work="01Q", options=("yes", "no"))
MAIL = Ref("message", "01M", name="msg-m", who="agent:ada")
JOB = Ref("job", "01R", name="run-r", who="agent:bob", work="01FULL")
LEASE = Ref("lease", "01L", name="ls-l", who="human:kim", holder="human:kim")


def row(*texts: str) -> Row:
    return Row(tuple(map(Cell, texts)), Ref("item", texts[0]))


@pytest.mark.parametrize("width", [1, 5, 17, 33, 34, 80])
@pytest.mark.parametrize(
    "text", ["", "short", "日本語のタイトル", "e\u0301" * 30, "👩‍💻 x", "x" * 200]
)
def test_a_line_is_as_wide_as_it_should_be(width: int, text: str) -> None:
    rows = [row("id", text, "agent")]
    sizes = table.widths(COLUMNS, rows, width)
    parts = table.line(rows[0], COLUMNS, sizes, width)
    drawn = "".join(part for part, _ in parts)
    assert cell_len(drawn) >= width or width < 5
    assert width < 7 or cell_len(drawn) == width


def test_a_column_is_left_out_where_the_rest_would_be_too_narrow() -> None:
    rows = [row("id", "title", "agent")]
    assert table.widths(COLUMNS, rows, 31) == [2, 20, 5]
    assert table.widths(COLUMNS, rows, 30) == [2, 26, 0]


def test_a_filter_wants_every_word_and_keeps_headings_above_what_is_left() -> None:
    ready, active = Row((Cell("READY"),)), Row((Cell("ACTIVE"),))
    rows = [active, row("1", "Parse it", "ada"), ready, row("2", "Print it", "bob")]
    assert table.filtered(rows, "IT bob") == rows[2:]
    assert table.filtered(rows, "parse") == rows[:2]
    assert table.filtered(rows, "nothing") == []


@pytest.mark.parametrize(
    "size", [(40, 12), (80, 24), (119, 60), (120, 33), (120, 34), (160, 50), (300, 90)]
)
@pytest.mark.parametrize("count", [0, 3, 500])
def test_panels_fill_the_terminal_and_each_has_a_line(size: tuple[int, int], count: int) -> None:
    counts = dict.fromkeys(arrange.PANELS, count)
    for chosen in arrange.PANELS:
        heights = arrange.heights(size, counts, chosen, alone=False)
        lines = size[1] - arrange.AROUND
        if arrange.wide(*size):
            assert set(heights) == set(arrange.PANELS)
            for column in (arrange.LEFT, arrange.RIGHT):
                assert sum(heights[name] for name in column) == lines + 1
        else:
            assert {"needs", chosen, "events"} == set(heights)
            assert sum(heights.values()) == lines
        assert min(heights.values()) >= 2
        assert arrange.heights(size, counts, chosen, alone=True).keys() == {chosen}


@pytest.mark.parametrize(
    ("verb", "ref", "typed", "command"),
    [
        ("claim", ITEM, "", "wk claim 01FULL"),
        ("claim", JOB, "", "wk claim 01FULL"),
        ("assign", ITEM, " bob ", "wk update 01FULL --assignee=bob"),
        ("hand_off", HELD, "bob", "wk handoff 01FULL --to=bob --force"),
        ("hand_off", HELD._replace(holder="human:kim"), "bob", "wk handoff 01FULL --to=bob"),
        ("release", HELD, "y", "wk release 01FULL --force"),
        ("release", LEASE, "", "lease release 01L"),
        ("answer", QUESTION, "Y", "wk answer -- 01Q yes"),
        ("answer", MAIL, "@file", "msg reply 01M --body=-"),
        ("say", HELD, "-x", "msg send --to=ada --subject=-x --work=01FULL"),
        ("say", ITEM, "bob: hello you", "msg send --to=bob --subject=hello you --work=01FULL"),
        ("done", MAIL, "", "msg ack 01M"),
        ("cancel", JOB, "yes", "run cancel 01R"),
        (
            "escalate",
            MAIL,
            "help",
            "msg send --to=human:lee --subject=help --severity=high --force",
        ),
    ],
)
def test_what_a_key_runs(verb: str, ref: Ref, typed: str, command: str) -> None:
    act = acts.planned(verb, ref, PEOPLE)
    assert bool(act.prompt) == bool(typed)
    assert " ".join(act.make(typed).argv) == command


def test_a_long_text_is_the_body_and_begins_the_subject() -> None:
    command = acts.planned("say", HELD, PEOPLE).make("ö" * 300)
    assert command.text == "ö" * 300
    (subject,) = [word for word in command.argv if word.startswith("--subject=")]
    assert len(subject.removeprefix("--subject=").encode()) <= 200


@pytest.mark.parametrize(
    ("verb", "ref", "typed"),
    [
        ("claim", MAIL, None),
        ("answer", ITEM, None),
        ("done", ITEM, None),
        ("cancel", ITEM, None),
        ("assign", ITEM, "  "),
        ("answer", QUESTION, "maybe"),
        ("cancel", JOB, "n"),
        ("release", HELD, ""),
        ("say", ITEM, "bob"),
    ],
)
def test_what_makes_no_sense_is_refused(verb: str, ref: Ref, typed: str | None) -> None:
    with pytest.raises(No):
        act = acts.planned(verb, ref, PEOPLE)
        assert typed is not None
        act.make(typed)


def test_the_keys_at_the_bottom_fit_and_those_that_do_nothing_are_left_out() -> None:
    def text(reading: bool, read_only: bool, past: bool) -> str:
        return "".join(part for part, _ in shown.keys(ITEM, reading, read_only, past, 80))

    assert "claim" in text(False, False, False)
    assert "claim" not in text(False, True, False) + text(False, False, True)
    assert "n now" in text(False, False, True)
    assert len(text(False, False, False).rstrip()) <= 80


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colour", sorted({*COLOURS.values(), *BOLD.values()}))
@pytest.mark.parametrize("background", [BACKGROUND, CHOSEN])
def test_every_colour_can_be_read(colour: str, background: str) -> None:
    light, dark = sorted((luminance(colour), luminance(background)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5
