"""The man pages: every command and option is in its tool's page, and every page is clean roff."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

import coord_agents
import coord_agents.cli
import coord_coord
import coord_coord.cli
import coord_ev
import coord_ev.cli
import coord_hooks
import coord_hooks.cli
import coord_lease
import coord_lease.cli
import coord_msg
import coord_msg.cli
import coord_run
import coord_run.cli
import coord_wk
import coord_wk.cli
from coord_kernel.cli import application

TOOLS = Path(__file__).parent.parent / "tools"
BRIDGES = {
    "coord": "coord/coord.1",
    "coord-hooks": "hooks/coord-hooks.1",
    "coord-agent": "agents/coord-agent.1",
}
"""Bridges whose page has the form of a tool's."""
PAGES = (
    *(TOOLS / f"{name}/{name}.1" for name in ("wk", "ev", "lease", "msg", "run")),
    TOOLS / "kernel/coord.7",
    TOOLS.parent / "bridges/agents/coord-acp.1",
    TOOLS.parent / "bridges/agents/coord-agent.1",
    TOOLS.parent / "bridges/agents/coord-dispatch.8",
    TOOLS.parent / "bridges/coord/coord.1",
    TOOLS.parent / "bridges/hooks/coord-hooks.1",
    TOOLS.parent / "bridges/lsp/coord-lsp.1",
    TOOLS.parent / "bridges/mcp/coord-mcp.1",
    TOOLS.parent / "bridges/beads/coord-bd.1",
    TOOLS.parent / "bridges/tbd/coord-tbd.1",
    TOOLS.parent / "bridges/gascity/coord-gc.1",
    TOOLS.parent / "bridges/kwike/coord-kwike.1",
    TOOLS.parent / "bridges/notify/coord-notify.8",
    TOOLS.parent / "bridges/otel/coord-otel.8",
    TOOLS.parent / "bridges/land/coord-land.8",
    TOOLS.parent / "bridges/slack/coord-slack.8",
    TOOLS.parent / "bridges/patrol/coord-patrol.8",
    TOOLS.parent / "bridges/commons/coord-commons.1",
    TOOLS.parent / "bridges/flow/coord-flow.1",
    TOOLS.parent / "bridges/cron/coord-cron.8",
    TOOLS.parent / "bridges/relay/coord-relay.8",
    TOOLS.parent / "bridges/top/coord-top.1",
    TOOLS.parent / "bridges/web/coord-web.8",
    TOOLS.parent / "bridges/webhook/coord-webhook.8",
    TOOLS.parent / "bridges/github/coord-github.8",
)
SECTIONS = ("NAME", "DESCRIPTION", "EXIT STATUS", "EXAMPLES", "ENVIRONMENT", "SEE ALSO")
MOST = 50
"""Characters of the first line of help."""


class Tool(NamedTuple):
    """A tool with commands, and its pages."""

    name: str
    doc: str
    about: str
    functions: Sequence[Callable[..., int | None]]
    options: str

    @property
    def path(self) -> Path:
        if self.name in BRIDGES:
            return TOOLS.parent / "bridges" / BRIDGES[self.name]
        return TOOLS / self.name / f"{self.name}.1"

    @property
    def page(self) -> str:
        return plain(self.path.read_text(encoding="ascii"))

    @property
    def app(self) -> Any:
        """The parser of the tool: a group of commands."""
        return typer.main.get_command(
            application.application(self.name, self.about, self.functions, self.options)
        )

    def commands(self) -> Iterator[tuple[str, Any]]:
        yield from self.app.commands.items()

    def all_options(self) -> set[str]:
        """Every spelling of every option of the tool and its commands, and `-h`."""
        parsers = (self.app, *(command for _, command in self.commands()))
        options = (p for parser in parsers for p in parser.params if p.param_type_name == "option")
        return {
            "-h",
            "--help",
            *(spelling for p in options for spelling in (*p.opts, *p.secondary_opts)),
        }


def described(package: Any, cli: Any, options: str) -> Tool:
    name, _, _ = package.__doc__.partition(" ")
    return Tool(name, package.__doc__, cli.ABOUT, cli.COMMANDS, options)


WK = described(coord_wk, coord_wk.cli, "coord_wk.options")
EV = described(coord_ev, coord_ev.cli, "coord_ev.options")
LEASE = described(coord_lease, coord_lease.cli, "coord_lease.options")
MSG = described(coord_msg, coord_msg.cli, "coord_msg.options")
RUN = described(coord_run, coord_run.cli, "coord_run.options")
COORD = described(coord_coord, coord_coord.cli, "coord_coord.options")
AGENT = described(coord_agents, coord_agents.cli, "coord_agents.options")
HOOKS = described(coord_hooks, coord_hooks.cli, "coord_hooks.options")
each_tool = pytest.mark.parametrize(
    "tool", (WK, EV, LEASE, MSG, RUN, COORD, AGENT, HOOKS), ids=lambda tool: tool.name
)
each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)


