"""Options of coord-agent's commands that go together."""

from __future__ import annotations

from coord_kernel.cli.groups import Group


class Running(Group):
    """What runs, and how."""

    preset: str | None = None
    via: str | None = None
    prompt: str | None = None


class Talk(Group):
    """How a driver and its program talk."""

    via: str = ""
    busy: str = "refuses"
    prompt: str | None = None
    resume: str | None = None


class Task(Group):
    """For what, and where."""

    work: str | None = None
    claim: bool = False
    worktree: bool = False
