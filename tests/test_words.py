"""Plain words: no forbidden turn of phrase in messages, help, manuals, documents and comments.

The models are git, POSIX and the Linux manual: subject, verb, the field's term. A phrase below is
found across line breaks, in any case, and in man pages in whatever font it is set.
"""

from __future__ import annotations

import ast
import importlib
import io
import json
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

from coord_kernel.cli import application

ROOT = Path(__file__).parent.parent
PHRASES = (
    r"(?<!there\s)\b(?:is|are|was|were|be) no (?!longer|more|less|other\b)",
    r"\bnone of\b",
    r"\bthat (?:is|are|was|were) none\b",
    r"\bones? that\b",
    r"\bnothing says\b",
    r"\b(?:is|are|was|were|be) told\b",
    r"\btells? in\b",
    r"\bit is said\b",
    r"\b(?:who|what) is said\b",
    r"\bis so of\b",
    r"\bwhat is so\b",
    r"\bis not so\b",
    r"\banew\b",
    r"\bcame of it\b",
    r"\bbut for\b",
    r"\bof who\b",
    r"\bwho (?:was|were) silent\b",
    r"\bwho knows\b",
    r"\bin (?:your|its|their) own way\b",
    r"\bwait on each other\b",
    r": else\b",
    r"\bas it was then\b",
    r"\bfinds? the same here\b",
    r"\bone of two histories\b",
)
"""What readers stumble over. A space stands for any white space."""
PATTERNS = [re.compile(phrase.replace(" ", r"\s+"), re.IGNORECASE) for phrase in PHRASES]
NAMES = {
    *("Bell", "Hands", "Holding"),
    *("facet", "facets", "noted", "odd", "twin", "twins", "firm", "witness"),
}
"""Names that have a term of the field: watcher, attempt pool, manifest, secondary index, …"""
COLUMNS = 100
APPLICATIONS = (
    "wk",
    "ev",
    "lease",
    "msg",
    "run",
    "mcp",
    "hooks",
    "coord",
    "land",
    "patrol",
    "flow",
    "cron",
    "relay",
    "notify",
    "otel",
    "slack",
    "top",
    "web",
    "webhook",
    "github",
    "agents",
    "agents.dispatch",
)
SOURCES = sorted(path for home in ("tools", "bridges") for path in (ROOT / home).rglob("*.py"))
PAGES = sorted(path for home in ("tools", "bridges") for path in (ROOT / home).rglob("*.[178]"))
DOCUMENTS = sorted(
    (
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
        *(
            ROOT / name / "README.md"
            for name in ("bench", "tests/proof", "contrib/consumers", "contrib/systemd")
        ),
        *ROOT.glob("bridges/*/README.md"),
        *ROOT.glob("spec/*.md"),
        *ROOT.glob("tests/sessions/*.md"),
    )
)
SCHEMAS = sorted(ROOT.glob("spec/schema/*.json"))
Where = tuple[int, str]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def phrases(text: str, first_line: int = 1) -> Iterator[Where]:
    """Each forbidden phrase in a text, with the number of its line."""
    text = re.sub(r"\n[ \t]+", "\n", text)
    for pattern in PATTERNS:
        for match in pattern.finditer(text):
            line = first_line + text.count("\n", 0, match.start())
            around = text[max(0, match.start() - 30) : match.end() + 30]
            yield line, f"{' '.join(match[0].split())!r} in: …{' '.join(around.split())}…"


