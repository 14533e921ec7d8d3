"""The policy of a patrol: the table `[patrol]` of coord.toml."""

from __future__ import annotations

from coord_envelope import BadData
from coord_envelope.event import address
from coord_kernel.cli import values
from coord_kernel.store import locate, machine
from coord_patrol.plan import Policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel import Store

TIMES = {
    "fresh": "fresh",
    "never": "start",
    "waiting": "waiting",
    "stalled": "stalled",
    "lost": "long",
    "nudge": "nudge",
    "window": "window",
}
"""Name in the file → attribute of Policy; a value is a time such as 15m."""
COUNTS = ("nudges", "deaths")


def load(store: Store) -> Policy:
    """The policy of the store's project. Raises BadData."""
    policy, table = Policy(), locate.section(store, "patrol")
    policy.overseer = machine.person()
    for name, value in table.items():
        if name in TIMES and isinstance(value, str):
            setattr(policy, TIMES[name], values.span(value, f"patrol.{name}"))
        elif name in COUNTS and type(value) is int and 0 <= value < 1_000:
            setattr(policy, name, value)
        elif name == "overseer" and isinstance(value, str):
            policy.overseer = _address(value)
        else:
            known = ", ".join((*TIMES, *COUNTS, "overseer"))
            raise BadData(f"not a valid setting: patrol.{name}", "coord.toml", todo=f"use {known}")
    return policy


def _address(text: str) -> str:
    try:
        return address(text)
    except ValueError as reason:
        raise BadData(f"patrol.overseer: {reason}", "coord.toml") from None
