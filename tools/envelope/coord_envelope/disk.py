"""What is to know of files: writing all of it, where they lie, and what the system says when it refuses."""

from __future__ import annotations

import errno
import os

from coord_envelope.errors import DiskFault, Fault, Refused

_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "fuse.sshfs", "fuse.rclone", "fuse.s3fs"}


class IrregularError(OSError):
    """A link, a pipe or a directory where a file should be, or no directory where one should be."""


_REMEDIES = {
    errno.ENOSPC: "make room and try again",
    errno.EDQUOT: "make room and try again",
    errno.EFBIG: "make room and try again",
}


fdatasync = getattr(os, "fdatasync", os.fsync)


def write_all(fd: int, data: bytes) -> None:
    """Write it all, also where another process made the terminal or pipe non-blocking. Raises OSError."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            import select

            select.select([], [fd], [])


def known_local(path: str) -> bool:
    """False if the path lies on a network file system, as far as the kernel's mount table tells."""
    real = os.path.realpath(path)
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as table:
            mounts = [line.split(" ") for line in table]
    except OSError:
        return True
    above = [m for m in mounts if real == m[1] or real.startswith(m[1].rstrip("/") + "/")]
    return max(above, key=lambda m: len(m[1]))[2] not in _NETWORK if above else True


def fault_of(error: OSError, where: str = "") -> Fault:
    """The one line for an operating system's refusal."""
    name = where or (os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else "")
    kind = Refused if isinstance(error, PermissionError) else DiskFault
    return kind((error.strerror or str(error)).lower(), where=name, todo=_REMEDIES.get(error.errno or 0, ""))
