"""coord-top by Textual's Pilot: every key on a real store, and what a screen shows of hostile text."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import acme
import pytest

if not importlib.util.find_spec("textual"):
    pytest.skip("textual is not installed", allow_module_level=True)

from textual.pilot import Pilot
from textual.widgets import Input

from coord_kernel.store.locate import find
from coord_top import keys
from coord_top.app import Top
from coord_top.bar import Bar
from coord_top.line import Line
from coord_top.page import Page
from coord_top.panel import Panel
from coord_top.stores import Stores

ME = "human:kim"
HOSTILE = "\x1b[31mred\x1b[0m [bold red]x[/] [/nope] 日本語\u202eabc " + "very long " * 40
SECONDS = 30


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> acme.Acme:
    return acme.told(tmp_path_factory.mktemp("story"))


@pytest.fixture
def story(made: acme.Acme, tmp_path: Path) -> acme.Acme:
    """The story, in a store of this test's own."""
    copy = acme.Acme.__new__(acme.Acme)
    shutil.copytree(made.root, tmp_path / "acme")
    copy.root, copy.shell, copy.ids = (
        tmp_path / "acme",
        made.shell.__class__(tmp_path / "acme"),
        made.ids,
    )
    copy.shell.env.pop("COORD_AGENT", None)
    return copy


class User:
    """Somebody at the keys, who waits until the screen shows what is expected."""

    def __init__(self, app: Top, pilot: Pilot[int], changed: asyncio.Event) -> None:
        self.app, self.pilot, self._changed = app, pilot, changed

    async def press(self, *pressed: str) -> None:
        await self.pilot.press(*pressed)

    async def type(self, text: str) -> None:
        """Type an answer, and Enter."""
        self.app.query_one(Input).value = text
        await self.pilot.press("enter")

    async def until(self, what: Callable[[], object]) -> None:
        async def wait() -> None:
            while not what():
                await self._changed.wait()
                self._changed.clear()
                await self.pilot.pause()  # until it is drawn

        try:
            await asyncio.wait_for(wait(), SECONDS)
        except TimeoutError:
            pytest.fail(f"not shown:\n{self.screen}\n{self.status}")
        await self.pilot.pause()

    async def says(self, text: str) -> None:
        """Until the line above the keys says it."""
        await self.until(lambda: text in self.status)

    def line(self, name: str) -> str:
        return "".join(text for text, _ in self.app.query_one(f"#{name}", Line)._parts)

    @property
    def status(self) -> str:
        return self.line("status")

    @property
    def screen(self) -> str:
        """What is drawn."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text for strip in strips)

    @property
    def chosen(self) -> str:
        row = self.app.body.current.chosen if self.app.body.current else None
        return row.text if row else ""

    def shown(self) -> list[str]:
        return [panel.id or "" for panel in self.app.query(Panel) if panel.region.area]

    async def choose(self, panel: str, text: str) -> None:
        """Put the cursor on the row with a text."""
        await self.press(str(list(keys_of_panels).index(panel) + 1))
        rows = self.app.body.panel(panel).rows
        self.app.body.panel(panel)._moved([text in row.text for row in rows].index(True), 1)
        await self.pilot.pause()


keys_of_panels = ("needs", "agents", "work", "leases", "jobs", "mail", "events")


@pytest.fixture
def sit(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run a story of a user at a screen."""

    def sit(
        roots: Path | list[Path],
        act: Callable[[User], Awaitable[None]],
        size: tuple[int, int] = (80, 24),
        at: str | None = None,
        read_only: bool = False,
    ) -> None:
        monkeypatch.setenv("COORD_NOW", acme.NOW)
        monkeypatch.setenv("COORD_AGENT", ME)
        monkeypatch.setenv("TZ", "UTC")
        monkeypatch.delenv("NO_COLOR", raising=False)
        stores = [find(str(root)) for root in (roots if isinstance(roots, list) else [roots])]

        async def run() -> None:
            changed = asyncio.Event()
            for owner, name in ((Line, "put"), (Panel, "show"), (Page, "put"), (Bar, "stop")):
                monkeypatch.setattr(owner, name, noticed(getattr(owner, name), changed))
            app = Top(Stores(stores, ME), ME, at, read_only)
            async with app.run_test(size=size) as pilot:
                user = User(app, pilot, changed)
                await user.until(lambda: app.looked)
                await act(user)

        asyncio.run(run())

    return sit


def noticed(function: Any, changed: asyncio.Event) -> Any:
    def call(*values: Any, **named: Any) -> Any:
        done = function(*values, **named)
        changed.set()
        return done

    return call


