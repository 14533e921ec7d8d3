"""The stories in tests/sessions and the README pages are true: every `$ command` in a `console` block is run.

One file is one shell session in a fresh repository named acme. Output is stdout and stderr as a terminal
would interleave them; a status other than 0 is written `[exit N]`. What differs from run to run is masked:
ids [ID], short ids [SHORT] or wk-[SHORT], stamps [TIME], replica ids [REPLICA], the scratch directory [DIR];
`[..]` stands for anything within a line.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path

import pytest
from support import Shell

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", *ROOT.glob("bridges/*/README.md"))
STORIES = sorted((*(ROOT / "tests/sessions").glob("*.md"), *PAGES))
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MARK = "===ended==="
MASKS = [
    (r"\b[0-7][0-9A-HJKMNP-TV-Z]{25}\b", "[ID]"),
    (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "[TIME]"),
    (r"\b[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d  [0-9a-hjkmnp-tv-z]{8}\b", "[WHEN]           [SHORT] "),
    (r"\bwk-[0-9a-hjkmnp-tv-z]{8}\b", "wk-[SHORT]"),
    (r"(?<=~)[0-9a-hjkmnp-tv-z]{8}\b", "[REPLICA]"),
]


def steps(story: str) -> list[tuple[str, list[str]]]:
    """Commands and the lines each should print. A command goes on in lines that begin with `> `."""
    found: list[tuple[str, list[str]]] = []
    for block in BLOCK.findall(story):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line.startswith("> ") and not found[-1][1]:
                command, printed = found.pop()
                found.append((f"{command}\n{line[2:]}", printed))
            else:
                found[-1][1].append(line)
    return found


def masked(text: str, directory: Path) -> list[str]:
    text = text.replace(str(directory), "[DIR]")
    for pattern, mask in MASKS:
        text = re.sub(pattern, mask, text)
    return [line.rstrip() for line in text.splitlines()]


def as_told(told: list[str], printed: list[str]) -> bool:
    patterns = (".*".join(map(re.escape, line.rstrip().split("[..]"))) for line in told)
    return len(told) == len(printed) and all(map(re.fullmatch, patterns, printed))


@pytest.mark.parametrize("path", STORIES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_story_is_true(path: Path, repo: Path) -> None:
    if not shutil.which("jq"):
        pytest.skip("jq is not installed; the stories pipe through it")
    if path.parent.name == "mcp" and not importlib.util.find_spec("mcp"):
        pytest.skip("the MCP SDK is not installed; its page runs a server")
    told = steps(path.read_text())
    assert told, f"{path.name} tells nothing"
    script = "".join(f'{command}\necho "{MARK}$?"\n' for command, _ in told)
    shell = Shell(repo)
    shell.env.pop("COORD_AGENT")
    parts = shell(f"exec 2>&1 </dev/null\n{script}").out.split(MARK)
    for (command, lines), part, after in zip(told, parts, parts[1:], strict=False):
        status = int(re.match(r"\d+", after)[0])  # type: ignore[index]
        printed = masked(part.partition("\n")[2] if part is not parts[0] else part, repo)
        printed += [f"[exit {status}]"] if status else []
        assert as_told(lines, printed), f"$ {command}\n" + "\n".join(printed)
