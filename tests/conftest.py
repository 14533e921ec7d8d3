"""Fixtures: a repository with a store in a scratch directory, and the tools as real processes in it."""

from __future__ import annotations

import gc
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import RAN, SAID, Shell, git

from coord_kernel.cli.session import VARIABLES

NONE_OF = {
    "lost": "acked",
    "double claims": "claims",
    "overlapping leases": "leases",
    "tracebacks": "commands",
}
"""What must never be, and of what it is counted."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the proofs in their long form")


def pytest_configure() -> None:
    # A shell starts what runs in the background with SIGINT ignored, and every child of ours would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    found = [report for reports in terminalreporter.stats.values() for report in reports]
    ended = [
        report for report in found if getattr(report, "when", None) == "teardown"
    ]  # it has what all phases told
    told = [one for report in ended for one in report.user_properties]
    said = [text.partition(": ") for name, text in told if name == "said"]
    if said:
        width = max(len(what) for what, _, _ in said)
        terminalreporter.section("what the proofs saw")
        terminalreporter.write_line(
            "\n".join(f"  {what:<{width}}  {seen}" for what, _, seen in said)
        )
        terminalreporter.write_line(f"  {total([one for name, one in told if name == 'counted'])}")


def total(counted: list[dict[str, int]]) -> str:
    """What was tried in all, and how much of it failed."""
    sums = sum(map(Counter, counted), Counter[str]())
    return ", ".join(f"{sums[what]:,} {what} of {sums[of]:,} {of}" for what, of in NONE_OF.items())


@pytest.fixture(autouse=True)
def no_traceback(record_property: Callable[[str, object], None]) -> Iterator[None]:
    """None of what runs in the background ends with one; of the others `Shell` sees to that."""
    RAN.clear()
    SAID.clear()
    yield
    if len(os.listdir("/proc/self/fd")) > 400:
        gc.collect()  # closes what tests opened in this process, before select() has no room
        left = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
        assert len(left) < 200, f"the tests so far never closed {Counter(left).most_common(5)}"
    found = "".join(path.read_text(errors="replace") for path in SAID)
    record_property("counted", {**RAN, "tracebacks": found.count("Traceback")})
    assert "Traceback" not in found, found


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty git repository as the current directory, and nothing of the caller's identity."""
    for name in ("COORD_DIR", "COORD_AGENT", "COORD_NOW", "COORD_KEEP", *VARIABLES):
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
