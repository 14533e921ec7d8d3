"""What many tests need: the tools as processes, and the invariants of a store as one check."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from coord_envelope.bodies import check_body
from coord_kernel import Journal, Store
from coord_kernel.streams.stream import BadLine, streams

SPEC = Path(__file__).parent.parent / "spec"
DATA = Path(__file__).parent.parent.parent / "shared" / "data"
BIN = str(Path(sys.executable).parent)
ME = {"agent_id": "agent:tester"}

Json = dict[str, Any]
RAN = Counter[str]()
"""How many commands this test has run."""
SAID = set[Path]()
"""Where those of its commands that run in the background say what nobody asks them."""


class Done:
    """How a command ended: its exit status, and what it said."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def lines(self) -> list[Json]:
        return [json.loads(line) for line in self.out.split("\n") if line]

    @property
    def one(self) -> Json:
        (line,) = self.lines
        return line


class Shell:
    """Runs command lines with bash, as a user would: pipefail on, the tools on PATH, stdin closed unless given."""

    def __init__(self, cwd: Path) -> None:
        self.cwd = cwd
        # Not inside a `make`; and a tool compiled anew for each call would take three times as long.
        unset = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "PYTHONDONTWRITEBYTECODE")
        ours = {name: value for name, value in os.environ.items() if name not in unset}
        self.env = {**ours, "PATH": f"{BIN}:{os.environ['PATH']}", "COORD_AGENT": "tester"}

    def __call__(
        self, line: str, stdin: str | bytes = b"", expect: int | None = 0, **env: str
    ) -> Done:
        if "jq " in line and not shutil.which("jq"):
            pytest.skip("jq is not installed")
        if (
            "limit" in line
        ):  # CPython takes a short write of a .pyc for a whole one, and the next start fails on it
            env["PYTHONDONTWRITEBYTECODE"] = "1"
        data = stdin.encode() if isinstance(stdin, str) else stdin
        argv = ["bash", "-o", "pipefail", "-c", line]
        ended = subprocess.run(
            argv, cwd=self.cwd, input=data, env=self.env | env, capture_output=True, timeout=120
        )
        done = Done(ended.returncode, ended.stdout.decode(), ended.stderr.decode())
        hear(done.err)
        assert expect is None or done.status == expect, (
            f"{line}: exit {done.status}\n{done.out}{done.err}"
        )
        return done

    def popen(self, line: str, **kwargs: Any) -> subprocess.Popen[bytes]:
        """Start one. What it says, unless somebody asks for it, is looked at when the test ends."""
        RAN["commands"] += 1
        SAID.add(path := self.cwd.parent / "said")
        with open(path, "ab") as said:
            kwargs.setdefault("stderr", said)
            return subprocess.Popen(
                ["bash", "-c", f"exec {line}"], cwd=self.cwd, env=self.env, **kwargs
            )


def hear(err: str) -> None:
    """Count a command that has ended. What it said is no traceback."""
    RAN["commands"] += 1
    assert "Traceback" not in err, err


def git(*argv: str, cwd: Path) -> str:
    """Run git with nothing of the caller's configuration; its output."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    env |= {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "LC_ALL": "C"}
    who = [
        "-c",
        "user.name=Ada",
        "-c",
        "user.email=ada@example.org",
        "-c",
        "protocol.file.allow=always",
    ]
    return subprocess.run(
        ["git", *who, *argv], cwd=cwd, env=env, check=True, capture_output=True, text=True
    ).stdout


def open_store(repo: Path) -> Store:
    return Store(str(repo / ".coord"), "acme")


def open_journal(repo: Path) -> Journal:
    return Journal(open_store(repo))


def drafts(count: int, **fields: Any) -> list[Json]:
    return [{"type": "test.tick", "body": {"n": n}, **fields} for n in range(count)]


def segment(repo: Path, writer: str = "agent.tester") -> Path:
    """The newest segment of a writer that has one stream."""
    return max((repo / ".coord/journal").glob(f"{writer}~*/*.jsonl"))


def check_invariants(store: Store, bad_at_most: int = 0) -> None:
    """DESIGN 17, 2 to 5, as far as one store shows them; and every kernel body is what spec/schema says."""
    bad, seen = 0, set[str]()
    seqs: dict[str, list[int]] = defaultdict(list)
    for stream in streams(store, live=True):
        for item in stream.read():
            if isinstance(item, BadLine):
                bad += 1
                continue
            assert item.id not in seen, f"{item.id} twice"
            seen.add(item.id)
            seqs[stream.name].append(item["seq"])
            check_body(item["type"], item["body"])
    assert bad <= bad_at_most
    assert all(numbers == sorted(set(numbers)) for numbers in seqs.values())
    replayed = [event.id for event in Journal(store).replay(live=True)]
    assert replayed == sorted(seen)
