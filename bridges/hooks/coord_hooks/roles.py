"""Roles: what an agent is to do here, in a file of the repository, `.agents/roles/NAME.md`."""

from __future__ import annotations

import errno
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
    is missing. A symbolic link is not followed, nor one in place of its directories.
    """
    if not name_ok(role):
        raise BadData(f"not a valid name of a role: {role}", todo="use a-z, 0-9, `-`, `_`")
    found = locate.repository(os.getcwd())
    place = os.path.join(found[0] if found else os.getcwd(), *PLACE)
    path = os.path.join(place, f"{role}.md")
    try:
        fd = _opened(found[0] if found else os.getcwd(), (*PLACE, f"{role}.md"))
    except FileNotFoundError:
        raise No(f"no such role: {role}", todo=f"write {path}", code="not_found") from None
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        raise BadData(
            "leads through a link", where=path, todo="put the file itself there"
        ) from None
    with open(fd, "rb") as file:
        data = file.read(LONGEST + 1)
    if len(data) > LONGEST:
        raise BadData(f"exceeds {LONGEST:,} bytes", where=path)
    try:
        return data.decode().rstrip("\n") + "\n"
    except UnicodeDecodeError:
        raise BadData("is not UTF-8", where=path) from None


def _opened(root: str, names: tuple[str, ...]) -> int:
    """A file below a directory, without following a link. Raises OSError."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for number, name in enumerate(names, 1):
        directory = 0 if number == len(names) else os.O_DIRECTORY
        try:
            inner = os.open(name, flags | directory, dir_fd=fd)
        finally:
            os.close(fd)
        fd = inner
    return fd
