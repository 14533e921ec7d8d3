"""Settings files of a work tree: read and replaced, and never outside of it."""

from __future__ import annotations

import errno
import os
import stat

from coord_envelope.errors import BadData, Fault, Refused
from coord_envelope.platform import suppress
from coord_kernel.store.disk import fault_of, write_all

LARGEST = 1 << 20
"""Bytes of a settings file."""
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Files:
    """The files below one directory, by their paths from there; `~/…` are below the home."""

    def __init__(self, root: str) -> None:
        self._roots = os.path.realpath(root), os.path.realpath(os.path.expanduser("~"))

    def read(self, path: str) -> bytes | None:
        """The bytes of a file; None if it does not exist. Raises Fault with the path."""
        try:
            fd = os.open(self._real(path), _READ)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._fault(error, path) from None
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise BadData("not a regular file", where=path, todo="move it away")
        with open(fd, "rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise BadData(f"more than {LARGEST:,} bytes", where=path, todo="shorten the file")
        return data

    def text(self, path: str) -> str:
        """The text of a file, empty if it does not exist. Raises Fault with the path."""
        try:
            return (self.read(path) or b"").decode()
        except UnicodeDecodeError as error:
            what = f"not valid UTF-8 at byte {error.start}"
            raise BadData(what, where=path, todo="correct the file") from None

    def replace(self, path: str, data: bytes | None) -> None:
        """Write the whole file, or with None remove it. After a crash it is the old or the new.

        Its mode stays; directories are made as needed, and removed if they become empty. Raises
        Fault with the path.
        """
        real = self._real(path)
        try:
            if data is None:
                os.unlink(real)
                with suppress(OSError):  # one is not empty
                    while (real := os.path.dirname(real)) not in self._roots:
                        os.rmdir(real)
                return
            os.makedirs(os.path.dirname(real), exist_ok=True)
            _replace(real, data)
        except OSError as error:
            raise self._fault(error, path) from None

    def _real(self, path: str) -> str:
        """The file itself, if a link within the root leads to it. Raises Refused, BadData."""
        root = self._roots[path.startswith("~/")]
        linked = os.path.join(root, path.removeprefix("~/"))
        real = os.path.realpath(linked)
        if os.path.commonpath((real, root)) != root:
            what = f"a link to {real}, outside this directory"
            raise Refused(what, where=path, todo="edit that file by hand, or remove the link")
        if os.path.islink(linked) and not os.path.exists(real):
            raise BadData(f"a link to {real}, which is missing", where=path, todo="remove the link")
        return real

    def _fault(self, error: OSError, path: str) -> Fault:
        if error.errno == errno.ENOTDIR:
            todo = "move away what is in the place of its directory"
            return BadData("not a directory", where=os.path.dirname(path), todo=todo)
        fault = fault_of(error)
        fault.where = path
        return fault


def _replace(real: str, data: bytes) -> None:
    temporary = f"{real}.{os.getpid()}.tmp"
    try:
        mode = stat.S_IMODE(os.stat(real).st_mode)
    except FileNotFoundError:
        mode = None
    fd = os.open(temporary, _NEW, 0o666)
    try:
        try:
            if mode is not None:
                os.fchmod(fd, mode)
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, real)
    except OSError:
        with suppress(OSError):
            os.unlink(temporary)
        raise
