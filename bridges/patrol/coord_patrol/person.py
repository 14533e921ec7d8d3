"""The settings of escalation, and the person who is told when nobody else is left."""

from __future__ import annotations

import os
import subprocess

from coord_envelope import BadData
from coord_envelope.event import recipient
from coord_envelope.platform import suppress
from coord_kernel.cli import values
from coord_kernel.rules import escalation
from coord_kernel.store import locate, machine
from coord_patrol.escalate import Policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel import Store

SECTION, CONFIG = "escalation", "coord.toml"
LOUDER = 2
"""Most times that an alert gets louder."""
GIT_S = 5


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
            known = ", ".join(("person", "wait", "louder", *escalation.SEVERITIES))
            raise BadData(f"not a valid setting: {SECTION}.{name}", CONFIG, todo=f"use {known}")
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


def person(store: Store) -> str:
    """The address of the person who is told last.

    `[escalation] person` of coord.toml, else `[patrol] overseer`, else the user of the repository's
    git configuration (`user.name`), else $USER, else who runs this. Raises BadData.
    """
    for section, name in ((SECTION, "person"), ("patrol", "overseer")):
        chosen = locate.section(store, section).get(name)
        if isinstance(chosen, str):
            return _route(chosen, name)
    for found in (_of_git(locate.root(store.path)), os.environ.get("USER", "")):
        with suppress(ValueError):
            return recipient(f"human:{_plain(found)}")
    return machine.person()


def _plain(name: str) -> str:
    """A person's name as an address has it: of `Ada Lovelace` ada-lovelace."""
    kept = "".join(c if (c.isascii() and c.isalnum()) or c in "._-" else "-" for c in name.lower())
    return kept.strip("._-")[:100]


def _of_git(directory: str) -> str:
    """`user.name` as git knows it there; empty if it has none."""
    hook = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR")
    env = {name: text for name, text in os.environ.items() if name not in hook}
    argv = ["git", "-C", directory, "config", "--get", "user.name"]
    with suppress(OSError, subprocess.TimeoutExpired):
        nothing = subprocess.DEVNULL
        done = subprocess.run(argv, env=env, stdin=nothing, capture_output=True, timeout=GIT_S)
        return done.stdout.decode("utf-8", "replace").strip()
    return ""
