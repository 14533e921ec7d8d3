"""Chunks that came early, in `local/pending/`: behind a hole, half a line, parts of a blob.

They are durable before the mark passes them, and taken out when what precedes them has come. There
is room for `MOST` bytes of them; for more the log is read again when the hole is filled.
"""

from __future__ import annotations

import hashlib
import os

from coord_envelope.platform import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.store.directory import Store

    Key = tuple[str, str]
    """The source (a subject) and the path that it calls the file."""

MOST = 1 << 26
_PLACE = ("local", "pending")


class Pending:
    """The early chunks of one remote."""

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._place = store, (*_PLACE, name)
        self.pieces: dict[Key, dict[int, bytes]] = {}
        """By source and path: the bytes at each offset."""
        for file in store.listdir(*self._place):
            data = store.load(*self._place, file, most=1 << 21) or b""
            head, _, piece = data.partition(b"\n")
            with suppress(ValueError):
                source, path, offset = head.decode().split(" ")
                self.pieces.setdefault((source, path), {})[int(offset)] = piece

    def add(self, key: Key, offset: int, data: bytes) -> bool:
        """Keep a chunk, durably. False: there is no room."""
        pieces = self.pieces.get(key, {})
        if len(pieces.get(offset, b"")) >= len(data):
            return True
        size = sum(len(piece) for each in self.pieces.values() for piece in each.values())
        if size + len(data) > MOST:
            return False
        source, path = key
        head = f"{source} {path} {offset}\n".encode()
        self._store.save(head + data, *self._place, self._name(key, offset))
        self.pieces.setdefault(key, {})[offset] = data
        return True

    def take(self, key: Key, offset: int) -> tuple[int, bytes] | None:
        """A chunk that this offset is in, or at the end of; it is removed."""
        for begin, data in self.pieces.get(key, {}).items():
            if begin <= offset <= begin + len(data):
                self.drop(key, begin)
                return begin, data
        return None

    def joined(self, key: Key, offset: int, data: bytes) -> bytes:
        """The bytes from this offset on, with all that follows them; that is removed."""
        while True:
            following = [
                (begin, piece)
                for begin, piece in self.pieces.get(key, {}).items()
                if offset < begin <= offset + len(data)
            ]
            for begin, piece in following:
                data += piece[offset + len(data) - begin :]
                self.drop(key, begin)
            if not following:
                return data

    def drop(self, key: Key, offset: int) -> None:
        """Remove a chunk: it is a file's, or useless."""
        pieces = self.pieces.get(key, {})
        pieces.pop(offset, None)
        if not pieces:
            self.pieces.pop(key, None)
        with suppress(OSError):
            directory = self._store.directory(*self._place)
            try:
                os.unlink(self._name(key, offset), dir_fd=directory)
            finally:
                os.close(directory)

    def clear(self) -> None:
        """Remove all."""
        for key, pieces in list(self.pieces.items()):
            for offset in list(pieces):
                self.drop(key, offset)

    @staticmethod
    def _name(key: Key, offset: int) -> str:
        return f"{hashlib.sha256(' '.join(key).encode()).hexdigest()[:16]}-{offset}"
