"""Options of wk's commands that go together."""

from __future__ import annotations

from coord_kernel.cli.groups import Group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Fields(Group):
    """What a new item has, and what can be changed later."""

    desc: str | None = None
    kind: str | None = None
    priority: int | None = None
    label: Sequence[str] | None = None
    parent: str | None = None
    assignee: str | None = None
    field: Sequence[str] | None = None


class Making(Group):
    """What only a new item has."""

    blocked_by: Sequence[str] | None = None
    hold: str | None = None
    defer_until: str | None = None
    key: str | None = None
    allow_missing: bool = False


class Asking(Group):
    """Of whom a question is asked, about what, and until when."""

    to: Sequence[str] | None = None
    option: Sequence[str] | None = None
    about: str | None = None
    for_: str | None = None
    on_timeout: str | None = None
    blocks: Sequence[str] | None = None
    key: str | None = None
    wait: bool = False


class Changes(Group):
    """What only an item that exists can be given."""

    title: str | None = None
    rm_label: Sequence[str] | None = None
    hold: str | None = None
    defer_until: str | None = None


class Override(Group):
    """Which refusals are overridden."""

    force: bool = False
    allow_secret: bool = False


class Listing(Group):
    """What every list of items can be narrowed by, and what it shows of them."""

    label: Sequence[str] | None = None
    kind: Sequence[str] | None = None
    not_kind: Sequence[str] | None = None
    priority: Sequence[str] | None = None
    parent: str | None = None
    assignee: str | None = None
    unassigned: bool = False
    owner: str | None = None
    field: Sequence[str] | None = None
    lines: int | None = None
    full: bool = False
    at: str | None = None


class Selection(Group):
    """Which items `wk ls` lists."""

    status: Sequence[str] | None = None
    all_: bool = False
    conflicts: bool = False
    stalled: bool = False


class Takeover(Group):
    """From whom a claim is taken over, and for whom it is."""

    steal: bool = False
    resume: bool = False
    reason: str | None = None
    for_: str | None = None
    session: str | None = None


class Strength(Group):
    """How strong a claim must be."""

    require: str | None = None
    no_sync: bool = False


class Closing(Group):
    """How an item is closed."""

    resolution: str | None = None
    dup_of: str | None = None
    note: str | None = None
    require: str | None = None


class Handing(Group):
    """To whom an item goes, and with what words."""

    to: str | None = None
    note: str | None = None


class Relation(Group):
    """How an item depends on another."""

    rel: str = "blocked_by"
    rm: bool = False
    allow_missing: bool = False


class First(Group):
    """Whether the first ready item is claimed, and whose it may be."""

    claim: bool = False
    anyone: bool = False


class Artifact(Group):
    """A result of the work on an item, by reference."""

    kind: str = "url"
    uri: str | None = None
    name: str | None = None
