"""The engine of ws:// and wss://: the log of a coord-relay, as `coord_kernel.sync.live.log` has it.

A connection asks, another one, in a thread, hears that there is more. Positions are numbers that
begin at 1. The relay's certificate must be of an authority of this system, or of the one in the
file that SSL_CERT_FILE names.
"""

from __future__ import annotations

import contextlib
import os
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import connect as websocket

from coord_envelope.errors import Refused, Unreachable
from coord_kernel.sync.live.heard import Heard
from coord_kernel.sync.live.log import Birth, Entry, Moved
from coord_relay import frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from websockets.sync.client import ClientConnection

    from coord_kernel.sync.live.log import Place

_PAUSES = (0.1, 0.3, 1.0, 3.0)
"""Seconds between attempts to follow again; the last one repeats."""
_HALF_OPEN_S = 20.0
"""A follower hears a ping in this time, or is connected again."""


def connect(place: Place) -> RelayLog:
    """The log of a URL. Does not connect yet."""
    return RelayLog(place)


class RelayLog:
    """A `Log` on a coord-relay."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._connection: ClientConnection | None = None
        self._follower: _Follower | None = None
        self._epoch = ""

    def open(self) -> Birth:
        birth = self._opened() if self._usable else self._connect()
        self._epoch = birth.epoch
        return birth

    def read(self, at: str) -> Iterator[Entry]:
        place = int(at) if at.isdecimal() else 1
        head, body = self._ask({"do": "read", "at": place})
        end = _number(head, "end")
        if place > end:
            place = 1
            head, body = self._ask({"do": "read", "at": place})
        while place <= end:
            entries = _entries(head, body)
            if not entries:
                raise self._broken("it left out entries")
            for entry in entries:
                if int(entry.at) > end:
                    return
                yield entry
            place = int(entries[-1].at) + 1
            if place <= end:
                head, body = self._ask({"do": "read", "at": place})

    def put(self, subject: str, expected: str, payload: bytes) -> str:
        if expected and not expected.isdecimal():
            raise Moved(subject)
        request = {"do": "put", "subject": subject, "expected": int(expected or 0)}
        head, _ = self._ask(request, payload)
        if "moved" in head:
            raise Moved(subject)
        return str(_number(head, "at"))

    def last(self, subject: str) -> Entry | None:
        entries = _entries(*self._ask({"do": "last", "subject": subject}))
        return entries[0] if entries else None

    def now(self) -> int:
        return _number(self._ask({"do": "now"})[0], "now")

    def tell(self, replica: str, payload: bytes) -> None:
        self._ask({"do": "tell", "replica": replica}, payload)

    def told(self) -> dict[str, bytes]:
        entries = _entries(*self._ask({"do": "told"}))
        return {entry.subject: entry.payload for entry in entries}

    def follow(self, wake: Callable[[], None]) -> None:
        if not self._follower:
            self._follower = _Follower(self._place, wake)

    def heard(self, at: str) -> list[Entry] | None:
        return self._follower.heard.behind(at) if self._follower else None

    def close(self) -> None:
        self._drop()
        if self._follower:
            self._follower.stop()
            self._follower = None

    def _ask(self, head: dict[str, Any], body: bytes = b"") -> tuple[dict[str, Any], bytes]:
        if not self._usable and self._connect().epoch != self._epoch:
            raise self._broken("its log is another one")  # what is known of it is not true
        return self._asked(head, body)

    def _asked(self, head: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        assert self._connection
        seconds = self._place.seconds
        try:
            self._connection.send(frames.pack(head, body))
            # The relay answers once it has all of a request.
            patience = seconds + len(body) / frames.SLOWEST
            head, body = frames.answered(partial(self._connection.recv, patience))
        except (OSError, WebSocketException, ValueError) as error:
            self._drop()
            raise _fault(self._place, error) from None
        if "error" in head:
            what = f"the relay says: {str(head.get('what'))[:200]}"
            if head["error"] == Refused.code:
                raise Refused(what, where=self._place.public)
            raise self._broken(what)
        return head, body

    @property
    def _usable(self) -> bool:
        return self._connection is not None and self._connection.close_code is None

    def _connect(self) -> Birth:
        self._drop()
        self._connection = _connected(self._place)
        return self._opened()

    def _opened(self) -> Birth:
        head, _ = self._asked({"do": "open", "project": self._place.project}, b"")
        first = str(head.get("first") or "")
        return Birth(str(head.get("epoch")), str(head.get("project")), first)

    def _drop(self) -> None:
        if self._connection:
            _close(self._connection)
            self._connection = None

    def _broken(self, what: str) -> Unreachable:
        self._drop()
        return Unreachable(what, where=self._place.public)


class _Follower(threading.Thread):
    """Calls `wake` when there is more, and when the connection breaks or is back."""

    def __init__(self, place: Place, wake: Callable[[], None]) -> None:
        super().__init__(name="relay-follower", daemon=True)
        self._place, self._wake, self.heard = place, wake, Heard()
        self._stopped = threading.Event()
        self._connection: ClientConnection | None = None
        self.start()

    def stop(self) -> None:
        self._stopped.set()
        if connection := self._connection:
            _close(connection)
        self.join(self._place.seconds)

    def run(self) -> None:
        failures = 0
        while not self._stopped.is_set():
            try:
                self._connection = _connected(self._place)
                failures = 0
                self._hear(self._connection)
            except Exception:  # wake is what there is to say; the next call says why
                failures += 1
            self.heard.lost()
            if self._stopped.is_set():
                return
            self._wake()
            self._stopped.wait(_PAUSES[min(failures, len(_PAUSES)) - 1] if failures else 0)

    def _hear(self, connection: ClientConnection) -> None:
        with connection:
            connection.send(frames.pack({"do": "open", "project": self._place.project}))
            frames.unpack(connection.recv())
            connection.send(frames.pack({"do": "follow", "at": 0}))
            end = -1
            while not self._stopped.is_set():
                head, body = frames.answered(connection.recv)
                if "error" in head:
                    return
                entries = _entries(head, body)
                if end != _number(head, "end"):
                    if not entries or int(entries[0].at) != end + 1 or not self.heard.add(entries):
                        self.heard.begin(str(head["end"]))
                    end = head["end"]
                self._wake()


def _connected(place: Place) -> ClientConnection:
    """Raises Unreachable, Refused."""
    url = place.url
    password = place.credentials.password
    headers = {"Authorization": f"Bearer {password}"} if password else {}
    try:
        connection = websocket(
            url,
            additional_headers=headers,
            compression=None,
            proxy=None,
            open_timeout=place.seconds,
            close_timeout=0.2,
            ping_interval=_HALF_OPEN_S / 2,
            ping_timeout=_HALF_OPEN_S / 2,
            max_size=frames.LARGEST,
        )
        return connection.__enter__()  # a connection of its own would be an iterator of attempts
    except (OSError, WebSocketException, ValueError) as error:
        raise _fault(place, error) from None


def _fault(place: Place, error: Exception) -> Unreachable | Refused:
    from ssl import SSLCertVerificationError, SSLError

    where = place.public
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        body = (error.response.body or b"").decode("utf-8", "replace").strip()[:200]
        kind = Refused if status in (401, 403) else Unreachable
        return kind(f"the relay says {status}{body and ': '}{body}", where=where)
    if isinstance(error, SSLCertVerificationError):
        return Refused(
            f"its certificate is not valid: {error.verify_message}",
            where=where,
            todo="SSL_CERT_FILE names the file of your own authority",
        )
    if isinstance(error, SSLError):
        return Unreachable(f"no TLS: {error.reason or error}", where=where)
    if isinstance(error, TimeoutError):
        return Unreachable("no answer in time", where=where)
    number = (isinstance(error, OSError) and error.errno) or 0
    what = os.strerror(number) if number > 0 else str(error) or type(error).__name__
    return Unreachable(what.lower(), where=where)


def _close(connection: ClientConnection) -> None:
    with contextlib.suppress(OSError, WebSocketException):
        connection.close()


def _entries(head: dict[str, Any], body: bytes) -> list[Entry]:
    entries, begin = [], 0
    for at, subject, ms, size in frames.rows(head):
        entries.append(Entry(str(at), subject, body[begin : begin + size], ms))
        begin += size
    return entries


def _number(head: dict[str, Any], name: str) -> int:
    value = head.get(name)
    if not isinstance(value, int):
        raise Unreachable("not a relay of this release: no answer to the question")
    return value
