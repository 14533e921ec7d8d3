"""The person of a project: who is asked and notified when nobody else is left."""

from __future__ import annotations

import os
import subprocess

from coord_envelope.errors import BadData
from coord_envelope.event import address
from coord_envelope.platform import suppress
from coord_kernel.store import locate, machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.store.directory import Store

GIT_S = 5
"""How long git may take to read its configuration."""


def person(store: Store) -> str:
    """The address of the person who is notified last.

    `[escalation] person` of coord.toml, else `[patrol] overseer`, else the user of the repository's
    git configuration (`user.name`), else $USER, else who runs this. Raises BadData.
    """
    for section, name in (("escalation", "person"), ("patrol", "overseer")):
        chosen = locate.section(store, section).get(name)
        if isinstance(chosen, str):
            return _address(chosen, f"{section}.{name}")
    for found in (of_git(locate.root(store.path)), os.environ.get("USER", "")):
        with suppress(ValueError):
            return address(f"human:{_plain(found)}")
    return machine.person()


def _address(text: str, name: str) -> str:
    try:
        return address(text)
    except ValueError as reason:
        raise BadData(f"{name}: {reason}", "coord.toml") from None


def _plain(name: str) -> str:
    """A person's name as an address has it: of `Ada Lovelace` ada-lovelace."""
    kept = "".join(c if (c.isascii() and c.isalnum()) or c in "._-" else "-" for c in name.lower())
    return kept.strip("._-")[:100]


def of_git(directory: str = ".") -> str:
    """`user.name` as git knows it there; empty if it has none."""
    hook = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR")
    env = {name: text for name, text in os.environ.items() if name not in hook}
    argv = ["git", "-C", directory, "config", "--get", "user.name"]
    with suppress(OSError, subprocess.TimeoutExpired):
        nothing = subprocess.DEVNULL
        done = subprocess.run(argv, env=env, stdin=nothing, capture_output=True, timeout=GIT_S)
        return done.stdout.decode("utf-8", "replace").strip()
    return ""
