"""Roles: what an agent is to do here, in a file of the repository, `.agents/roles/NAME.md`."""

from __future__ import annotations

import os

from coord_envelope.errors import BadData, No
from coord_envelope.event import name_ok
from coord_kernel.store import locate

PLACE = (".agents", "roles")
LONGEST = 16_000
"""Bytes of a role, which the agent has in its context all the time."""


def text(role: str) -> str:
    """The text of a role, from the work tree of the current directory.

    Raises BadData for an invalid name, and for a file that is too long or not UTF-8, No if the file
    is missing. A symbolic link is not followed.
    """
    if not name_ok(role):
        raise BadData(f"not a valid name of a role: {role}", todo="use a-z, 0-9, `-`, `_`")
    found = locate.repository(os.getcwd())
    place = os.path.join(found[0] if found else os.getcwd(), *PLACE)
    path = os.path.join(place, f"{role}.md")
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise No(f"no such role: {role}", todo=f"write {path}", code="not_found") from None
    with open(fd, "rb") as file:
        data = file.read(LONGEST + 1)
    if len(data) > LONGEST:
        raise BadData(f"exceeds {LONGEST:,} bytes", where=path)
    try:
        return data.decode().rstrip("\n") + "\n"
    except UnicodeDecodeError:
        raise BadData("is not UTF-8", where=path) from None
