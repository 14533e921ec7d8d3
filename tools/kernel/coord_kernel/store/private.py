"""Secrets of bridges: from the environment, or in a file that only its owner can read."""

from __future__ import annotations

import os
import stat

from coord_envelope import world
from coord_envelope.errors import BadData, Refused, Usage


def check(path: str) -> None:
    """Raise Refused unless the file is the user's own and nobody else can read it."""
    try:
        info = os.stat(path)
    except OSError as error:
        what = (error.strerror or "").lower()
        raise Refused(f"credentials cannot be read: {what}", where=path) from None
    if not stat.S_ISREG(info.st_mode):
        raise Refused("credentials that are not in a regular file", where=path)
    if info.st_uid != os.geteuid() or stat.S_IMODE(info.st_mode) & 0o077:
        raise Refused("credentials that others can read", where=path, todo=f"chmod 600 {path}")


def secret(text: str, path: str) -> str:
    """The secret that a setting gives: `$NAME` is of the environment, else it is the text itself.

    `path` is the file of the setting. Raises Usage if the variable is not set, BadData if it is not
    a name, Refused if the file holds the secret and others can read it.
    """
    if not text.startswith("$"):
        check(path)
        return text
    return named(text, path)


def named(text: str, where: str) -> str:
    """The value of the environment variable `$NAME`. Raises Usage if it is not set, BadData."""
    name = variable(text, where)
    value = world.getenv(name)
    if not value:
        raise Usage(f"${name} is not set", where=where, todo=f"export {name}=…")
    return value


def variable(text: str, where: str = "") -> str:
    """The NAME of `NAME` or `$NAME`. Raises BadData."""
    name = text.removeprefix("$")
    if not (name.isascii() and name.isidentifier()):
        raise BadData(f"not the name of a variable: {text[:80]!r}", where, "use $NAME")
    return name
