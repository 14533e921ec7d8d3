"""How far a long read is, for a person who waits for it."""

from __future__ import annotations

import os

from coord_envelope.platform import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONG = 1 << 25
"""Bytes from which it is shown."""


@contextmanager
def progress(what: str, size: int) -> Iterator[Callable[[int], object]]:
    """A bar on stderr, if that is a terminal and the read long; yields what advances it."""
    if size < LONG or not os.isatty(2):
        yield lambda _done: None
        return
    from coord_kernel.cli.terminal import bar  # Rich: 60 ms

    with bar(what, size) as advance:
        yield advance