# ---- every key

MOVES = {
    **{str(number): name for number, name in enumerate(keys_of_panels, 1)},
    "tab": "needs",
    "shift+tab": "events",
}
"""Key → the panel that it goes to from the last panel, or for Shift-Tab from the first."""
LOOKS = ("p", "b", "z", "slash", "question_mark", "escape", "q", "ctrl+c")
TIMES = (
    "left_square_bracket",
    "right_square_bracket",
    "left_curly_bracket",
    "right_curly_bracket",
    "at",
    "n",
)
ACTS = ("c", "t", "h", "r", "a", "s", "d", "x", "e")


def test_every_key_is_pressed_in_a_test_below() -> None:
    assert {*MOVES, *LOOKS, *TIMES, *ACTS} == {key.key for key in keys.ALL}


def test_keys_that_move(made: acme.Acme, sit: Callable[..., None]) -> None:
    async def act(user: User) -> None:
        for key, panel in MOVES.items():
            if key == "shift+tab":
                await user.press("1")
            await user.press(key)
            assert user.app.body.chosen == panel, key
            assert user.app.focused is user.app.body.panel(panel), key
        await user.press("3", "home")
        first = user.chosen
        for there, back in (
            ("down", "up"),
            ("j", "k"),
            ("end", "home"),
            ("G", "g"),
            ("pagedown", "pageup"),
            ("space", "pageup"),
        ):
            await user.press(there)
            assert user.chosen != first, there
            await user.press(back)
            assert user.chosen == first, back
        await user.press("enter")
        await user.until(
            lambda: "move to the new lexer" in user.screen.casefold() and "P0" in user.screen
        )
        assert user.app.screen.has_class("-reading")
        await user.press("escape")
        assert not user.app.screen.has_class("-reading")
        assert user.chosen == first

    sit(made.root, act)


def test_keys_that_look(made: acme.Acme, sit: Callable[..., None]) -> None:
    async def everything(user: User) -> None:
        await user.press("p")
        assert user.shown() == ["needs"]
        assert "is lost" in user.screen and "12 of 14" not in user.screen
        await user.press("p")
        assert "12 of 14" in user.screen and "events" in user.shown()
        await user.press("b")
        assert "board-ready" in user.shown() and "work" not in user.shown()
        assert user.app.focused is user.app.body.panel("board-active")
        await user.press("tab")
        assert user.app.focused is user.app.body.panel("board-waiting")
        await user.press("b")
        assert "work" in user.shown() and "board-ready" not in user.shown()
        await user.press("z")
        assert user.shown() == ["work"]
        await user.press("escape")
        assert "events" in user.shown()
        await user.press("slash")
        await user.type("LEXER new")
        texts = [row.text for row in user.app.body.panel("work").rows if row.ref]
        assert texts and all("lexer" in text and "new" in text for text in texts)
        assert "/LEXER new" in user.line("header")
        await user.press("escape")
        assert len([row for row in user.app.body.panel("work").rows if row.ref]) == 9
        await user.press("question_mark")
        for key in keys.ALL:
            assert not key.shown or key.shown in user.app.page.query_one("#text").content.plain  # type: ignore[attr-defined]
        await user.press("escape", "q")
        assert user.app.return_value == 0

    sit(made.root, everything)


def test_ctrl_c_quits_also_while_a_question_is_open(
    made: acme.Acme, sit: Callable[..., None]
) -> None:
    async def act(user: User) -> None:
        await user.press("slash", "c", "ctrl+c")
        assert user.app.return_value == 0

    sit(made.root, act)


