"""A pull consumer of a stream: entries in batches, so that memory is bounded."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING

from nats import errors

from coord_envelope.errors import Unreachable
from coord_kernel.sync.live.log import PAYLOAD, Entry
from coord_nats import names

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from coord_nats.connection import Connection

_BATCH, _BATCH_BYTES = 500, 4 << 20
_SLOWEST = 64 << 10
"""Bytes a second of the slowest line on which an entry arrives in time."""


class Reader:
    """Used within the connection's loop.

    A callback takes the messages: asking for each one takes 10 times as long.
    """

    def __init__(self, connection: Connection, stream: str, consumer: str) -> None:
        self._connection, self._stream, self._consumer = connection, stream, consumer
        self._inbox = connection.client.new_inbox()
        self._entries: list[Entry] = []
        self._ended, self._more = False, asyncio.Event()

    async def subscribe(self) -> None:
        self._subscription = await self._connection.client.subscribe(self._inbox, cb=self._take)

    async def fetch(self, last: int, seconds: float) -> list[Entry]:
        """The next entries, at least one, up to `last` or the first one behind it.

        Raises Unreachable.
        """
        self._entries, self._ended = [], False
        request = {
            "batch": _BATCH,
            "max_bytes": _BATCH_BYTES,
            "expires": int(seconds * 1_000_000_000),
        }
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}"
        try:
            await self._connection.client.publish(
                subject, json.dumps(request).encode(), reply=self._inbox
            )
            while not self._done(last):
                self._more.clear()
                await self._connection.wait(self._more, seconds + PAYLOAD / _SLOWEST)
        except (errors.Error, OSError, Unreachable) as error:
            if not self._entries:  # those that came before it broke are taken
                raise self._connection.fault(error) from None
        return self._entries

    async def close(self) -> None:
        """Drop the consumer. Never raises: it goes away by itself, too."""
        with suppress(errors.Error, OSError):
            await self._subscription.unsubscribe()
            subject = f"$JS.API.CONSUMER.DELETE.{self._stream}.{self._consumer}"
            await self._connection.client.publish(subject)

    def _done(self, last: int) -> bool:
        if not self._entries:
            return False
        full = len(self._entries) >= _BATCH or self._ended
        return full or int(self._entries[-1].at) >= last

    async def _take(self, message: Msg) -> None:
        if message.headers and "Status" in message.headers:
            # Without an entry yet it is the end of the request before.
            self._ended = bool(self._entries)
        else:
            self._entries.append(entry_of(message))
        self._more.set()


def entry_of(message: Msg) -> Entry:
    """The entry that a consumer has delivered."""
    metadata = message.metadata
    at, ms = str(metadata.sequence.stream), int(metadata.timestamp.timestamp() * 1000)
    return Entry(at, names.ours(message.subject), message.data, ms)
