"""The engine of nats:// and tls://: a log is a JetStream stream, a position its sequence number.

- The epoch and the project are metadata of the stream, written when it is made. A stream that an
  administrator has made without them has its time of creation as the epoch.
- A put expects a last sequence of its subject. The server says with two codes that there is
  another one: 10071, and 10164 where several write at once.
- Reading is by a pull consumer that is made for it, up to the last sequence that the leader had; a
  few entries are asked of the leader one by one, which is quicker. (A push consumer of large
  entries is cut off by the server; a direct get may lag behind.)
- A follower is another connection with a push consumer. The server drops such a consumer when it
  restarts: no heartbeat for some seconds, and it is made again. So it is if more comes at once than
  is taken in.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from coord_envelope.errors import Refused, Unreachable
from coord_kernel.sync.live.heard import Heard
from coord_kernel.sync.live.log import TOLD_S, Birth, Entry, Moved
from coord_nats import names
from coord_nats.connection import Connection, Loop
from coord_nats.reader import Reader, entry_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from nats.aio.msg import Msg

    from coord_kernel.sync.live.log import Place

T = TypeVar("T")
_MOVED = (10071, 10164)
_IN_USE, _NOT_FOUND, _NO_MESSAGE = 10058, 10059, 10037
_NO_ROOM = (10023, 10028, 10047, 10077, 10110)
_IDLE_NS = 30_000_000_000
"""A consumer that nobody asks is dropped after this."""
_BEAT_S = 5
_FEW = 4
"""Entries that are got one by one: a consumer costs three requests."""
_PAUSES = (0.1, 0.3, 1.0, 3.0)
"""Seconds between attempts to follow again; the last one repeats."""


def connect(place: Place) -> NatsLog:
    """The log of a URL. Does not connect yet."""
    return NatsLog(place)


class NatsLog:
    """A `Log` on JetStream."""

    def __init__(self, place: Place) -> None:
        self._place, self._stream = place, names.stream(place.name)
        self._loop: Loop | None = None
        self._connection: Connection | None = None
        self._follower: asyncio.Task[None] | None = None
        self._epoch = ""
        self._hears, self._heard = False, Heard()
        """May what others tell be heard? It needs permissions of its own."""

    def open(self) -> Birth:
        birth = self._run(self._open())
        self._epoch = birth.epoch
        return birth

    def read(self, at: str) -> Iterator[Entry]:
        first, last = self._run(self._bounds())
        place = int(at) if at.isdecimal() else 0
        place = max(first, place if place <= last else 0)
        if last - place < _FEW:
            all_subjects = names.subjects(self._place.name)
            while place <= last:
                next_ = self._run(self._get({"seq": place, "next_by_subj": all_subjects}))
                if not next_:
                    return
                yield next_
                place = int(next_.at) + 1
            return
        reader = self._run(self._reader(place))
        try:
            while place <= last:
                for entry in (entries := self._run(reader.fetch(last, self._place.seconds))):
                    if int(entry.at) <= last:
                        yield entry
                place = int(entries[-1].at) + 1
        finally:
            self._run(reader.close())

    def put(self, subject: str, expected: str, payload: bytes) -> str:
        return self._run(self._put(subject, expected, payload))

    def last(self, subject: str) -> Entry | None:
        name = names.subject(self._place.name, subject)
        return self._run(self._get({"last_by_subj": name}))

    def now(self) -> int:
        info = self._run(self._info())
        return _ms(str(info.get("ts")))

    def tell(self, replica: str, payload: bytes) -> None:
        self._run(self._tell(replica, payload))

    def told(self) -> dict[str, bytes]:
        return self._run(self._told())

    def follow(self, wake: Callable[[], None]) -> None:
        if not self._follower:
            loop = self._running().loop
            following = asyncio.run_coroutine_threadsafe(self._begin_following(wake), loop)
            self._follower = following.result()

    def heard(self, at: str) -> list[Entry] | None:
        return self._heard.behind(at)

    def close(self) -> None:
        if self._loop:
            self._run(self._end())
            self._loop.stop()
            self._loop = self._follower = None

    # What follows runs in the loop's thread.

    async def _open(self) -> Birth:
        connection = self._usable or await self._connected()
        answer = await connection.api(f"STREAM.INFO.{self._stream}")
        if _code(answer) == _NOT_FOUND:
            answer = await connection.api(f"STREAM.CREATE.{self._stream}", self._config())
            if _code(answer) == _IN_USE:  # another store was first
                answer = await connection.api(f"STREAM.INFO.{self._stream}")
        return self._birth(self._sound(answer))

    def _birth(self, info: dict[str, Any]) -> Birth:
        metadata = info["config"].get("metadata") or {}
        epoch = metadata.get("coord.epoch") or str(info["created"])
        state = info["state"]
        first = str(state["first_seq"]) if state["messages"] else ""
        return Birth(epoch, metadata.get("coord.project") or self._place.project, first)

    def _config(self) -> dict[str, Any]:
        return {
            "name": self._stream,
            "subjects": [names.subjects(self._place.name)],
            "retention": "limits",
            "storage": "file",
            "discard": "new",
            "num_replicas": 1,
            "max_age": 0,
            "deny_delete": True,
            "deny_purge": True,
            "allow_direct": True,
            "metadata": {"coord.epoch": os.urandom(16).hex(), "coord.project": self._place.project},
        }

    async def _info(self) -> dict[str, Any]:
        return self._sound(await (await self._current()).api(f"STREAM.INFO.{self._stream}"))

    async def _bounds(self) -> tuple[int, int]:
        """The first and last sequence, as the leader has them."""
        state = (await self._info())["state"]
        return max(1, state["first_seq"]), state["last_seq"] if state["messages"] else 0

    async def _put(self, subject: str, expected: str, payload: bytes) -> str:
        connection = await self._current()
        if len(payload) + 512 > connection.client.max_payload:
            raise Unreachable(
                f"max_payload of the server is {connection.client.max_payload}",
                where=self._place.public,
                todo="set it to 1MB or more",
            )
        headers = {
            "Nats-Expected-Stream": self._stream,
            "Nats-Expected-Last-Subject-Sequence": expected or "0",
        }
        name = names.subject(self._place.name, subject)
        answer = json.loads((await connection.request(name, payload, headers)).data)
        if _code(answer) in _MOVED:
            raise Moved(subject)
        return str(self._sound(answer)["seq"])

    async def _get(self, request: dict[str, Any]) -> Entry | None:
        """One entry, from the leader."""
        answer = await (await self._current()).api(f"STREAM.MSG.GET.{self._stream}", request)
        if _code(answer) == _NO_MESSAGE:
            return None
        message = self._sound(answer)["message"]
        payload = base64.b64decode(message.get("data") or "")
        subject = names.ours(message["subject"])
        return Entry(str(message["seq"]), subject, payload, _ms(message["time"]))

    async def _tell(self, replica: str, payload: bytes) -> None:
        connection = await self._current()
        await self._open_live(connection)
        subject = names.live_subject(self._place.name, replica)
        self._sound(json.loads((await connection.request(subject, payload, None)).data))

    async def _told(self) -> dict[str, bytes]:
        connection = await self._current()
        info = await self._open_live(connection)
        stream = names.live_stream(self._place.name)
        place, last = info["state"]["first_seq"], info["state"]["last_seq"]
        told = dict[str, bytes]()
        while place <= last and info["state"]["messages"]:
            request = {"seq": place, "next_by_subj": names.live_subject(self._place.name, "*")}
            answer = await connection.api(f"STREAM.MSG.GET.{stream}", request)
            if _code(answer) == _NO_MESSAGE:
                break
            message = self._sound(answer)["message"]
            if payload := base64.b64decode(message.get("data") or ""):
                told[message["subject"].rpartition(".")[2]] = payload
            place = int(message["seq"]) + 1
        return told

    async def _open_live(self, connection: Connection) -> dict[str, Any]:
        """The stream of live events, made if there is none."""
        stream = names.live_stream(self._place.name)
        answer = await connection.api(f"STREAM.INFO.{stream}")
        if _code(answer) == _NOT_FOUND:
            config = {
                "name": stream,
                "subjects": [names.live_subject(self._place.name, "*")],
                "storage": "memory",
                "max_msgs_per_subject": 1,
                "max_age": TOLD_S * 1_000_000_000,
                "num_replicas": 1,
            }
            answer = await connection.api(f"STREAM.CREATE.{stream}", config)
        info = self._sound(answer)
        self._hears = True
        return info

    async def _reader(self, place: int) -> Reader:
        """A pull consumer from a place on."""
        connection = await self._current()
        config = {
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": place,
            "ack_policy": "none",
            "replay_policy": "instant",
            "inactive_threshold": _IDLE_NS,
            "mem_storage": True,
            "num_replicas": 1,
        }
        reader = Reader(connection, self._stream, await self._made(connection, config))
        await reader.subscribe()
        return reader

    async def _made(self, connection: Connection, config: dict[str, Any]) -> str:
        request = {"stream_name": self._stream, "config": config}
        answer = await connection.api(f"CONSUMER.CREATE.{self._stream}", request)
        return str(self._sound(answer)["name"])

    async def _begin_following(self, wake: Callable[[], None]) -> asyncio.Task[None]:
        return asyncio.create_task(self._follow(wake))

    async def _follow(self, wake: Callable[[], None]) -> None:
        failures = 0
        while True:
            connection = Connection(self._place)
            try:
                await connection.connect()
                failures = 0
                await self._hear(connection, wake)
            except (Unreachable, Refused):
                failures += 1
            finally:
                self._heard.lost()
                await connection.close()
            wake()
            await asyncio.sleep(_PAUSES[min(max(failures, 1), len(_PAUSES)) - 1])

    async def _hear(self, connection: Connection, wake: Callable[[], None]) -> None:
        """Wake for each new entry. Raises Unreachable when the connection or consumer is gone.

        Or when more comes than is taken in: then it is read, and followed again.
        """
        heard, inbox = asyncio.Event(), connection.client.new_inbox()
        told, last, full = names.live_subject(self._place.name, ""), "", False

        async def hear(message: Msg) -> None:
            nonlocal last, full
            heard.set()
            if full or (message.headers and "Status" in message.headers):
                return
            if not message.subject.startswith(told):
                entry = entry_of(message)
                before = str(int(entry.at) - 1)
                if before != last:
                    self._heard.begin(before)
                last, full = entry.at, not self._heard.add([entry])
            wake()

        await connection.client.subscribe(inbox, cb=hear)
        config = {
            "deliver_policy": "new",
            "deliver_subject": inbox,
            "ack_policy": "none",
            "replay_policy": "instant",
            "idle_heartbeat": _BEAT_S * 1_000_000_000,
            "inactive_threshold": _IDLE_NS,
            "mem_storage": True,
            "num_replicas": 1,
        }
        await self._made(connection, config)
        if self._hears:
            await connection.client.subscribe(names.live_subject(self._place.name, "*"), cb=hear)
        wake()  # what came before the consumer did
        while not full:
            heard.clear()
            await connection.wait(heard, _BEAT_S * 2.5)

    async def _end(self) -> None:
        if self._follower:
            self._follower.cancel()
            with suppress(asyncio.CancelledError):
                await self._follower
        await self._drop()

    async def _current(self) -> Connection:
        """The connection; a new one if it broke, to the same log."""
        if self._usable:
            return self._usable
        connection = await self._connected()
        answer = self._sound(await connection.api(f"STREAM.INFO.{self._stream}"))
        if self._birth(answer).epoch != self._epoch:
            await self._drop()  # what is known of the log is not true of this one
            raise Unreachable("its log is another one", where=self._place.public)
        return connection

    @property
    def _usable(self) -> Connection | None:
        return self._connection if self._connection and self._connection.usable else None

    async def _connected(self) -> Connection:
        await self._drop()
        connection = Connection(self._place)
        await connection.connect()
        self._connection = connection
        return connection

    async def _drop(self) -> None:
        if self._connection:
            await self._connection.close()
            self._connection = None

    def _sound(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The answer, unless it is an error."""
        error = answer.get("error")
        if not error:
            return answer
        what = str(error.get("description"))
        if error.get("err_code") in _NO_ROOM:
            what = f"it has no room: {what}"
        raise Unreachable(f"JetStream says: {what}", where=self._place.public)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._running().run(work)

    def _running(self) -> Loop:
        self._loop = self._loop or Loop()
        return self._loop


def _code(answer: dict[str, Any]) -> int:
    error = answer.get("error")
    return int(error.get("err_code", 0)) if isinstance(error, dict) else 0


def _ms(stamp: str) -> int:
    """Unix milliseconds of RFC 3339 with nanoseconds."""
    seconds, _, fraction = stamp.rstrip("Z").partition(".")
    whole = datetime.fromisoformat(f"{seconds}+00:00").timestamp()
    return int(whole) * 1000 + int(f"{fraction[:3]:0<3}")