def strings(source: str) -> Iterator[Where]:
    """String literals and docstrings of a module, each as one text. `{}` stands for a value."""
    parts: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            values = [v for v in node.values if isinstance(v, ast.Constant)]
            parts |= {id(value) for value in values}
            yield (
                node.lineno,
                "".join(
                    str(value.value) if isinstance(value, ast.Constant) else "{}"
                    for value in node.values
                ),
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            literal = node.value if id(node) not in parts else ""
            yield node.lineno, literal


def comments(source: str) -> Iterator[Where]:
    """The comments of a module; those on lines that follow each other are one text."""
    first, lines = 0, list[str]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if lines and token.start[0] != first + len(lines):
                yield first, "\n".join(lines)
                lines = []
            first = first if lines else token.start[0]
            lines.append(token.string.lstrip("#"))
    if lines:
        yield first, "\n".join(lines)


def identifiers(source: str) -> Iterator[Where]:
    """Where a module uses a name for which there is a term of the field."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME and token.string in NAMES:
            yield token.start[0], f"the name {token.string!r}"


def in_source(source: str) -> list[Where]:
    texts = (*strings(source), *comments(source))
    found = [phrase for line, text in texts for phrase in phrases(text, line)]
    return sorted((*found, *identifiers(source)))


def in_page(roff: str) -> list[Where]:
    """Phrases of a man page, without its requests, fonts and escapes."""
    text = re.sub(r"\\f(?:\[\w*\]|\(\w\w|\w)", "", roff)
    text = re.sub(r"^\.[A-Z]+\b ?", "", text, flags=re.MULTILINE)
    return list(phrases(text.replace(r"\-", "-").replace(r"\&", "").replace('"', "")))


def demand_none(where: str, found: list[Where]) -> None:
    if found:
        pytest.fail("\n".join(f"{where}:{line}: {what}" for line, what in found), pytrace=False)


class Help(NamedTuple):
    """What a command prints for --help."""

    name: str
    text: str


def helps() -> Iterator[Help]:
    """The help of every application and of each of its commands, as Typer prints it."""
    for name in APPLICATIONS:
        cli = importlib.import_module(f"coord_{name}.cli")
        app: Any = typer.main.get_command(
            application.application(name, cli.ABOUT, cli.COMMANDS, f"coord_{name}.options")
        )
        context = app.make_context(name, [], resilient_parsing=True)
        yield Help(name, app.get_help(context))
        for word, command in app.commands.items():
            inner = command.make_context(word, [], parent=context, resilient_parsing=True)
            yield Help(f"{name} {word}", command.get_help(inner))


BEFORE_AND_AFTER = (
    ("field 'titel' is none of new's; it has title", "unknown field 'titel'; valid fields: title"),
    ("nothing says who acts", "no agent name; set COORD_AGENT or use --as NAME"),
    ("Begin the time of leases anew.", "Renew leases."),
    (
        "Take over the refs of who was silent for 30 days.",
        "Archive refs of replicas inactive for 30 days.",
    ),
    ("Make one of two histories of what is confirmed.", "Merge two diverged arbiter histories."),
    (
        "Your own leases are in your own way like another's.",
        "Your own leases conflict with each other, too.",
    ),
    (
        "it and X would wait on each other for ever",
        "would create a dependency cycle with X",
    ),
    ("title is no text of at most 200 bytes", "title exceeds 200 bytes"),
    (
        "local, confirmed: else give it back, 69.",
        "Require this level; otherwise release and exit 69.",
    ),
    ("As it was then.", "Show the state at TIME."),
    ("Who knows Kwik-E-Mart finds the same here", "Coming from Kwik-E-Mart"),
    ("is no path from the root of the repository", "not a repository-relative path"),
    ("tells in an event what came of it", "emits an event with the result"),
    (
        "Readers need no name, but for msg recv and wk mine.",
        "Reading needs no agent name, except for `msg recv` and `wk mine`.",
    ),
    ("0 is no port", "not a valid port: 0"),
    ("one that was killed", "There is no daemon, and there is no other file."),
    ("what the arbiter is told", "This store is no longer synced."),
)


@pytest.mark.parametrize(("before", "after"), BEFORE_AND_AFTER)
def test_a_forbidden_phrase_is_found_and_its_plain_form_is_not(before: str, after: str) -> None:
    assert list(phrases(before))
    assert not list(phrases(after))


def test_a_planted_phrase_is_found_wherever_it_stands_in_a_module() -> None:
    source = '''"""A module that\nis no module."""
# One
# that is planted.
def f(port):  # nothing says why
    raise Usage(f"{port} is " "no port", todo=f"{'begin anew'}")
def g(odd): return odd.facet
PLAIN = "there is no daemon"
'''
    lines = [(line, what.partition(" in: ")[0]) for line, what in in_source(source)]
    assert lines == [
        (2, "'is no'"),
        (3, "'One that'"),
        (5, "'nothing says'"),
        (6, "'anew'"),
        (6, "'is no'"),
        (7, "the name 'facet'"),
        (7, "the name 'odd'"),
        (7, "the name 'odd'"),
    ]


def test_a_planted_phrase_is_found_in_a_man_page_in_any_font() -> None:
    roff = ".SH NAME\nIt \\fBis\n.B no\nport.\n.BR \\-\\-port ;\nthere is no other\n"
    assert [line for line, _ in in_page(roff)] == [2]


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_a_module_has_plain_words(path: Path) -> None:
    demand_none(named(path), in_source(path.read_text()))


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_no_line_of_a_module_is_longer_than_100_characters(path: Path) -> None:
    lines = enumerate(path.read_text().splitlines(), 1)
    assert [number for number, line in lines if len(line) > COLUMNS] == []


@pytest.mark.parametrize("name", APPLICATIONS)
def test_help_has_plain_words(name: str) -> None:
    texts = [each for each in helps() if each.name.partition(" ")[0] == name]
    assert len(texts) > 1
    assert all("--errors" in each.text for each in texts[1:])
    for each in texts:
        demand_none(f"{each.name} --help", list(phrases(each.text)))


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_a_man_page_has_plain_words(path: Path) -> None:
    demand_none(named(path), in_page(path.read_text()))


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_a_document_has_plain_words(path: Path) -> None:
    demand_none(named(path), list(phrases(path.read_text())))


@pytest.mark.parametrize("path", SCHEMAS, ids=named)
def test_a_schema_has_plain_words(path: Path) -> None:
    json.loads(path.read_text())
    demand_none(named(path), list(phrases(path.read_text())))
