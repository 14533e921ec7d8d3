"""Tables and pages for people, without control characters or bidirectional marks.

A list is a table: short columns first, in full, and what may be long last; cut with … at the width
of the terminal. What a person asked to see by name is a page: a title, facts, texts, what was said,
what happened. Events are sentences.

A tool's `screen` module says what they hold: `rows(items, now_ms)` gives the cells of the lines of
a list, `page(item, call)` a `Page`; None for what they do not know, of which a table shows all
fields.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypedDict

from markdown_it import MarkdownIt
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.markdown import Markdown
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from coord_envelope import world
from coord_envelope.codec import Json
from coord_envelope.event import Event
from coord_kernel.cli import words
from coord_kernel.cli.escape import visible
from coord_kernel.cli.words import age_ms as age_ms

_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_SHORT = re.compile(r"(?:wk|msg|run|ls)-[0-9a-z]{8,26}")
CELL, LEAST = 40, 10
"""Most characters of a cell that is not the last of its row, and least of the last."""
STYLES = {
    **dict.fromkeys(("ready", "done", "completed", "confirmed"), "green"),
    **dict.fromkeys(("active", "claimed", "running", "waiting", "requested"), "cyan"),
    **dict.fromkeys(("blocked", "tentative", "deferred", "quiet"), "yellow"),
    **dict.fromkeys(("overdue", "dead", "lost", "expired", "failed", "stalled"), "bold red"),
    **dict.fromkeys(("cancelled", "duplicate", "released", "sent", "wontfix"), "dim"),
}
"""A state → how it is shown. What is not here is shown plainly."""


class Said(TypedDict):
    """A part of a conversation."""

    ts: str
    by: str
    what: str
    """What it is, if not a comment: `to bob: Question`, `commit abc`."""
    text: str


class Page(TypedDict, total=False):
    """What a person reads of one thing. All texts may be hostile: drawing makes them safe."""

    title: str
    state: list[str]
    """Words under the title; those that are states are coloured."""
    facts: Sequence[tuple[str, object]]
    """Those without a value are left out."""
    text: str
    """Markdown."""
    lines: str
    """Text that is shown as it is, such as a program's output."""
    said: list[Said]
    happened: list[tuple[str, str]]
    """(ts, sentence)"""


class Screen:
    """How one command's results are drawn."""

    def __init__(
        self, module: str, wide: bool, colour: str, names: words.Names, call: object
    ) -> None:
        """`module`: the tool's `screen`; `wide`: on a terminal, at whose width lines are cut.

        `colour`: auto, always or never.
        """
        try:
            self._tool: Any = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
            self._tool = None
        self._wide, self._colour, self._names, self._call = wide, colour, names, call
        self._head: list[str] = []
        self._before = b""  # a page: a blank line stands between two

    def lines(self, items: list[Json], pages: bool) -> bytes:
        """The items as a table or, with `pages`, each as a page if the tool has one for it."""
        if not pages or self._tool is None:
            return self._list(items)
        found = [self._page_of(item) for item in items]
        drawn = [
            self._drawn(_page(page)) if page else self._list([item])
            for page, item in zip(found, items, strict=True)
        ]
        before, self._before = self._before, b"\n"
        return before + b"\n\n".join(drawn)

    def _page_of(self, item: Json) -> Page | None:
        with contextlib.suppress(*words.MALFORMED):
            page: Page | None = self._tool.page(item, self._call)
            return page
        return None

    def _list(self, items: list[Json]) -> bytes:
        events = [item for item in items if isinstance(item, Event)]
        if len(events) == len(items):
            return self._table(list(map(self._event, events)), head=False)
        own = None
        with contextlib.suppress(*words.MALFORMED):
            own = self._tool and self._tool.rows(items, world.now_ms())
        if not own and len(items) == 1 and any(map(_nested, items[0].values())):
            return self._drawn(_facts(_flat(items[0])))
        rows = own or [_row(item) for item in items]
        names = list(dict.fromkeys(name for cells in rows for name in cells))
        again, self._head = names == self._head, names
        return self._table(rows, head=not again)

    def _event(self, event: Event) -> dict[str, str]:
        return {"time": moment(event["ts"]), "what": words.sentence(event, self._names)}

    def _table(self, rows: list[dict[str, str]], head: bool) -> bytes:
        *names, last = dict.fromkeys(name for row in rows for name in row)
        grid = Table(
            box=None, pad_edge=False, show_edge=False, show_header=head, header_style="bold"
        )
        taken = 0
        for name in names:
            width = min(CELL, _widest(name, rows, head))
            taken += width + 2
            grid.add_column(name.upper(), no_wrap=True, overflow="ellipsis", width=width)
        # What may be long gets what is left: laid out by Rich, the others may vanish.
        width = _widest(last, rows, head)
        if self._wide:
            width = min(width, max(LEAST, Console().width - taken))
        grid.add_column(last.upper(), no_wrap=True, overflow="ellipsis", width=width)
        for row in rows:
            grid.add_row(*(_cell(name, row.get(name, "")) for name in (*names, last)))
        return self._drawn(grid, None if self._wide else taken + width)

    def _drawn(self, shown: RenderableType, width: int | None = None) -> bytes:
        console = Console(
            width=width or (None if self._wide else 100),
            markup=False,
            emoji=False,
            highlight=False,
            force_terminal=self._wide or self._colour == "always",
            no_color=True if self._colour == "never" else None,
        )
        with console.capture() as capture:
            console.print(shown)
        return "\n".join(map(_trimmed, capture.get().rstrip("\n").split("\n"))).encode()


