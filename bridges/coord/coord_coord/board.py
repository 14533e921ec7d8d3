"""The report, and the result of checks, for a person at a terminal: drawn by Rich."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from coord_coord.status import age
from coord_kernel.cli.escape import visible
from coord_kernel.cli.words import age_ms, who

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from coord_envelope.codec import Json
    from coord_kernel.cli.output import Output

STATES = {
    **dict.fromkeys(("dead", "never", "stalled", "lost"), "red"),
    **dict.fromkeys(("waiting", "quiet"), "yellow"),
}
"""Of agents whose session is not at work."""
STYLES = {"ok": "green", "note": "yellow", "problem": "bold red"}


def status(report: Json, now_ms: int, out: Output) -> bytes:
    """The report, as wide as the terminal."""
    shown = [agent for agent in report["agents"] if _matters(agent)]
    tables = [_facts(report, now_ms), _agents(shown, now_ms)]
    if report["questions"]:
        tables.append(_questions(report["questions"]))
    if report["jobs"]:
        tables.append(_jobs(report["jobs"], now_ms))
    if report["problems"]:
        tables.append(_problems(report["problems"]))
    hidden = len(report["agents"]) - len(shown)
    more = f"{hidden} more agent{'s' * (hidden > 1)}, silent for 30 m or longer: `ev agents`"
    foot = more if hidden else ""
    return _printed(out, tables, foot)


def checks(rows: Iterable[Json], out: Output) -> bytes:
    """The result of each check, with a remedy below each problem."""
    grid = _grid("CHECK", "", "RESULT")
    for row in rows:
        grid.add_row(row["check"], Text(row["status"], STYLES[row["status"]]), _text(row["what"]))
        if row["todo"]:
            grid.add_row("", "", _text(f"→ {row['todo']}"))
    return _printed(out, [grid])


def _matters(agent: Json) -> bool:
    return any(agent[name] for name in ("active", "items", "leases", "jobs", "mail"))


def _facts(report: Json, now_ms: int) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    counts = [f"{count} {name}" for name, count in report["work"].items()]
    mail = sum(agent["mail"] for agent in report["agents"])
    queues = [f"{count} in {address}" for address, count in report["queues"].items()]
    sync = report["sync"]
    last = f"{age_ms(age(sync['ts'], now_ms))} ago" if sync["ts"] else "never"
    for name, text in (
        ("project", report["project"]),
        ("work", " · ".join(counts) or "unknown"),
        ("mail", " · ".join([f"{mail} waiting", *queues])),
        ("sync", f"{sync['remote']}, {last}" if sync["remote"] else "no remote"),
    ):
        more = "+" if name in report["cut"] else ""
        grid.add_row(name, _text(text + more))
    return grid


def _agents(agents: Iterable[Json], now_ms: int) -> Table:
    grid = _grid("AGENT", "STATE", "SEEN", "MAIL", "HOLDS")
    for agent in agents:
        seen = age_ms(age(agent["last_seen"], now_ms)) if agent["last_seen"] else "never"
        first, *rest = [*_held(agent, now_ms)] or [Text("-", "dim")]
        style = STATES.get(agent["state"], "green" if agent["active"] else "dim")
        mail = str(agent["mail"] or "-")
        name, state = who(agent["agent_id"]), agent["state"]
        grid.add_row(Text(name, style), Text(state, style), seen, mail, first)
        for line in rest:
            grid.add_row("", "", "", "", line)
    return grid


def _held(agent: Json, now_ms: int) -> Iterator[Text]:
    for item in agent["items"]:
        yield _named(item["id"], item["title"])
    for lease in agent["leases"]:
        left = f", {age_ms(lease['left_ms'])} left" if lease.get("left_ms") else ""
        yield _named(lease["id"], f"{' '.join(lease['resources'])}{left}")
    for job in agent["jobs"]:
        yield _named(job["id"], " ".join(job["argv"]))


def _questions(questions: Iterable[Json]) -> Table:
    grid = _grid("QUESTION", "ANSWER", "ASKED OF YOU")
    for row in questions:
        options = visible(" | ".join(row.get("options", ("?",))))
        grid.add_row(Text(visible(row["id"]), "cyan"), options, _text(row["title"]))
    return grid


def _jobs(jobs: Iterable[Json], now_ms: int) -> Table:
    grid = _grid("JOB", "STATUS", "AGE", "COMMAND")
    for job in jobs:
        argv = _text(" ".join(job["argv"]))
        grid.add_row(job["id"], job["status"], age_ms(age(job["ts"], now_ms)), argv)
    return grid


def _problems(problems: Iterable[Json]) -> Table:
    grid = _grid("PROBLEMS")
    for row in problems:
        grid.add_row(_text(row["what"], "bold red"))
        grid.add_row(_text(f"→ {row['todo']}"))
    return grid


def _grid(*names: str) -> Table:
    """A table whose last column takes what width is left, and is cut or wrapped there."""
    grid = Table(box=None, pad_edge=False, show_edge=False, header_style="bold", expand=True)
    *fixed, last = names
    for name in fixed:
        grid.add_column(name, no_wrap=True, overflow="ellipsis", max_width=28)
    wraps = last in ("RESULT", "PROBLEMS")
    grid.add_column(last, ratio=1, no_wrap=not wraps, overflow="fold" if wraps else "ellipsis")
    return grid


def _named(short: str, text: str) -> Text:
    return Text.assemble((visible(short), "cyan"), " ", visible(text))


def _text(text: str, style: str = "") -> Text:
    return Text(visible(text), style)


def _printed(out: Output, tables: Iterable[Table], foot: str = "") -> bytes:
    console = Console(
        markup=False,
        emoji=False,
        highlight=False,
        force_terminal=True if out.coloured == "always" else None,
        no_color=True if out.coloured == "never" else None,
    )
    with console.capture() as capture:
        for number, table in enumerate(tables):
            if number:
                console.print()
            console.print(table)
        if foot:
            console.print(_text(foot, "dim"))
    lines = capture.get().rstrip("\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).encode() + b"\n"
