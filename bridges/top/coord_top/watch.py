"""When to look: at once if something was written, and not more than half of the time.

Reading is done by one thread, which the event loop awaits. A look begins when the one before was
drawn and a pause of its length is over, however many events come meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from coord_top.stores import Stores

TICK_S = 30.0
"""How often ages are drawn again if nothing happens."""
PAUSE_S = 0.1
"""Least time between two looks."""
Found = TypeVar("Found")


class Watch:
    """Belongs to the event loop."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._asked = SimpleQueue[tuple[asyncio.Future[Any], Callable[..., Any], Any]]()
        # A daemon: it ends with the process, though a first look at a long history takes seconds.
        Thread(target=self._answer, daemon=True, name="stores").start()
        self._changed = asyncio.Event()
        self.tick_s = TICK_S
        """When to look again at the latest."""

    async def run(self, look: Callable[[], Awaitable[None]]) -> None:
        """Open the stores, and call `look` whenever there may be something new. Does not end."""
        await self.read(self._stores.open)
        while True:
            began = time.monotonic()
            await look()
            self._listen()
            await asyncio.sleep(max(PAUSE_S, time.monotonic() - began))
            polled = [news.pause_ms / 1000 for news in self._stores.news if news.fd is None]
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), min([self.tick_s, *polled]))
            self._changed.clear()

    async def read(self, function: Callable[..., Found], *values: object) -> Found:
        """What a function returns that the reading thread calls."""
        answer: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        self._asked.put((answer, function, values))
        return await answer

    def _answer(self) -> None:
        while True:
            answer, function, values = self._asked.get()
            try:
                found, failure = function(*values), None
            except Exception as error:
                found, failure = None, error
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                answer.get_loop().call_soon_threadsafe(_settle, answer, found, failure)

    def again(self) -> None:
        """Look as soon as possible."""
        self._changed.set()

    def _listen(self) -> None:
        for news in self._stores.news:
            if news.fd is not None:
                asyncio.get_running_loop().add_reader(news.fd, self._notified, news.fd)

    def _notified(self, fd: int) -> None:
        # It is readable until the thread has read, which is what the next look does.
        asyncio.get_running_loop().remove_reader(fd)
        self.again()


def _settle(answer: asyncio.Future[Any], found: object, failure: Exception | None) -> None:
    if answer.done():  # cancelled: nobody waits
        return
    if failure:
        answer.set_exception(failure)
    else:
        answer.set_result(found)
