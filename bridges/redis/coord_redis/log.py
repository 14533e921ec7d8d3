"""A log on Redis: one stream, and one script that compares and appends.

    coord:{NAME}:birth   hash: the epoch and the project, written once
    coord:{NAME}:log     stream: an entry has `s` (the subject) and `p` (the payload)
    coord:{NAME}:ends    hash: subject → the id of its last entry
    coord:{NAME}:live    stream: what replicas tell, `r` and `p`; trimmed, and gone after TOLD_S

The braces keep the keys in one slot of a cluster. Ids are the server's: a position is one, its
first part the server's clock in ms. Entries are never trimmed (no MAXLEN), and the server must not
evict keys (`maxmemory-policy noeviction`). An answer means that the entry is on the disk only with
`appendfsync always`.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from functools import partial

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from coord_envelope.errors import Refused, Unreachable
from coord_kernel.sync.live.heard import Heard
from coord_kernel.sync.live.log import TOLD_S, Birth, Entry, Moved

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from coord_kernel.sync.live.log import Place

_PUT = """
if redis.call('EXISTS', KEYS[3]) == 0 then return redis.error_reply('UNBORN') end
local last = redis.call('HGET', KEYS[2], ARGV[1]) or ''
if last ~= ARGV[2] then return '' end
local at = redis.call('XADD', KEYS[1], '*', 's', ARGV[1], 'p', ARGV[3])
redis.call('HSET', KEYS[2], ARGV[1], at)
return at
"""
_OPEN = """
redis.call('HSETNX', KEYS[3], 'epoch', ARGV[1])
redis.call('HSETNX', KEYS[3], 'project', ARGV[2])
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
return {redis.call('HGET', KEYS[3], 'epoch'), redis.call('HGET', KEYS[3], 'project'),
        first[1] and first[1][1] or ''}
