"""Live events through a live remote: which a store tells, and what it does with those of others.

1. A store tells the lines of its own live streams that matter now: the last beat of each session,
   if it is recent, and the events of leases whose time is not over. All together replace what it
   told before, so nothing is to be deleted; the remote forgets them after TOLD_S.
2. What others tell is appended to `live/`, as the writers' own bytes, by rising `seq`. A stream of
   another replica has holes there. It is pruned as a live stream of one's own, and never synced.
3. Only beats and leases are taken, of the replica that tells them, and never those of this store.
"""

from __future__ import annotations

import os

from coord_envelope import event, world
from coord_kernel.journal import live
from coord_kernel.store import disk
from coord_kernel.streams import changes
from coord_kernel.streams.rows import SEGMENT
from coord_kernel.streams.stream import SUFFIX, Stream
from coord_kernel.sync import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from coord_envelope.event import Event
    from coord_kernel.store.directory import Store

RECENT_MS = 10 * 60 * 1000
"""How long a beat is sent."""
MOST = 256 << 10
"""Bytes that a store tells: of more, the newest."""
_TAIL = 256 << 10
"""Bytes at the end of a live stream that are looked at."""
_LIVE = "+live"
"""The end of a live stream's name."""
_ENDS = ("lease.released", "lease.expired", "lease.lost")


def own(store: Store) -> bytes:
    """The lines to tell now."""
    replicas = store.replicas()
    lines: list[Event] = []
    for name in store.listdir("live"):
        if name.endswith(tuple(f"~{replica}{_LIVE}" for replica in replicas[-1:])):
            lines += matter(_tail(store, name), world.now_ms())
    lines.sort(key=lambda line: line.id)
    data: list[bytes] = []
    size = 0
    for line in reversed(lines):
        size += len(line.raw) + 1
        if size > MOST:
            break
        data.append(line.raw + b"\n")
    return b"".join(reversed(data))


def matter(events: Iterable[Event], now_ms: int) -> list[Event]:
    """Of one writer's live events, those that say how things are now. Pure and total."""
    beats: dict[str, Event] = {}
    leases: dict[str, list[Event]] = {}
    for line in events:
        recent = now_ms - world.parse_ts(line["ts"]) < RECENT_MS
        if line["type"].startswith("lease."):
            refs = line.get("refs")
            about = refs.get("lease_id") if isinstance(refs, dict) else None
            if isinstance(about, str):
                leases.setdefault(about, []).append(line)
        elif line["type"] == "agent.seen" and recent:
            beats[str(line["actor"].get("session_id", ""))] = line
    running = [line for lines in leases.values() if _runs(lines, now_ms) for line in lines]
    return [*beats.values(), *running]


def _runs(lines: list[Event], now_ms: int) -> bool:
    """Is the lease held, or has it ended just now?"""
    last, ttl_ms = lines[-1], lines[-1]["body"].get("ttl_ms")
    if last["type"] in _ENDS or type(ttl_ms) is not int:
        ttl_ms = RECENT_MS
    return now_ms - world.parse_ts(last["ts"]) < min(ttl_ms, live.KEPT_MS)


def _tail(store: Store, name: str) -> list[Event]:
    stream = Stream(store, "live", name)
    data = b""
    for first in reversed(stream.segments()):
        file = f"{first:012d}{SUFFIX}"
        data = (store.load("live", name, file, most=1 << 26) or b"") + data
        if len(data) > _TAIL:
            break
    if len(data) > _TAIL:
        data = data[data.find(b"\n", len(data) - _TAIL) + 1 :]
    return list(_events(data, name))


def _events(data: bytes, name: str = "") -> Iterable[Event]:
    for row in data.split(b"\n")[:-1]:
        known = event.parse_or_reason(row)
        if not isinstance(known, str) and (not name or known["writer"] == name):
            yield known


def state(store: Store) -> object:
    """What differs when this store may have something else to tell."""
    found = []
    for name in store.listdir("live"):
        if name.endswith(tuple(f"~{replica}{_LIVE}" for replica in store.replicas()[-1:])):
            files = store.listdir("live", name)
            last = max(files, default="")
            found.append((name, last, _size(store, name, last) if last else 0))
    return found


def _size(store: Store, *names: str) -> int:
    fd = store.open("live", *names)
    try:
        return os.fstat(fd).st_size
    finally:
        os.close(fd)


def take(store: Store, replica: str, data: bytes) -> int:
    """Append what a replica tells to its live streams here; how many lines were new."""
    if replica in store.all_replicas():
        return 0
    by_writer: dict[str, list[Event]] = {}
    for line in _events(data[:MOST]):
        writer = line["writer"]
        plain = writer.removesuffix(_LIVE)
        theirs = writer == f"{plain}{_LIVE}" and plain.endswith(f"~{replica}")
        sound = theirs and layout.stream_ok(plain)
        if sound and (line["type"] == "agent.seen" or line["type"].startswith("lease.")):
            by_writer.setdefault(writer, []).append(line)
    count = 0
    for writer, lines in by_writer.items():
        with store.lock():
            last = Stream(store, "live", writer).last()
            new = [line for line in lines if not last or line["seq"] > last["seq"]]
            if new:
                _append(store, writer, new)
                live.prune(store, writer, lambda: event.MAX_SEQ)
        count += len(new)
    return count


def _append(store: Store, writer: str, lines: list[Event]) -> None:
    segment = max(Stream(store, "live", writer).segments(), default=0)
    names = ("live", writer, f"{segment:012d}{SUFFIX}")
    if not segment or len(store.load(*names, most=SEGMENT) or b"") >= SEGMENT:
        names = ("live", writer, f"{lines[0]['seq']:012d}{SUFFIX}")
    changes.add(store, f"live/{writer}")
    fd = store.open(*names, flags=os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        disk.write_all(fd, b"".join(line.raw + b"\n" for line in lines))
    finally:
        os.close(fd)
