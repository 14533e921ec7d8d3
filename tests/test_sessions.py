"""The stories, the READMEs and the spec are true: every `$ command` of a console block runs.

One file is one shell session in a fresh repository named acme. Output is stdout and stderr as a
terminal would interleave them; a status other than 0 is written `[exit N]`. What differs between
runs is masked: ids [ID], short ids wk-[SHORT], ages [AGE], time stamps [TIME], replica ids
[REPLICA], the scratch directory [DIR]; `[..]` stands for anything within a line.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path

import pytest
from live.nats_server import NatsServer
from live.redis_server import RedisServer
from live.relay_server import RelayServer
from support import Shell
from web_server import WebServer

ROOT = Path(__file__).parent.parent
HOMES = ("bench", "bridges", "contrib", "spec", "tests")
READMES = {
    ROOT / "README.md",
    *(path for home in HOMES for path in (ROOT / home).rglob("README.md")),
}
MUST_RUN = {ROOT / "README.md", *ROOT.glob("bridges/*/README.md")}
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
TEXTS = {ROOT / "CONTRIBUTING.md", *ROOT.glob("spec/*.md"), *READMES}
STORIES = sorted(
    {
        *(ROOT / "tests/sessions").glob("*.md"),
        *MUST_RUN,
        *(path for path in TEXTS if BLOCK.search(path.read_text())),
    }
)
DOCUMENTS = sorted({*TEXTS, *STORIES})
LINK = re.compile(r"\]\(([^)\s#:]+)(?:#[^)\s]*)?\)")
MOST_WORDS = {"README.md": 1500, "CONTRIBUTING.md": 1400}
SERVED = {
    "nats": NatsServer.missing,
    "redis": RedisServer.missing,
    "relay": RelayServer.missing,
    "webhook": RelayServer.missing,
    "web": WebServer.missing,
}
"""Bridges whose page runs a server, and what it needs."""
MARK = "===ended==="
MASKS = [
    (r"\b[0-7][0-9A-HJKMNP-TV-Z]{25}\b", "[ID]"),
    (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "[TIME]"),
    (r"\b[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d\b", "[WHEN]"),
    (r"\b(wk|msg|run|ls|ev)-[0-9a-hjkmnp-tv-z]{8}\b", r"\1-[SHORT]"),
    (r"\b\d+ [smhd](?= ago\b|  )", "[AGE]"),
    (r"(?<=~)[0-9a-hjkmnp-tv-z]{8}\b", "[REPLICA]"),
]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def steps(story: str) -> list[tuple[str, list[str]]]:
    """Commands and the lines each should print. `> ` begins a continued line of a command."""
    commands: list[tuple[str, list[str]]] = []
    for block in BLOCK.findall(story):
        for line in block.splitlines():
            if line.startswith("$ "):
                commands.append((line[2:], []))
            elif line.startswith("> ") and not commands[-1][1]:
                command, expected = commands.pop()
                commands.append((f"{command}\n{line[2:]}", expected))
            else:
                commands[-1][1].append(line)
    return commands


def masked(text: str, directory: Path) -> list[str]:
    text = text.replace(str(directory), "[DIR]")
    for pattern, mask in MASKS:
        text = re.sub(pattern, mask, text)
    return [line.rstrip() for line in text.splitlines()]


def matches(expected: list[str], printed: list[str]) -> bool:
    patterns = (".*".join(map(re.escape, line.rstrip().split("[..]"))) for line in expected)
    return len(expected) == len(printed) and all(map(re.fullmatch, patterns, printed))


@pytest.mark.parametrize("path", STORIES, ids=named)
def test_the_story_is_true(path: Path, repo: Path) -> None:
    if not shutil.which("jq"):
        pytest.skip("jq is not installed; the stories pipe through it")
    if "$ curl " in path.read_text() and not shutil.which("curl"):
        pytest.skip("curl is not installed; the page uses it")
    if path.parent.name == "mcp" and not importlib.util.find_spec("mcp"):
        pytest.skip("the MCP SDK is not installed; its page runs a server")
    if path.parent.name in SERVED and (missing := SERVED[path.parent.name]()):
        pytest.skip(f"{missing} is not installed; the page runs a server")
    commands = steps(path.read_text())
    assert commands, f"{path.name} has no console block"
    script = "".join(f'{command}\necho "{MARK}$?"\n' for command, _ in commands)
    shell = Shell(repo)
    shell.env.pop("COORD_AGENT")
    parts = shell(f"exec 2>&1 </dev/null\n{script}").out.split(MARK)
    for (command, expected), part, after in zip(commands, parts, parts[1:], strict=False):
        status = int(re.match(r"\d+", after)[0])  # type: ignore[index]
        printed = masked(part.partition("\n")[2] if part is not parts[0] else part, repo)
        printed += [f"[exit {status}]"] if status else []
        assert matches(expected, printed), f"$ {command}\n" + "\n".join(printed)


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_every_link_to_a_file_leads_to_one(path: Path) -> None:
    links = LINK.findall(path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize(("name", "most"), MOST_WORDS.items())
def test_the_first_pages_are_short(name: str, most: int) -> None:
    assert len((ROOT / name).read_text().split()) < most
