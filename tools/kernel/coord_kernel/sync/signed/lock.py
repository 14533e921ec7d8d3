"""One process of a store at a time signs, and one judges."""

from __future__ import annotations

import os
import time

from coord_envelope.errors import TryAgain
from coord_envelope.platform import contextmanager
from coord_kernel.store import pins
from coord_kernel.streams import trusted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_kernel.store.directory import Store

_WAIT_S = 60.0


@contextmanager
def locked(store: Store, name: str) -> Iterator[None]:
    """One process of a store at a time. Raises TryAgain."""
    deadline = time.monotonic() + _WAIT_S
    while (fd := pins.take(store, *trusted.DIRECTORY, name)) is None:
        if time.monotonic() > deadline:
            raise TryAgain("another process of this store signs or verifies", todo="try again")
        time.sleep(0.01)
    try:
        yield
    finally:
        os.close(fd)
