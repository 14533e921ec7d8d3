"""One store, followed for all pages that show it: one fold and one rendering, however many look.

1. A thread of its own reads the present: views are SQLite connections, and belong to one thread.
   Another reads the past, so that who travels in time keeps nobody from what is new.
2. Writers wake it through the kernel's notification. While nobody looks it does nothing; the next
   who looks gets what is new then.
3. After a look it rests twice as long as that took: of a hundred events a second each is shown, and
   the work stays bounded.
4. Ages and expiries change without an event, so while somebody looks it looks again every TICK_S.
5. A page is parts, each a piece of HTML: the state, never a change of it. What a viewer has not
   seen of them is sent, with the cursor behind which it is. Who connects again gets all parts as
   they are then, so nothing is missed, and nothing is there twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from coord_envelope import codec, world
from coord_envelope.errors import Fault
from coord_kernel.cli import complaints
from coord_shop import News, Reader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from coord_envelope.codec import Json
    from coord_kernel.store.directory import Store
    from coord_shop import Shop

    Render = Callable[[Reader, Shop], dict[str, str]]
    """The parts of a page, by name."""

TICK_S = 60.0
REST, LEAST_S = 2.0, 0.02
POLL_S, AGAIN_S = 1.0, 5.0
"""How often it looks where the system does not notify, and after it failed."""
FRESH_MS = 1_000
"""How old what a page shows may be, without an event."""
PAST = 24
"""Moments that are kept."""
LONGEST_ID = 4_000
"""Characters of a cursor that is sent; of a longer one its digest is."""


class Viewer:
    """One event stream: the parts that its page has."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.seen: dict[str, str] = {}
        self.wake = asyncio.Event()


