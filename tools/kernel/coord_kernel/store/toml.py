"""A TOML file that somebody wrote: a regular file, bounded, and each fault of it one line."""

from __future__ import annotations

import errno
import os
import stat

from coord_envelope import codec
from coord_envelope.errors import BadData
from coord_envelope.platform import suppress
from coord_kernel.store.disk import fault_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_kernel.store.directory import Store

LARGEST = 1 << 16
"""Bytes; more than any file of settings has."""
MOST_DOTS = 500
"""In a line. tomllib takes memory by the square of a dotted key's parts: 64 KiB take 4 GB."""
_KEPT = ("local", "settings")
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def load(path: str) -> Json | None:
    """The file's table; None if it does not exist. Raises BadData, Refused, DiskFault."""
    fd = opened(path)
    return None if fd is None else parsed(fd, path)


def load_kept(path: str, store: Store) -> Json | None:
    """As `load`, but what the file says is kept below the store's `local/`, beside its text.

    tomllib takes as long to load as Python itself, and each command reads the settings.
    """
    fd = opened(path)
    if fd is None:
        return None
    data = contents(fd, path)
    with suppress(OSError, ValueError):
        text, _, kept = (store.load(*_KEPT) or b"").partition(b"\0")  # which no TOML contains
        settings = codec.loads(kept) if text == data and kept else None
        if isinstance(settings, dict):
            return settings
    found = table(data, path)
    # Not if it has what JSON has not (a date, inf); nor if the disk is full or read-only.
    with suppress(OSError, ValueError, TypeError, RecursionError):
        kept = codec.dumps(found)
        if codec.loads(kept) == found:
            store.save(data + b"\0" + kept, *_KEPT, durable=False)
    return found


def opened(path: str) -> int | None:
    """A descriptor of the regular file at `path`, or None. A device is not even opened."""
    try:
        regular = stat.S_ISREG(os.stat(path).st_mode)
        fd = os.open(path, _OPEN) if regular else -1
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR) and not os.path.islink(path):
            return None
        raise fault_of(error, where=path) from None
    if regular and stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    if regular:
        os.close(fd)
    raise BadData("not a regular file", where=path, todo="replace it with one, or remove it")


def parsed(fd: int, path: str) -> Json:
    """The table in an open file, which is closed."""
    return table(contents(fd, path), path)


def contents(fd: int, path: str) -> bytes:
    """Up to one byte more than LARGEST of an open file, which is closed."""
    try:
        with open(fd, "rb") as file:
            return file.read(LARGEST + 1)
    except OSError as error:
        raise fault_of(error, where=path) from None


def table(data: bytes, path: str) -> Json:
    """The table in the contents of a file. Raises BadData."""
    import tomllib  # 22 ms, only for those who have such a file

    if len(data) > LARGEST:
        raise BadData(f"more than {LARGEST:,} bytes", where=path, todo="shorten the file")
    if any(line.count(b".") > MOST_DOTS for line in data.split(b"\n")):
        what = f"a line with more than {MOST_DOTS} dots"
        raise BadData(what, where=path, todo="correct the file")
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except RecursionError:
        what = "nested too deeply"
    except UnicodeDecodeError as error:
        what = f"not valid UTF-8 at byte {error.start}"
    except ValueError as error:  # also a number of more digits than Python converts
        what = f"not valid TOML: {str(error).partition(';')[0]}"
    raise BadData(what, where=path, todo="correct the file")
