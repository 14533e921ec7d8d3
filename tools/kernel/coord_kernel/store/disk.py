"""File access: complete writes, network file systems, messages for the system's errors."""

from __future__ import annotations

import errno
import os

from coord_envelope.errors import DiskFault, Fault, Refused

_NETWORK_TYPES = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "afs",
    "ncpfs",
    "fuse.sshfs",
    "fuse.rclone",
    "fuse.s3fs",
}
STDOUT = "standard output"
"""In place of a path, where that is what an error is about."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_ESCAPES = ("040", "011", "012", "134")
"""Octal codes of blank, tab, line feed and backslash in the mount table."""

fdatasync = getattr(os, "fdatasync", os.fsync)


class IrregularError(OSError):
    """A path of the store is of the wrong kind: a link or pipe in place of a file, for example."""


def write_all(fd: int, data: bytes) -> None:
    """Write all bytes, also to a terminal or pipe that is non-blocking. Raises OSError."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:  # O_NONBLOCK is shared with every process that has this pipe
            import select

            select.select([], [fd], [])
        except OSError as error:
            if fd == 1:
                error.filename = "standard output"
            raise


def known_local(path: str, mounts: str = "/proc/self/mounts") -> bool:
    """False if the path lies on a network file system, according to the mount table.

    True where there is no mount table, and for types of file system it does not know.
    """
    real = os.path.realpath(path)
    longest, visible = 0, ""
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as table:
            for line in table:
                _, escaped, kind, *_ = line.split(" ")
                mount_point = _unescaped(escaped)
                below = real == mount_point or real.startswith(mount_point.rstrip("/") + "/")
                # Of mounts at one point the last is visible: an automount precedes its target.
                if below and len(mount_point) >= longest:
                    longest, visible = len(mount_point), kind
    except OSError:
        return True
    return visible not in _NETWORK_TYPES


def _unescaped(mount_point: str) -> str:
    for code in _ESCAPES:
        mount_point = mount_point.replace(f"\\{code}", chr(int(code, 8)))
    return mount_point


def fault_of(error: Exception, where: str = "") -> Fault:
    """The failure to report for an error, itself if it is one.

    `where` replaces the path of an error of the operating system.
    """
    if not isinstance(error, OSError):
        return error if isinstance(error, Fault) else Fault(repr(error))
    path = error.filename if isinstance(error.filename, (str, bytes)) else ""
    kind = Refused if isinstance(error, PermissionError) else DiskFault
    todo = "make room and try again" if error.errno in _NO_ROOM else ""
    if path == STDOUT:  # to try again would do it twice
        todo = "what was to be done is done; only its output is incomplete"
    return kind((error.strerror or str(error)).lower(), where or os.fsdecode(path), todo)
