"""The policy of a patrol: the table `[patrol]` of coord.toml."""

from __future__ import annotations

from coord_envelope import BadData
from coord_envelope.event import address
from coord_kernel.cli import health, values
from coord_kernel.cli.person import person
from coord_patrol.plan import Policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel import Store

COUNTS = ("nudges", "deaths")


def load(store: Store) -> Policy:
    """The policy of the store's project. Raises BadData, Usage."""
    policy = Policy()
    policy.overseer = person(store)
    for name, value in health.configured(store, policy).items():
        if name in COUNTS and type(value) is int and 0 <= value < 1_000:
            setattr(policy, name, value)
        elif name == "done" and isinstance(value, str):
            policy.done = values.span(value, "patrol.done")
        elif name == "overseer" and isinstance(value, str):
            policy.overseer = _address(value)
        else:
            known = ", ".join((*health.TIMES, "done", *COUNTS, "overseer"))
            raise BadData(f"not a valid setting: patrol.{name}", "coord.toml", todo=f"use {known}")
    return policy


def _address(text: str) -> str:
    try:
        return address(text)
    except ValueError as reason:
        raise BadData(f"patrol.overseer: {reason}", "coord.toml") from None