class Hub:
    """A store, and who looks at it. `folds` and `renders` count what that cost."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.folds, self.renders = 0, 0
        self._now = ThreadPoolExecutor(1, thread_name_prefix="now")
        self._then = ThreadPoolExecutor(1, thread_name_prefix="then")
        self._reader: Reader | None = None
        self._old: Reader | None = None
        self._news: News | None = None
        self._armed: int | None = None
        self._shop: Shop | None = None
        self._cursor = ""
        self._dirty, self._watched = asyncio.Event(), asyncio.Event()
        self._past: dict[str, Shop] = {}
        self._looking = asyncio.Lock()
        self._viewers: set[Viewer] = set()
        self._parts: dict[str, dict[str, str]] = {}
        """Of the pages that somebody looks at, by key: as `_shop` is."""
        self._renders: dict[str, Render] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to follow, in the running loop."""
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """End all event streams."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        for viewer in self._viewers:
            viewer.key = ""
            viewer.wake.set()
        self._disarm()
        self._now.shutdown(wait=False, cancel_futures=True)
        self._then.shutdown(wait=False, cancel_futures=True)

    @property
    def viewers(self) -> int:
        """How many event streams there are."""
        return len(self._viewers)

    def touch(self) -> None:
        """Something was written, or may have been: look again before anything is shown."""
        self._dirty.set()

    # The present

    async def live(self, key: str, render: Render) -> tuple[dict[str, str], Shop, str]:
        """The parts of a page now, the shop that they show, and the cursor behind it.

        Two calls with one `key` are given one rendering, as long as nothing has changed.
        """
        async with self._looking:
            await self._refresh()
            assert self._shop
            parts = self._parts.get(key)
            if parts is None:
                parts = await self._in(self._now, render, self._present(), self._shop)
                self.renders += 1
            return parts, self._shop, self._cursor

    async def read(self, ask: Callable[[Reader], Any]) -> Any:
        """What `ask` says of the present."""
        return await self._in(self._now, lambda: ask(self._present()))

    def _present(self) -> Reader:
        if self._reader is None:
            self._reader = Reader(self.store)
        return self._reader

    async def _refresh(self) -> None:
        """Look again, unless nothing was written since and that is not long ago."""
        shop = self._shop
        fresh = shop and world.now_ms() - world.parse_ts(shop.at) < FRESH_MS
        if shop and fresh and not self._dirty.is_set():
            return
        self._dirty.clear()
        try:
            self._shop, self._cursor = await self._in(self._now, self._look)
            self._arm()
            await self._draw()
        except BaseException:  # who asked has left, or it failed: it is to be done again
            self._dirty.set()
            raise

    def _look(self) -> tuple[Shop, str]:
        reader = self._present()
        if self._news is None:
            self._news = News(self.store, reader.end())
        news = self._news.read() or None  # without an event it may be a setting, or time
        cursor = codec.dumps(dict(sorted(self._news.reached.items()))).decode()
        if len(cursor) > LONGEST_ID:
            cursor = f"sha256:{hashlib.sha256(cursor.encode()).hexdigest()}"
        self.folds += 1
        return reader.shop(news=news), cursor

    def _arm(self) -> None:
        """Be woken by the next event."""
        assert self._news
        if self._news.fd is not None and self._armed is None:
            self._armed = self._news.fd
            asyncio.get_running_loop().add_reader(self._armed, self._woken)

    def _disarm(self) -> None:
        if self._armed is not None:
            asyncio.get_running_loop().remove_reader(self._armed)
            self._armed = None

    def _woken(self) -> None:
        # The thread of the present reads it: until then the descriptor stays readable.
        self._disarm()
        self._dirty.set()

    # The past

    async def then(self, at: str, render: Render) -> tuple[dict[str, str], Shop]:
        """The parts of a page at a moment, a stamp, and the shop that they show."""

        def work() -> tuple[dict[str, str], Shop]:
            if self._old is None:
                self._old = Reader(self.store)
            shop = self._past.pop(at, None) or self._old.shop(at)
            self._past[at] = shop
            while len(self._past) > PAST:
                del self._past[next(iter(self._past))]
            return render(self._old, shop), shop

        return await self._in(self._then, work)  # type: ignore[no-any-return]

    async def _in(self, pool: ThreadPoolExecutor, work: Callable[..., Any], *values: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(pool, work, *values)

    # Event streams

    async def stream(self, key: str, render: Render, cursor: str | None) -> AsyncIterator[Json]:
        """What changes on a page, as it changes: {event, id, data}. Never ends by itself.

        `cursor`: of the page, if it was just loaded; None sends all parts.
        """
        viewer = Viewer(key)
        self._viewers.add(viewer)
        self._renders[key] = render
        self._watched.set()
        try:
            async with self._looking:
                await self._refresh()
                if key not in self._parts:
                    await self._draw(key)
            if cursor == self._cursor:
                viewer.seen = dict(self._parts[key])
            yield {"event": "hello", "id": self._cursor, "data": str(len(self._viewers))}
            while viewer.key:
                viewer.wake.clear()
                for name, html in self._parts.get(key, {}).items():
                    if viewer.seen.get(name) != html:
                        viewer.seen[name] = html
                        data = json.dumps({"part": name, "html": html}, ensure_ascii=False)
                        yield {"event": "part", "id": self._cursor, "data": data}
                await viewer.wake.wait()
        finally:
            self._viewers.discard(viewer)
            if not any(other.key == key for other in self._viewers):
                self._renders.pop(key, None)
                self._parts.pop(key, None)
            if not self._viewers:
                self._watched.clear()

    async def _draw(self, *keys: str) -> None:
        """Render pages that somebody looks at, by default all; wake those who lack a part."""
        for key in keys or list(self._renders):
            if render := self._renders.get(key):
                self._parts[key] = await self._in(self._now, render, self._present(), self._shop)
                self.renders += 1
        for viewer in self._viewers:
            if self._parts.get(viewer.key, {}) != viewer.seen:
                viewer.wake.set()

    async def _follow(self) -> None:
        """While somebody looks: look again when something was written, and every TICK_S."""
        loop = asyncio.get_running_loop()
        while True:
            await self._watched.wait()
            notified = self._news is None or self._news.fd is not None
            with suppress(TimeoutError):
                await asyncio.wait_for(self._dirty.wait(), TICK_S if notified else POLL_S)
            began = loop.time()
            try:
                async with self._looking:
                    self._dirty.set()
                    await self._refresh()
            except (Fault, OSError, sqlite3.Error) as error:
                complaints.warn(f"{self.store.path}: {error}")
                await asyncio.sleep(AGAIN_S)
            await asyncio.sleep(max(LEAST_S, REST * (loop.time() - began)))
