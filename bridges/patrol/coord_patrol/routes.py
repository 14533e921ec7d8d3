"""The settings of escalation: the table `[escalation]` of coord.toml."""

from __future__ import annotations

from coord_envelope import BadData
from coord_envelope.event import recipient
from coord_kernel.cli import values
from coord_kernel.cli.person import person
from coord_kernel.rules import escalation
from coord_kernel.store import locate
from coord_patrol.escalate import Policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel import Store

SECTION, CONFIG = "escalation", "coord.toml"
LOUDER = 2
"""Most times that an alert gets louder."""


def _todo(name: str) -> str:
    if name in ("person", "wait"):
        return "it is a string"
    if name == "louder":
        return f"it is a list of at most {LOUDER} times"
    if name in escalation.SEVERITIES:
        return "it is a list of addresses"
    return f"use {', '.join(('person', 'wait', 'louder', *escalation.SEVERITIES))}"


def load(store: Store) -> Policy:
    """The table `[escalation]` of coord.toml. Raises BadData, Usage."""
    policy = Policy()
    for name, value in locate.section(store, SECTION).items():
        spans = _texts(value)
        if name == "person" and isinstance(value, str):
            continue
        if name == "wait" and isinstance(value, str):
            policy.wait = values.span(value, f"{SECTION}.wait", least=0)
        elif name == "louder" and spans is not None and len(spans) <= LOUDER:
            policy.louder = tuple(values.span(text, f"{SECTION}.louder") for text in spans)
        elif name in escalation.SEVERITIES and spans is not None:
            policy.routes[name] = [_route(text, name) for text in spans]
        else:
            raise BadData(f"not a valid setting: {SECTION}.{name}", CONFIG, todo=_todo(name))
    policy.person = person(store)
    return policy


def _texts(value: object) -> list[str] | None:
    is_list = isinstance(value, list) and all(isinstance(text, str) for text in value)
    return value if is_list else None  # type: ignore[return-value]


def _route(text: str, name: str) -> str:
    try:
        address = recipient(text)
    except ValueError as reason:
        raise BadData(f"{SECTION}.{name}: {reason}", CONFIG) from None
    if address.startswith("group:"):
        todo = "name its members, or a channel: chan:NAME"
        raise BadData(f"{SECTION}.{name}: {text} is a group", CONFIG, todo=todo)
    return address