def _widest(name: str, rows: list[dict[str, str]], head: bool) -> int:
    return max(cell_len(name) if head else 0, *(cell_len(row.get(name, "")) for row in rows))


def _trimmed(text: str) -> str:
    return re.sub(r" +((?:\x1b\[[0-9;]*m)*)$", r"\1", text)


def _page(page: Page) -> RenderableType:
    parts: list[RenderableType] = [Text(_safe(page["title"]), style="bold")]
    state = Text(" · ").join(
        _cell("state", visible(word)) for word in page.get("state", []) if word
    )
    parts.append(state)
    if facts := [(name, str(value)) for name, value in page.get("facts", ()) if value]:
        parts += ["", _facts(facts)]
    if text := page.get("text"):
        parts += ["", _indented(_markdown(text))]
    if lines := page.get("lines"):
        parts += ["", _indented(Text(_safe(lines.rstrip("\n"))))]
    for said in page.get("said", []):
        by = " ".join(filter(None, (words.who(said["by"]), words.line(said["what"]))))
        parts += ["", Text(by, style="bold").append(f", {ago(said['ts'])}", style="dim not bold")]
        if said["text"]:
            parts.append(_indented(Text(_safe(said["text"].rstrip("\n")))))
    if happened := page.get("happened"):
        parts.append("")
        parts += [
            Text(moment(ts), style="dim").append(f"  {visible(what)}", style="not dim")
            for ts, what in happened
        ]
    return Group(*parts)


def _facts(facts: Iterable[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for name, value in facts:
        grid.add_row(visible(name), _marked(_safe(value)))
    return grid


def _nested(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(map(_nested, value)))


def _flat(item: Json) -> Iterator[tuple[str, str]]:
    """The fields of an object that no tool knows, what is in them a line each."""
    for name, value in item.items():
        if isinstance(value, dict):
            inner = [f"{key}: {_plain(each)}" for key, each in value.items()]
        elif isinstance(value, list) and any(map(_nested, value)):
            inner = [joined(f"{k} {_plain(v)}" for k, v in each.items()) for each in value]
        else:
            inner = [_plain(value)]
        yield from (
            (name.replace("_", " ") if n == 0 else "", each) for n, each in enumerate(inner)
        )


def _markdown(text: str) -> Markdown:
    """A description. Its line breaks stay, and so does what looks like HTML."""
    shown = Markdown("", hyperlinks=False)
    parser = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])
    shown.parsed = parser.parse(_safe(text))
    for token in shown.parsed:
        for child in token.children or ():
            if child.type == "softbreak":
                child.type = "hardbreak"
    return shown


def _indented(shown: RenderableType) -> Padding:
    return Padding(shown, (0, 0, 0, 2))


def _safe(text: str) -> str:
    return "\n".join(map(visible, text.expandtabs().split("\n")))


def _marked(text: str) -> Text:
    """Short ids stand out."""
    shown = Text(text)
    shown.highlight_regex(_SHORT, "bold")
    return shown


def _cell(name: str, text: str) -> Text:
    if name in ("status", "state"):
        return Text(text, style=STYLES.get(text.partition(" ")[0], ""))
    return _marked(text) if name in ("id", "what") else Text(text)


def moment(ts: str) -> str:
    """A stamp in local time, for a person."""
    try:
        return time.strftime("%b %d %H:%M:%S", time.localtime(world.parse_ts(ts) / 1000))
    except (ValueError, OverflowError):
        return visible(ts)


def ago(ts: str) -> str:
    """How long ago a stamp is, in words."""
    try:
        return f"{age_ms(world.now_ms() - world.parse_ts(ts))} ago"
    except (ValueError, OverflowError):
        return "at an unknown time"


@contextlib.contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr; yields the function that advances it."""
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(what, total=total)
        yield lambda done: bars.advance(bar, done)


def _row(item: Json) -> dict[str, str]:
    """A cell for each field, without the full form of the short id."""
    _, dash, short = str(item.get("id", "")).rpartition("-")
    whole = {
        name
        for name, value in item.items()
        if dash and short and str(value).lower().endswith(short)
    } - {"id"}
    return {name: visible(_plain(value)) for name, value in item.items() if name not in whole}


def _plain(value: object) -> str:
    if isinstance(value, str):
        return moment(value) if _STAMP.fullmatch(value) else value
    if isinstance(value, list) and all(isinstance(element, str) for element in value):
        return " ".join(value)
    return json.dumps(value, ensure_ascii=False)


def joined(texts: Iterable[object]) -> str:
    """Texts in one cell or fact."""
    return ", ".join(map(str, texts))


def reference(short: str, status: str, title: str) -> str:
    """Another thing, by its short id, its state and what it is called."""
    return " ".join(filter(None, (short, f"({status})", words.line(title))))
