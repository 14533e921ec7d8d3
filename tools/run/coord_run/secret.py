"""Secrets: looked up where the job runs. Events have only their names, output stars (`mask`)."""

from __future__ import annotations

import os
import stat

from coord_envelope import world
from coord_run.failure import CannotRun

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

SHORTEST = 6
"""Fewest bytes of a value that is masked: a shorter text would be part of others, too."""


def config(*names: str) -> str:
    """A path in the user's own configuration, outside of every repository."""
    home = world.getenv("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return os.path.join(home, "coord", *names)


def values(names: Iterable[str]) -> dict[str, str]:
    """The values: from this process's environment, else from `~/.config/coord/secrets/NAME`.

    Raises CannotRun.
    """
    return {name: _value(name) for name in names}


def _value(name: str) -> str:
    value = world.getenv(name) or _filed(name)
    if value is None:
        raise CannotRun(
            f"secret {name}: neither in the worker's environment nor in {config('secrets')}"
        )
    if len(os.fsencode(value)) < SHORTEST or "\0" in value:
        raise CannotRun(
            f"secret {name}: less than {SHORTEST} bytes, or a zero byte: it cannot be masked"
        )
    return value


def _filed(name: str) -> str | None:
    path = config("secrets", name)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CannotRun(f"secret {name}: {(error.strerror or '').lower()}") from None
    with open(fd, "rb") as file:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode) or info.st_uid != os.geteuid() or info.st_mode & 0o077:
            raise CannotRun(f"secret {name}: others may read {path}; chmod 600 it")
        return os.fsdecode(file.read(1 << 16).removesuffix(b"\n"))
