"""A live remote is a log: what an engine implements, and how it is found.

A log belongs to one project. It is a sequence of entries in one order, each below a subject. An
engine appends, reads and compares; it knows nothing of events, claims and files.

    birth      made once, by the first store that opens the log: a random epoch and the name of the
               store's project. A log that was deleted and made again has another epoch.
    position   where an entry is in the log: a string of the engine's, opaque here. Positions are
               compared for equality only. "" is before the first entry.
    subject    `GIVER/STREAM`, `GIVER/blobs` or `arbiter`. GIVER is a replica id (8 of `0-9 a-z`),
               STREAM the name of a stream (`a-z 0-9 . _ - ~ ! %`, at most 250 bytes; a dot may be
               last, and two may stand together). An engine whose subjects have other rules escapes.
    payload    at most `PAYLOAD` bytes, any bytes

What an engine guarantees:

    1. `put` appends exactly one entry, or raises and appends none, or (Unreachable alone) nobody
       knows. It appends only if `expected` is the position of the subject's last entry: a
       compare-and-swap by the server, on every subject. So a put may be repeated safely: if it was
       appended the first time, the second raises Moved.
    2. An entry whose put was answered is as durable as the engine's documentation says.
    3. `read` skips no entry, and gives entries in one order, the same to
       every reader. What was put by this process before is among them.
    4. `last` is from where puts are decided, never from a copy that may lag behind.
    5. `now` is of the clock that `Entry.ms` is of.
    6. A call ends within `Place.seconds`, plus what it transfers; then it raises Unreachable. After
       that the object is usable: the next call connects again. When it is known that the server
       cannot be reached (connection refused), a call fails at once.
    7. Nothing is retried inside an engine, except to connect again after an idle connection broke.

Errors, all of them from `coord_envelope.errors`, with `where` being `Place.public`:

    Unreachable   no connection, no answer in time, the server is loading or has no room
    Refused       wrong credentials, no permission, a certificate of another authority
    Moved         the compare-and-swap was lost

An engine is a callable `connect(place) -> Log` that loads its client library and does not connect
yet. It is found by an entry point of the group `coord.remotes` whose name is the URL's scheme:

    [project.entry-points."coord.remotes"]
    redis = "coord_redis.log:connect"
    rediss = "coord_redis.log:connect"

Methods are called from one thread; `wake` may be called from any.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GROUP = "coord.remotes"
"""The entry points of engines."""
PAYLOAD = 1 << 20
"""Bytes that a payload never reaches: NATS counts headers, too, and its usual limit is 1 MiB."""
ARBITER = "arbiter"
"""The subject of the arbiter's stream: every store appends to it."""
TOLD_S = 300
"""How long a log keeps live events: a store that has some repeats them in time."""
SECONDS = 2.0
"""How long a call may wait for the server."""


class Moved(Exception):
    """The subject's last entry is another one than was expected. Read `last`; parse nothing."""


class Credentials(NamedTuple):
    """Who asks: from the environment or a private file, never from a URL that is stored.

    Never in a message, a log or the journal. Empty fields: none were given.
    """

    user: str = ""
    password: str = ""
    """Or a bearer token."""
    file: str = ""
    """The path of a file in the engine's own form (NATS: *.creds), which only the user can read."""


class Place(NamedTuple):
    """Where a log is, and how to get there."""

    url: str
    """Without password: `SCHEME://[USER@]HOST[:PORT]/NAME`. NAME has no slash."""
    name: str
    """The log's name, the URL's path: 1 to 64 of `a-z 0-9 . _ -`, beginning and ending with a
    letter or digit."""
    project: str
    """The store's project, for the log's birth."""
    credentials: Credentials = Credentials()
    seconds: float = SECONDS

    @property
    def public(self) -> str:
        """For messages."""
        return self.url


class Birth(NamedTuple):
    """What the first `open` of a log has written, once; and where the log begins."""

    epoch: str
    project: str
    first: str = ""
    """Not written: where the log's first entry is now. A log that was cut begins later."""


class Entry(NamedTuple):
    """One entry of a log."""

    at: str
    """Its position."""
    subject: str
    payload: bytes
    ms: int
    """When the server appended it: Unix milliseconds of the server's clock."""


class Log(Protocol):
    """One log on a server."""

    def open(self) -> Birth:
        """Connect, and make the log if there is none; its birth.

        May be called again: a mirror asks after each reconnect whether the log is still the same.
        Raises Unreachable, Refused.
        """

    def read(self, at: str) -> Iterator[Entry]:
        """The entries from this position on, inclusive, to the end as of the call, or further.

        "": from the first one on.
        If there is no entry at the position, those behind the place where it was, or all that there
        are: the caller looks whether the first one is the one it knows. Memory is bounded, however
        many there are. Raises Unreachable, Refused, also between two entries.
        """

    def put(self, subject: str, expected: str, payload: bytes) -> str:
        """Append an entry if the subject's last one is at `expected` ("": none); its position.

        Raises Moved, Refused, Unreachable (it may have been appended).
        """

    def last(self, subject: str) -> Entry | None:
        """The subject's last entry. Raises Unreachable, Refused."""

    def now(self) -> int:
        """The server's clock, Unix milliseconds. Raises Unreachable, Refused."""

    def tell(self, replica: str, payload: bytes) -> None:
        """Keep this for TOLD_S, in place of this replica's last payload; "" ends it.

        Beside the log: it need not outlive the server. Raises Unreachable, Refused.
        """

    def told(self) -> dict[str, bytes]:
        """The payload of each replica's last `tell`, if less than TOLD_S old.

        Raises Unreachable, Refused.
        """

    def follow(self, wake: Callable[[], None]) -> None:
        """Call `wake` when entries may have come behind what was read, or after a `tell`.

        Until `close`. Also when the connection breaks and when it is back. Too many calls are
        harmless, and calls that come late cost only time, never an entry: `read` gives all. Never
        raises.
        """

    def heard(self, at: str) -> list[Entry] | None:
        """Entries right behind this position that the follower received, without a request.

        None: that is not known, and `read` says it. See `heard.Heard`. An engine may lack this.
        Never raises.
        """

    def close(self) -> None:
        """Let go of the connection. Idempotent, never raises."""