"""
_END = """
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
return last[1] and last[1][1] or ''
"""
_BATCH = 16
"""Entries of one answer: at most 8 MiB, whatever chunks they have."""
_PAUSE_S = 0.2
_BLOCK_MS = 5_000
_DENIED = ("NOPERM", "WRONGPASS", "NOAUTH", "invalid username-password", "Authentication")


class RedisLog:
    """One log on a Redis server; see `coord_kernel.sync.live.log.Log`."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._keys = [f"coord:{{{place.name}}}:{key}" for key in ("log", "ends", "birth")]
        self._live = f"coord:{{{place.name}}}:live"
        self._client = self._connected(place.seconds)
        scripts = map(self._client.register_script, (_PUT, _OPEN, _END))
        self._put, self._open, self._end = scripts
        self._done = threading.Event()
        self._follower: redis.Redis | None = None
        self._heard = Heard()

    def _connected(self, seconds: float) -> redis.Redis:
        """A client of its own connection. Nothing is repeated: the caller knows what may be."""
        who, url = self._place.credentials, self._place.url
        # Older versions of the client do not compare the name by default.
        tls = {"ssl_check_hostname": True} if url.startswith("rediss:") else {}
        return redis.Redis.from_url(
            url.rpartition("/")[0],
            username=who.user or None,
            password=who.password or None,
            socket_timeout=seconds,
            socket_connect_timeout=self._place.seconds,
            retry=Retry(NoBackoff(), 0),
            **tls,
        )

    def open(self) -> Birth:
        epoch = os.urandom(8).hex()
        asked = [epoch, self._place.project]
        answer = self._ask(lambda: self._open(keys=self._keys, args=asked))
        return Birth(*(part.decode() for part in answer))

    def read(self, at: str) -> Iterator[Entry]:
        low = at or "-"
        while True:
            rows = self._ask(partial(self._client.xrange, self._keys[0], low, "+", _BATCH))
            for row in rows:
                yield _entry(row)
            if len(rows) < _BATCH:
                return
            low = f"({rows[-1][0].decode()}"

    def put(self, subject: str, expected: str, payload: bytes) -> str:
        answer = self._ask(lambda: self._put(keys=self._keys, args=[subject, expected, payload]))
        if not answer:
            raise Moved
        return str(answer.decode())

    def last(self, subject: str) -> Entry | None:
        at = self._ask(lambda: self._client.hget(self._keys[1], subject))
        rows = self._ask(lambda: self._client.xrange(self._keys[0], at, at)) if at else []
        return _entry(rows[0]) if rows else None

    def now(self) -> int:
        seconds, micros = self._ask(self._client.time)
        return int(seconds * 1000 + micros // 1000)

    def tell(self, replica: str, payload: bytes) -> None:
        oldest = self.now() - 1000 * TOLD_S
        told = self._client.pipeline(transaction=False)
        told.xadd(self._live, {"r": replica, "p": payload}, minid=oldest)
        told.expire(self._live, TOLD_S)
        self._ask(told.execute)

    def told(self) -> dict[str, bytes]:
        oldest = self.now() - 1000 * TOLD_S
        rows = self._ask(lambda: self._client.xrange(self._live, oldest, "+"))
        last = {fields[b"r"].decode(): fields[b"p"] for _, fields in rows}
        return {replica: payload for replica, payload in last.items() if payload}

    def follow(self, wake: Callable[[], None]) -> None:
        self._follower = self._connected(_BLOCK_MS / 1000 + self._place.seconds)
        threading.Thread(target=self._watch, args=(self._follower, wake), daemon=True).start()

    def heard(self, at: str) -> list[Entry] | None:
        return self._heard.behind(at)

    def _watch(self, client: redis.Redis, wake: Callable[[], None]) -> None:
        log, live, position, told = self._keys[0].encode(), self._live.encode(), b"", b"$"
        while not self._done.is_set():
            try:
                if not position:
                    position = self._end(keys=self._keys, client=client) or b"0"
                    self._heard.begin(position.decode())
                    wake()
                wanted: dict[Any, Any] = {log: position, live: told}
                rows = _rows(client.xread(wanted, count=_BATCH, block=_BLOCK_MS))
                if entries := rows.get(log):
                    position = entries[-1][0]
                    if not self._heard.add([_entry(row) for row in entries]):
                        position = b""
                if tellings := rows.get(live):
                    told = tellings[-1][0]
                if rows:
                    wake()
            except (redis.RedisError, OSError, ValueError):
                position = b""
                self._heard.lost()
                if not self._done.is_set():
                    wake()
                    time.sleep(_PAUSE_S)

    def close(self) -> None:
        self._done.set()
        for client in filter(None, (self._client, self._follower)):
            with contextlib.suppress(Exception):
                client.close()

    def _ask(self, question: Callable[[], Any]) -> Any:
        """The server's answer; its errors as ours."""
        where = self._place.public
        try:
            return question()
        except redis.RedisError as error:
            what = str(error).split("\n")[0][:200]
            if isinstance(error, redis.AuthenticationError) or what.startswith(_DENIED):
                raise Refused(f"the server refuses: {_plain(what)}", where=where) from None
            if "CERTIFICATE_VERIFY_FAILED" in what:
                raise Refused("the server's certificate is not trusted", where=where) from None
            if what.startswith("UNBORN"):
                raise Unreachable("the log was deleted", where=where) from None
            raise Unreachable(_plain(what), where=where) from None


def _rows(answer: Any) -> dict[bytes, list[Any]]:
    """Of an XREAD, the entries of each stream; RESP3 answers with a map, and lists of lists."""
    streams = answer.items() if isinstance(answer, dict) else answer or ()
    return {
        bytes(key): rows if isinstance(rows[0][0], bytes) else rows[0]
        for key, rows in streams
        if rows
    }


def _entry(row: Any) -> Entry:
    at, fields = row
    position = at.decode()
    return Entry(position, fields[b"s"].decode(), fields[b"p"], int(position.partition("-")[0]))


def _plain(what: str) -> str:
    """A message of the client without the address, which is said already, and its full stop."""
    return re.sub(r"^Error \S+ (while )?connecting to \S+\. ?", "", what).rstrip(".").lower()


def connect(place: Place) -> RedisLog:
    """The log at a place; not connected yet."""
    return RedisLog(place)
