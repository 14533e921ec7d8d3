"""What is to know of files: writing all of it, where they lie, and what the system says when it refuses."""

from __future__ import annotations

import errno
import os

from coord_envelope.errors import DiskFault, Fault, Refused

_NETWORK = {
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


def known_local(path: str, mounts: str = "/proc/self/mounts") -> bool:
    """False if the path lies on a network file system, as far as the kernel's mount table tells."""
    real = os.path.realpath(path)
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as table:
            known = [
                (_plain(place), kind) for _, place, kind, *_ in (line.split(" ") for line in table)
            ]
    except OSError:
        return True
    above = [
        (place, kind)
        for place, kind in known
        if real == place or real.startswith(place.rstrip("/") + "/")
    ]
    # Of several at one place the last is what is seen there: an automount stands before what it mounted.
    return max(reversed(above), key=lambda one: len(one[0]))[1] not in _NETWORK if above else True


def _plain(place: str) -> str:
    for code in (
        "040",
        "011",
        "012",
        "134",
    ):  # as the table writes a blank, a tab, a line feed, a backslash
        place = place.replace(f"\\{code}", chr(int(code, 8)))
    return place


def fault_of(error: OSError, where: str = "") -> Fault:
    """The one line for an operating system's refusal."""
    name = where or (
        os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
    )
    kind = Refused if isinstance(error, PermissionError) else DiskFault
    return kind(
        (error.strerror or str(error)).lower(), where=name, todo=_REMEDIES.get(error.errno or 0, "")
    )
