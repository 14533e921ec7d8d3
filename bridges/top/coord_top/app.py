"""What a key does. Nothing waits: reading is done by a thread, acting by processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.containers import Horizontal

from coord_envelope import world
from coord_envelope.errors import Fault, Usage
from coord_kernel.cli.values import moment
from coord_kernel.cli.words import line
from coord_top import arrange, keys, shown
from coord_top.arrange import PANELS
from coord_top.bar import Bar
from coord_top.body import Body
from coord_top.line import Line
from coord_top.office import Office
from coord_top.page import Page, help_page
from coord_top.palette import THEME
from coord_top.panel import Panel
from coord_top.stores import READ, fault
from coord_top.watch import TICK_S, Watch

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.events import DescendantFocus, Resize

    from coord_top import acts
    from coord_top.stores import Looked, Stores
    from coord_top.table import Ref

UNSEEN_S = 3.0
"""How long `+N` stays after the last event that passed unseen."""
HOUR_MS = 3_600_000
OVER = ("tab", "shift+tab", "ctrl+c")
"""Keys that are ours wherever the focus is."""


class Top(App[int]):
    """The screen of coord-top."""

    CSS = """
    Screen { background: $background; color: $foreground; overflow: hidden; }
    #head { height: 1; }
    #header { width: 1fr; }
    #when { width: auto; }
    #small { display: none; height: 1fr; width: 100%; text-align: center; }
    Screen.-small > * { display: none; }
    Screen.-small > #small { display: block; }
    Screen.-reading > Body { display: none; }
    Screen.-reading > Page { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        # Of these, Textual has own bindings on the screen and in a line that is typed.
        Binding(key.key, key.action, key.about, show=False, priority=key.key in OVER)
        for key in keys.ALL
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, stores: Stores, me: str, at: str | None, read_only: bool) -> None:
        super().__init__()
        self._stores, self._watch, self._read_only = stores, Watch(stores), read_only
        self.at = at
        """The moment that is shown, a stamp; None: now."""
        self.fault: Fault | None = None
        """Why nothing can be shown."""
        self.looked: Looked | None = None
        self.opened: Ref | None = None
        """The record whose page is open."""
        self._office = Office(stores, self._watch, me)
        self._unseen, self._since, self._missed = 0, 0.0, 0
        self._tasks = set[asyncio.Task[None]]()

    def compose(self) -> ComposeResult:
        with Horizontal(id="head"):
            yield Line("header")
            yield Line("when")
        yield Line("tabs")
        yield Body()
        yield Page()
        yield Line("small")
        yield Bar()

    def on_mount(self) -> None:
        self.register_theme(THEME)
        self.theme = THEME.name
        self.body.take_keys()
        self.bar.say([("Reading the store …", "dim")])
        self._begin(self._watch.run(self._look))

    def on_unmount(self) -> None:
        for task in self._tasks:
            task.cancel()

    @property
    def body(self) -> Body:
        return self.query_one(Body)

    @property
    def bar(self) -> Bar:
        return self.query_one(Bar)

    @property
    def page(self) -> Page:
        return self.query_one(Page)

    def _begin(self, work: Coroutine[object, object, None]) -> None:
        """Start something that goes on while the screen is used."""
        task = asyncio.create_task(self._ended(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ended(self, work: Coroutine[object, object, None]) -> None:
        try:
            await work
        except READ as error:
            self.fault = fault(error)
            self.exit(self.fault.status)
        except Exception as error:
            self._handle_exception(error)

    # ---- looking

    async def _look(self) -> None:
        """Draw what came at once, then look at everything. In the past what comes is counted."""
        at, old = self.at, self.looked
        try:
            fresh, events = await self._watch.read(self._stores.take)
            if at:
                self._missed += fresh
            if old and at and old.seen[0].shop.at == at:
                self._draw_around()
                return
            if old and old.seen[0].shop.live and not at:
                self._count(fresh)
                self.body.draw_events(events, self._unseen)
            looked = await self._watch.read(self._stores.look, at)
        except READ as error:
            if old is None:
                raise
            self._fail(fault(error))  # the next look may succeed
            return
        if at != self.at:
            self._watch.again()
            return
        if old is None:
            self.bar.say([])
        self.looked = looked
        self.body.draw(looked)
        self._draw_around()
        if self.opened and fresh:
            self._begin(self._read(self.opened))

    def _count(self, fresh: int) -> None:
        """Count the events that pass without having been on the screen, until it is quiet."""
        passed = self.body.passed(fresh) if self.at is None else 0
        now = time.monotonic()
        if passed:
            self._unseen, self._since = self._unseen + passed, now
        elif self.body.panel("events").at_end and now - self._since >= UNSEEN_S:
            self._unseen = 0
        self._watch.tick_s = UNSEEN_S if self._unseen else TICK_S

    def _draw_around(self) -> None:
        """The lines above and below the panels."""
        if self.looked is None:
            return
        seen = self.looked.seen
        marks = ["read only"] if self._read_only else []
        marks += [f"+{self._missed:,} since"] if self.at and self._missed else []
        cut = sorted({name for each in seen for name in each.shop.cut})
        marks += [f"not all {', '.join(cut)}"] if cut else []
        body = self.body
        self.query_one("#header", Line).put(shown.header(seen, body.query_text, marks))
        self.query_one("#when", Line).put(shown.when(self.at, world.now_ms()))
        tabs = self.query_one("#tabs", Line)
        tabs.display = not (arrange.wide(*body.room) or self.screen.has_class("-small"))
        tabs.put(shown.tabs(body.numbers, body.chosen))
        ref, reading = self.ref(), self.screen.has_class("-reading")
        past, width = self.at is not None, body.room[0]
        offered = shown.keys(ref, reading, self._read_only, past, width)
        self.bar.keys(shown.ASKED if self.bar.asking else offered, shown.todo(ref))

    def on_resize(self, event: Resize) -> None:
        width, height = event.size
        small = width < arrange.LEAST[0] or height < arrange.LEAST[1]
        self.screen.set_class(small, "-small")
        least = "{} by {}".format(*arrange.LEAST)
        said = f"{width} by {height} is too small: {least} is enough"
        self.query_one("#small", Line).put([(said, "soon")])
        self.body.room = (width, height)
        self.body.redraw()
        if not small and self.screen.focused is None:
            self.body.take_keys()
        self._draw_around()

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        if isinstance(event.widget, Panel) and not event.widget.has_class("-current"):
            self.bar.forget()
            for panel in self.query(Panel):
                panel.mark(panel is event.widget)
            if event.widget.id in PANELS:
                self.body.chosen = event.widget.id  # by the mouse
        self._draw_around()

    def on_panel_moved(self) -> None:
        self.bar.forget()
        self._draw_around()

    # ---- records and pages

    def ref(self) -> Ref | None:
        """The record that a key acts on: of the open page, or else of the row with the cursor."""
        if self.screen.has_class("-reading"):
            return self.opened
        row = self.body.current.chosen if self.body.current else None
        return row.ref if row else None

    def on_panel_opened(self, message: Panel.Opened) -> None:
        self.opened = message.ref
        self._open(f"{message.ref.kind} {message.ref.name}".strip())
        self._begin(self._read(message.ref))

    async def _read(self, ref: Ref) -> None:
        text = await self._office.record(ref, self.at, self.page.width)
        if self.opened == ref:
            self.page.put(text)

    def _open(self, title: str) -> None:
        self.page.begin(title)
        self.screen.add_class("-reading")
        self.page.focus()
        self._draw_around()

    def _close(self) -> None:
        if self.screen.has_class("-reading"):
            self.opened = None
            self.screen.remove_class("-reading")
            self.body.take_keys()

    def action_help(self) -> None:
        """Show all keys."""
        self.opened = None
        self._open("Keys")
        self.page.put(help_page(self._read_only))

    # ---- moving

    def action_panel(self, number: int) -> None:
        """Go to a panel."""
        self._close()
        self.body.go(PANELS[number - 1])
        self._draw_around()

    def action_turn(self, step: int) -> None:
        """Go to the next panel; while a question is open, take what is suggested."""
        if self.bar.asking:
            self.bar.complete()
            return
        self._close()
        self.body.turn(step)
        self._draw_around()

    def action_flip(self, what: str) -> None:
        """Begin or end `problems`, `board` or `alone`."""
        self._close()
        self.body.toggle(what)
        self._draw_around()

    def action_filter(self) -> None:
        """Ask which rows to show."""
        self._close()
        self.bar.ask("/", self._filtered, self.body.query_text, changed=self._filtered)

    def _filtered(self, text: str) -> None:
        self.body.query_text = text.strip()
        self.body.redraw()
        self._draw_around()

    def action_leave(self) -> None:
        """Close, clear or end what was begun last."""
        body = self.body
        if self.bar.asking:
            self.bar.stop()
        elif self.screen.has_class("-reading"):
            self._close()
        elif body.query_text:
            self._filtered("")
        elif body.problems or body.alone:
            body.toggle("problems" if body.problems else "alone")
        self._draw_around()

    async def action_quit(self) -> None:
        """End."""
        self.exit(0)

    # ---- time

    def action_step(self, way: int) -> None:
        """Go to the moment of the event before or after."""
        self._begin(self._step(way))

    async def _step(self, way: int) -> None:
        now = world.format_ts(world.now_ms())
        try:
            at = await self._watch.read(self._stores.step, self.at or now, way)
        except READ as error:
            self._fail(fault(error))
            return
        if at:
            self._go(at)
        else:
            self._go(None if way > 0 else self.at)
            self.bar.say([("no event before" if way < 0 else "now", "dim")])

    def action_hours(self, way: int) -> None:
        """Go an hour back or on, not beyond now."""
        now = world.now_ms()
        then = (world.parse_ts(self.at) if self.at else now) + way * HOUR_MS
        self._go(None if then >= now else world.format_ts(max(0, then)))

    def action_moment(self) -> None:
        """Ask for a time, and go there."""
        self.bar.ask("Show the state at (a date, or 10m 2h 3d ago):", self._go_to)

    def _go_to(self, text: str) -> None:
        try:
            at = str(moment(text.strip()))
        except Fault as refusal:
            self._fail(refusal)
            return
        if world.parse_ts(at) > world.now_ms():
            self._fail(Usage(f"{at} is in the future"))
            return
        self.bar.say([])
        self._go(at)

    def action_now(self) -> None:
        """Go back to now."""
        self._go(None)

    def _go(self, at: str | None) -> None:
        if at != self.at:
            self.at, self._missed = at, 0
            self.bar.say([])
            self._watch.again()

    # ---- acting

    def action_act(self, verb: str) -> None:
        """Do something about the record, by its tool."""
        if self._read_only or self.at:
            why = "read only" if self._read_only else "this is the past: n goes back to now"
            self.bar.say([(why, "soon")])
            return
        ref = self.ref()
        if ref is None:
            self.bar.say([("nothing is chosen", "soon")])
            return
        self._begin(self._act(verb, ref))

    async def _act(self, verb: str, ref: Ref) -> None:
        try:
            act = await self._office.planned(verb, ref, self.looked)
        except READ as error:
            self._fail(fault(error))
            return

        def answered(text: str) -> None:
            try:
                command = act.make(text)
            except Fault as refusal:
                self._fail(refusal)
                return
            self.bar.say([("… ", "dim"), (line(" ".join(command.argv), 200), "dim")])
            self._begin(self._do(ref.store, command))

        if act.prompt:
            self.bar.ask(act.prompt, answered, act.begin, act.suggest)
        else:
            answered("")

    async def _do(self, store: int, command: acts.Command) -> None:
        done, said = await self._office.run(store, command)
        style = "good" if done else "bad"
        self.bar.say([("✓ " if done else "✗ ", style), (line(said, 400), "" if done else style)])
        if self.opened:
            await self._read(self.opened)

    def _fail(self, failure: Fault) -> None:
        self.bar.say([("✗ ", "bad"), (line(str(failure), 400), "bad")])
