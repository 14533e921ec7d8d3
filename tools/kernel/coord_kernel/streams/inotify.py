"""Linux's file notifications, by the C library: three calls.

The library for it starts `ldconfig` to find what Python has loaded already: 21 ms of 23.
"""

from __future__ import annotations

import os
import struct
import sys
from ctypes import CDLL, c_char_p, c_int, c_uint32, get_errno

from coord_envelope.platform import suppress

_MODIFY, _MOVED_TO, _CREATE, _ONLYDIR = 0x2, 0x80, 0x100, 0x0100_0000  # as in sys/inotify.h
_HEAD = struct.Struct("iIII")


class Inotify:
    """`fd` is readable when a file in a watched directory grows or appears."""

    def __init__(self) -> None:
        """Raises OSError: not Linux, or this user has no instance left."""
        if sys.platform != "linux":
            raise OSError("not Linux")
        library = CDLL(None, use_errno=True)
        self._add = library.inotify_add_watch
        self._add.argtypes = c_int, c_char_p, c_uint32
        self.fd = _checked(library.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))

    def __del__(self) -> None:
        with suppress(AttributeError, OSError):  # without one, it was not made
            os.close(self.fd)

    def watch(self, directory: str) -> int:
        """Watch a directory, too; its number. Raises OSError: it is none, or no watch is left."""
        wanted = _MODIFY | _MOVED_TO | _CREATE | _ONLYDIR
        return _checked(self._add(self.fd, os.fsencode(directory), wanted))

    def drain(self) -> bytes:
        """Take what made `fd` readable: the notifications, as the system has them."""
        data = b""
        with suppress(BlockingIOError):
            while part := os.read(self.fd, 1 << 16):
                data += part
        return data


def numbers(data: bytes) -> set[int]:
    """The numbers of the directories that notifications are about; -1: some were lost."""
    found, at = set[int](), 0
    while at + _HEAD.size <= len(data):
        number, _, _, length = _HEAD.unpack_from(data, at)
        found.add(number)
        at += _HEAD.size + length
    return found


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(get_errno(), os.strerror(get_errno()))
    return result
