"""The objects of the store's repository.

Loose ones, which are most of those that a sync reads and all that it writes, are read and written
here, as gitformat-loose(5) has them. Of packs gitdb knows more; it loads 60 modules, 20 ms.
"""

from __future__ import annotations

import os
import zlib

from coord_envelope.platform import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gitdb import GitDB

_HEAD = 32
"""Bytes of the longest header: kind, size and a zero."""
_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


class Objects:
    """Objects by their ids; to be opened again after each fetch, which may add a pack."""

    def __init__(self, path: str) -> None:
        """Not through a `git.Repo`, which obeys GIT_OBJECT_DIRECTORY: in a hook of git that is the
        user's repository."""
        self._path = f"{path}/objects"
        self._packed: GitDB | None = None

    @property
    def _packs(self) -> GitDB:
        if self._packed is None:
            from gitdb import GitDB

            self._packed = GitDB(self._path)
        return self._packed

    def about(self, oid: str) -> tuple[str, int]:
        """Its kind and size. Raises what gitdb, zlib and the disk raise."""
        raw = self._loose(oid, 4 << 10)
        if raw is None:
            info = self._packs.info(bytes.fromhex(oid))
            return info.type.decode(), info.size
        kind, size, _ = _parsed(zlib.decompressobj().decompress(raw, _HEAD))
        return kind, size

    def read(self, oid: str) -> bytes:
        """Its bytes, in memory: look at its size before. Raises as `about`."""
        raw = self._loose(oid)
        if raw is None:
            return bytes(self._packs.stream(bytes.fromhex(oid)).read())
        unpacking = zlib.decompressobj()
        _, size, data = _parsed(unpacking.decompress(raw, _HEAD))
        data += unpacking.decompress(unpacking.unconsumed_tail, size + 1)
        if len(data) != size:
            raise ValueError("its size differs from its header")
        return data

    def has(self, oid: str) -> bool:
        """Is it here?"""
        if os.path.exists(self._file(oid)):
            return True
        packs = os.path.join(self._path, "pack")
        packed = os.path.isdir(packs) and any(name.endswith(".pack") for name in os.listdir(packs))
        return packed and bool(self._packs.has_object(bytes.fromhex(oid)))

    def add(self, oid: str, kind: str, data: bytes) -> None:
        """Store it, unless it is loose already."""
        path = self._file(oid)
        if os.path.exists(path):
            return
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = f"{os.path.dirname(path)}/tmp_obj_{os.getpid()}"
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        packed = zlib.compress(b"%s %d\0" % (kind.encode(), len(data)) + data, 1)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
        with open(fd, "wb") as file:
            file.write(packed)
        os.rename(temporary, path)

    def _file(self, oid: str) -> str:
        return f"{self._path}/{oid[:2]}/{oid[2:]}"

    def _loose(self, oid: str, most: int = -1) -> bytes | None:
        """The bytes of its file, the first `most` or all; None without one."""
        try:
            with open(os.open(self._file(oid), _FILE), "rb") as file:
                return file.read(most)
        except FileNotFoundError:
            return None


def _parsed(head: bytes) -> tuple[str, int, bytes]:
    """Kind, size and the bytes behind them. Raises ValueError."""
    about, zero, data = head.partition(b"\0")
    kind, blank, size = about.partition(b" ")
    if not zero or not blank or not size.isdigit():
        raise ValueError("not an object of git")
    return kind.decode("ascii"), int(size), data
