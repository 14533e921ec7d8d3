"""Fixtures: a repository with a store in a scratch directory, and the tools as real processes in it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from support import Shell, git


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the proofs in their long form")


def pytest_configure() -> None:
    # A shell starts what runs in the background with SIGINT ignored, and every child of ours would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    ended = [report for how in ("passed", "failed") for report in terminalreporter.getreports(how)]
    said = [text.partition(": ") for report in ended for name, text in report.user_properties if name == "said"]
    if said:
        width = max(len(what) for what, _, _ in said)
        terminalreporter.section("what the proofs saw")
        terminalreporter.write_line("\n".join(f"  {what:<{width}}  {seen}" for what, _, seen in said))


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty git repository as the current directory, and nothing of the caller's identity."""
    for name in ("COORD_DIR", "COORD_AGENT", "COORD_SESSION", "COORD_NOW"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "acme"
    path.mkdir()
    git("init", "-q", cwd=path)
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def shell(repo: Path) -> Shell:
    """A shell in a repository with a store; `agent:tester` acts."""
    found = Shell(repo)
    found("ev init")
    return found
