"""What a dispatcher may start: the table `[dispatch]` of coord.toml, and its options."""

from __future__ import annotations

from coord_agents import presets as registry
from coord_agents.dispatch.plan import Policy, Preset
from coord_agents.settings import Settings
from coord_envelope import BadData, Usage
from coord_kernel.cli import values
from coord_kernel.store import locate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_agents.dispatch.groups import Limits
    from coord_agents.record import Record
    from coord_kernel import Store

SECTION = "dispatch"
TIMES = ("delay", "backoff")
COUNTS = ("max", "failures")
KNOWN = (*COUNTS, *TIMES, "presets", "kinds", "worktree", "via")


class Dispatching(Policy):
    """A policy, and how what it plans is started."""

    worktree = False
    """Each in a work tree of its own?"""
    via: str | None = None
    records: dict[str, Record]


def load(store: Store, limits: Limits) -> Dispatching:
    """The policy of the store's project, with these options. Raises BadData, Usage, No."""
    policy = Dispatching()
    policy.within = Settings(store).within
    settings = locate.section(store, SECTION)
    for name, value in settings.items():
        _set(policy, name, value)
    most: dict[str, int] = {}
    presets = settings.get("presets", [])
    if isinstance(presets, dict):
        most = {name: _count(n, f"presets.{name}") for name, n in presets.items()}
    names = list(limits.preset or presets)  # type: ignore[call-overload]
    if not names:
        todo = 'use --preset P, or [dispatch] presets = ["P"] in coord.toml'
        raise Usage("no preset", todo=todo)
    policy.records = {str(name): registry.named(str(name)) for name in names}
    policy.presets = [_preset(record, most) for record in policy.records.values()]
    for record in policy.records.values():
        record.way(policy.via)
    policy.max = limits.max_ or policy.max
    if limits.delay is not None:
        policy.delay = values.span(limits.delay, "--delay", least=0)
    return policy


def _set(policy: Dispatching, name: str, value: object) -> None:
    if name in TIMES and isinstance(value, str):
        setattr(policy, name, values.span(value, f"{SECTION}.{name}", least=0))
    elif name in COUNTS:
        setattr(policy, name, _count(value, name))
    elif name == "worktree" and isinstance(value, bool):
        policy.worktree = value
    elif name == "via" and isinstance(value, str):
        policy.via = value
    elif name == "kinds" and isinstance(value, dict):
        policy.kinds = {kind: _count(n, f"kinds.{kind}") for kind, n in value.items()}
    elif name != "presets" or not isinstance(value, list | dict):
        todo = f"use {', '.join(KNOWN)}"
        raise BadData(f"not a valid setting: {SECTION}.{name}", "coord.toml", todo=todo)


def _count(value: object, name: str) -> int:
    if type(value) is int and 0 < value <= 1_000:
        return value
    raise BadData(f"{SECTION}.{name} is not a number from 1 to 1000", "coord.toml")


def _preset(record: Record, most: dict[str, int]) -> Preset:
    preset = Preset(record.name, record.can, record.pool)
    preset.most = most.get(record.name, preset.most)
    return preset