def plain(roff: str) -> str:
    """The text of a page without fonts and escapes; requests stay at the start of their lines."""
    text = re.sub(r"\\f(?:\[\w*\]|\(\w\w|\w)", "", roff)
    for escape, character in (
        (r"\-", "-"),
        (r"\(dq", '"'),
        (r"\(aq", "'"),
        (r"\&", ""),
        (r"\e", "\\"),
    ):
        text = text.replace(escape, character)
    return text


def tagged(page: str) -> set[str]:
    """The words of all tag lines (the lines after a .TP): what the page has an entry for."""
    tags = re.findall(r"^\.TP.*\n(.+)", page, re.MULTILINE)
    return {word for tag in tags for word in re.findall(r'[^\s",|]+', tag)}


def test_a_tag_is_found_in_any_font() -> None:
    roff = '.TP\n.BR \\-n ", " \\-\\-lines " \\fIN\\fP"\nThe last.\n.TP\n\\fBemit\\fP [\\fITYPE\\fP]\nAppend.\n'
    assert tagged(plain(roff)) == {".BR", "-n", "--lines", "N", "emit", "[TYPE]"}


@each_tool
def test_every_command_has_an_entry_and_a_synopsis(tool: Tool) -> None:
    names = [name for name, _ in tool.commands()]
    assert names
    assert set(names) <= tagged(tool.page)
    assert [
        name
        for name in names
        if not re.search(rf"^\.B {tool.name} {name}\b", tool.page, re.MULTILINE)
    ] == []


@each_tool
def test_every_option_has_an_entry(tool: Tool) -> None:
    expected = tool.all_options()
    assert {"--version", "--as", "--output", "-o", "--errors"} <= expected
    assert expected - tagged(tool.page) == set()


@each_tool
def test_every_described_option_exists(tool: Tool) -> None:
    entries = {word for word in tagged(tool.page) if re.fullmatch(r"--?[a-z][a-z-]*", word)}
    assert entries - tool.all_options() == set()


@each_tool
def test_every_argument_has_the_name_of_its_help(tool: Tool) -> None:
    arguments = {
        p.metavar
        for _, command in tool.commands()
        for p in command.params
        if p.param_type_name == "argument"
    }
    assert arguments
    shown = (rf"^\w+ (?:.+ )?{re.escape(name)}$" for name in arguments)
    assert [entry for entry in shown if not re.search(entry, tool.page, re.MULTILINE)] == []


@each_tool
def test_the_usual_sections_are_there(tool: Tool) -> None:
    assert set(SECTIONS) <= set(re.findall(r"^\.SH (.+)$", tool.page, re.MULTILINE))


@each_tool
def test_the_name_line_is_the_first_line_of_the_package(tool: Tool) -> None:
    first = tool.doc.splitlines()[0]
    assert first.endswith(".")
    assert f".SH NAME\n{first.removesuffix('.')}\n" in tool.page


@each_tool
def test_the_first_line_of_help_is_short_and_imperative(tool: Tool) -> None:
    for name, command in tool.commands():
        line = command.help.splitlines()[0]
        verb = line.partition(" ")[0]
        assert line.endswith("."), name
        assert len(line) <= MOST, name
        assert re.fullmatch(r"[A-Z][a-z]+", verb), name
        assert not verb.endswith(("ing", "ed")), name
        assert verb.endswith("ss") or not verb.endswith("s"), name


def formatter() -> list[str]:
    """The command that formats a page and reports errors in it."""
    if shutil.which("man"):
        return ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"]
    if shutil.which("groff"):
        return ["groff", "-man", "-ww", "-Tutf8", "-Z"]
    pytest.skip("neither man nor groff is installed to format the pages")


@each_page
def test_the_formatter_reports_no_error(path: Path) -> None:
    env = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"}
    done = subprocess.run(
        [*formatter(), str(path)], capture_output=True, text=True, env=env, check=True
    )
    assert done.stderr == ""
    assert done.stdout


@each_page
def test_examples_can_be_copied_and_fit_80_columns(path: Path) -> None:
    """In roff a bare `'` or `-` is printed as a typographic one, which no shell understands."""
    indent, left = 7, 0
    in_example = False
    for line in path.read_text(encoding="ascii").splitlines():
        left += 4 * ((line == ".RS 4") - (line == ".RE" and left > 0))
        if in_example and line != ".EE":
            assert not re.search(r"(?<!\\)[-'`^~]", line), line
            shown = (
                re.sub(r"\\\(..", "?", line)
                .replace("\\-", "-")
                .replace("\\e", "\\")
                .replace("\\&", "")
            )
            assert len(shown) + indent + left <= 80, line
        in_example = line == ".EX" or (in_example and line != ".EE")