def test_keys_through_time(made: acme.Acme, sit: Callable[..., None]) -> None:
    async def act(user: User) -> None:
        def at(moment: str | None) -> Callable[[], bool]:
            seen = user.app
            return lambda: bool(
                seen.looked
                and seen.at == moment
                and (seen.looked.seen[0].shop.at == moment or moment is None)
            )

        await user.press("left_square_bracket")
        await user.until(at("2026-11-30T08:39:00.000Z"))
        await user.press("left_square_bracket")
        await user.until(at("2026-11-30T08:38:00.000Z"))
        assert "1 waiting" in user.line("header")
        await user.press("left_square_bracket")
        await user.until(at("2026-11-30T08:35:00.000Z"))
        assert "1 waiting" not in user.line("header"), "nobody had asked"
        await user.press("right_square_bracket")
        await user.until(at("2026-11-30T08:38:00.000Z"))
        await user.press("left_curly_bracket")
        await user.until(at("2026-11-30T07:38:00.000Z"))
        assert "07:38:00" in user.line("when")
        assert [row.text for row in user.app.body.panel("events").rows][-1].startswith("07:30:00")
        await user.press("2", "c")
        assert "past" in user.status, "nobody claims in the past"
        await user.press("right_curly_bracket")
        await user.until(at("2026-11-30T08:38:00.000Z"))
        await user.press("right_curly_bracket")
        await user.until(lambda: user.line("when") == "● live ")
        await user.press("at")
        await user.type("2026-11-30T07:15:00Z")
        await user.until(at("2026-11-30T07:15:00.000Z"))
        assert {row.cells[2].text for row in user.app.body.panel("agents").rows} >= {"ada"}
        await user.press("at")
        await user.type("soon")
        await user.says("not a valid time")
        await user.press("n")
        await user.until(lambda: user.line("when") == "● live ")
        await user.until(lambda: "1 waiting" in user.line("header"))

    sit(made.root, act)


def test_it_begins_in_the_past_and_counts_what_comes(
    story: acme.Acme, sit: Callable[..., None]
) -> None:
    async def act(user: User) -> None:
        assert "07:15:00" in user.line("when")
        await asyncio.to_thread(story, "08:39", "ada", "wk new later")
        await user.until(lambda: "+1 since" in user.line("header"))
        assert "later" not in user.screen

    sit(story.root, act, at="2026-11-30T07:15:00.000Z")


def test_keys_that_act(story: acme.Acme, sit: Callable[..., None]) -> None:
    short = {word: f"wk-{full[-8:].lower()}" for word, full in story.ids.items()}

    def item(word: str) -> dict[str, Any]:
        row: dict[str, Any] = json.loads(
            story("08:40", "kim", f"wk show {story.ids[word]} -o jsonl")
        )
        return row

    async def act(user: User) -> None:
        await user.choose("work", short["json"])
        await user.press("c")
        await user.says(f"✓ {short['json']} claimed")
        await user.until(lambda: "human:kim" in user.chosen)
        await user.choose("work", short["changes"])
        await user.press("t")
        assert f"Assign {short['changes']} to" in user.line("prompt")
        await user.press("a", "d", "tab")
        assert user.app.query_one(Input).value == "ada", "Tab takes what is suggested"
        await user.press("enter")
        await user.says(f"✓ {short['changes']} updated")
        await user.choose("agents", "eve")
        await user.press("h")
        assert "eve holds" in user.line("prompt")
        await user.type("bob")
        await user.says("✓")
        await user.choose("work", short["numbers"])
        await user.press("r")
        assert "ada holds" in user.line("prompt")
        await user.type("n")
        await user.says("not done")
        await user.press("r")
        await user.type("y")
        await user.says(f"✓ {short['numbers']} released")
        await user.choose("needs", "1e400")
        await user.press("a")
        await user.type("maybe")
        await user.says("not one of error | infinity")
        await user.press("a")
        await user.type("inf")
        await user.says("answered")
        await user.choose("agents", "bob")
        await user.press("s")
        await user.type("-- infinity it is [bold]")
        await user.says("sent")
        await user.choose("mail", "12 of 14")
        await user.press("a")
        await user.type("@/etc/passwd is not read")
        await user.says("sent")
        await user.press("d")
        await user.says("acknowledged")
        await user.choose("jobs", "requested")
        await user.press("x")
        await user.type("y")
        await user.says("cancelled")
        await user.choose("work", short["fuzz"])
        await user.press("e")
        assert user.app.query_one(Input).value.startswith(short["fuzz"])
        await user.type("who does this?")
        await user.says("sent")
        await user.press("x")
        await user.says("this is not a job")

    sit(story.root, act)
    assert item("json")["owner"] == ME
    assert item("changes")["assignee"] == "agent:ada"
    assert item("names")["assignee"] == "agent:bob"
    assert "owner" not in item("numbers")
    mail = [json.loads(line) for line in story("08:40", "kim", "msg ls --all -o jsonl").split("\n")]
    assert {"-- infinity it is [bold]", "who does this?"} <= {each["subject"] for each in mail}
    assert [each["severity"] for each in mail if each["subject"] == "who does this?"] == ["high"]


# ---- what is shown


