"""ev sync --archive: the refs of who is silent for long are taken over, and nothing that they held is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import Shell, git

LATER = "2026-06-01T00:00:00Z"


@pytest.fixture
def clones(tmp_path: Path) -> list[Shell]:
    """Three stores with one remote; the second and third were silent since January."""
    git("init", "-q", "--bare", "hub.git", cwd=tmp_path)
    found = []
    for name in "abc":
        git("clone", "-q", "hub.git", name, cwd=tmp_path)
        shell = Shell(tmp_path / name)
        shell.env |= {"COORD_NOW": "2026-01-01T00:00:00Z", "COORD_AGENT": name}
        shell("ev init && ev emit x.made && ev sync --remote origin")
        found.append(shell)
    found[0]("ev emit x.later", COORD_NOW=LATER)
    return found


def refs(shell: Shell) -> list[str]:
    return git("for-each-ref", "--format=%(refname)", cwd=shell.cwd.parent / "hub.git").split()


def test_silent_replicas_are_taken_over_and_lose_nothing(clones: list[Shell]) -> None:
    a, b, _ = clones
    done = a("ev sync --archive", COORD_NOW=LATER).one
    assert len(done["archived"]) == 2
    assert len(refs(a)) == 1
    git("clone", "-q", "hub.git", "new", cwd=a.cwd.parent)
    new = Shell(a.cwd.parent / "new")
    new("ev init && ev sync --remote origin")
    agents = sorted(one["actor"]["agent_id"] for one in new("ev replay").lines)
    assert agents == ["agent:a", "agent:a", "agent:b", "agent:c"]
    assert a("ev sync --archive", COORD_NOW=LATER).one["archived"] == []
    b("ev emit x.back && ev sync")
    for shell in (a, new, b):
        shell("ev sync")
    assert a("ev replay").out == b("ev replay").out == new("ev replay").out
    assert len(a("ev replay").lines) == 5


def test_who_was_heard_of_keeps_its_ref(clones: list[Shell]) -> None:
    a, b, c = clones
    b("ev emit x.alive && ev sync", COORD_NOW=LATER)
    assert len(a("ev sync --archive", COORD_NOW=LATER).one["archived"]) == 1
    assert len(refs(a)) == 2
    c("ev sync", COORD_NOW=LATER)
    assert a("ev sync", COORD_NOW=LATER).one["received"] == 0