def test_a_wide_terminal_shows_all_panels_and_a_narrow_one_what_is_chosen(
    made: acme.Acme, sit: Callable[..., None]
) -> None:
    async def act(user: User) -> None:
        assert set(user.shown()) == set(keys_of_panels)
        await user.pilot.resize_terminal(80, 24)
        assert user.shown() == ["needs", "events"]
        await user.press("3")
        assert set(user.shown()) == {"needs", "work", "events"}
        await user.pilot.resize_terminal(30, 8)
        assert "30 by 8 is too small" in " ".join(user.screen.split())
        await user.pilot.resize_terminal(80, 24)
        assert set(user.shown()) == {"needs", "work", "events"}
        assert "Move to the new lexer" in user.screen

    sit(made.root, act, size=(160, 50))


def test_what_others_wrote_is_text_in_one_line(story: acme.Acme, sit: Callable[..., None]) -> None:
    env = {"HOSTILE": HOSTILE, "COORD_SESSION": "s7"}
    title = story("08:39", "kim", 'wk new "$(printf %.150s "$HOSTILE")" -p 0 -o id', **env)
    story("08:39", "kim", f"wk claim {title}", **env)
    story("08:39", "kim", 'msg send --to human:kim --subject "$(printf %.150s "$HOSTILE")"', **env)
    story("08:39", "kim", 'run request -- sh -c "$HOSTILE"', **env)
    story("08:39", "kim", 'lease acquire "file:[red]a b" --reason "$HOSTILE"', **env)
    story(
        "08:39",
        "kim",
        'wk ask "$(printf %.150s "$HOSTILE")" --to human:kim --option "[a]" --option b',
        **env,
    )

    async def act(user: User) -> None:
        for key in ("1", "2", "3", "b", "4", "5", "6", "7", "p"):
            await user.press(key)
            assert not set(map(chr, (*range(32), 0x7F, 0x9B, 0x202E))) & set(
                user.screen.replace("\n", "")
            )
            assert all(len(line) <= 80 for line in user.screen.split("\n"))
        await user.press("escape", "6")
        assert "[bold red]x[/]" in user.screen, "markup is text"
        assert "\\u{1b}[31mred" in user.screen
        await user.choose("mail", "[bold red]x[/]")
        await user.press("enter")
        await user.until(lambda: "[bold red]x[/]" in user.screen and "waits for" in user.screen)
        assert "\x1b" not in user.screen

    sit(story.root, act)


def test_several_stores_are_one_view_and_each_is_acted_in(
    story: acme.Acme, tmp_path: Path, sit: Callable[..., None]
) -> None:
    other = acme.Acme(tmp_path, "website")
    other.item("08:00", "logo", "Draw a logo")

    async def act(user: User) -> None:
        assert "acme, website" in user.line("header")
        await user.choose("work", "draw a logo")
        assert "website" in user.chosen
        await user.press("c")
        await user.says("claimed")
        await user.until(lambda: "human:kim" in user.chosen)

    sit([story.root, other.root], act, size=(100, 30))
    assert json.loads(other("08:40", "kim", "wk mine -o jsonl"))["title"] == "Draw a logo"


def test_read_only_changes_nothing(story: acme.Acme, sit: Callable[..., None]) -> None:
    async def act(user: User) -> None:
        await user.choose("work", "print the tree")
        for key in ACTS:
            await user.press(key)
            assert "read only" in user.status, key
            assert not user.app.bar.asking
        assert "claim" not in user.line("keys")

    before = story("08:40", "kim", "ev stats -o jsonl")
    sit(story.root, act, read_only=True)
    assert story("08:40", "kim", "ev stats -o jsonl") == before


def test_events_that_pass_unseen_are_counted(story: acme.Acme, sit: Callable[..., None]) -> None:
    lines = "\n".join(json.dumps({"type": "test.tick", "body": {"n": n}}) for n in range(100))

    async def act(user: User) -> None:
        room = user.app.body.panel("events").size.height
        await asyncio.to_thread(
            story.shell, "ev emit --as ada -", lines, COORD_NOW="2026-11-30T08:39:30Z"
        )
        await user.until(lambda: "test.tick" in user.app.body.panel("events").rows[-1].text)
        await user.until(lambda: user.app._unseen >= 100 - 2 * room)
        assert f"+{user.app._unseen}" in user.screen

    sit(story.root, act)


def test_a_store_that_goes_away_is_one_line_and_the_screen_stays(
    story: acme.Acme, sit: Callable[..., None]
) -> None:
    async def act(user: User) -> None:
        shutil.rmtree(story.root / ".coord")
        user.app._watch.again()
        await user.says("✗")
        assert "Move to the new lexer" in user.app.body.panel("work").rows[1].cells[3].text

    sit(story.root, act)
