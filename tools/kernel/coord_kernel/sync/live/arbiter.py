"""The arbiter's stream on a log: where the arbiter lives, and the lines that continue it.

1. The arbiter lives in one place: at a live remote (named by its log's epoch) or in git
   (`git`). Its stream says where: the last `coord.arbiter_moved` of it names the place. A
   stream without one lives in git; a stream that is born at a live remote begins with one.
2. Only who asks the place where it lives adds to it, by compare-and-swap there.
3. A move seals: the line is added at the old place, and the new one continues the same file.
   Whoever asks the old place reads the seal before it can add.
4. `taken` by force it is a new stream, whose first line says so (`"forced": true`). Of several
   arbiter streams the one with the newest such line counts, and the others are dead. Of several
   without one none counts: nothing is confirmed until a person decides.
"""

from __future__ import annotations

from typing import NamedTuple

from coord_envelope import event
from coord_kernel.rules import claims
from coord_kernel.store.directory import fresh_id
from coord_kernel.streams.rows import SEGMENT
from coord_kernel.streams.stream import SUFFIX, Stream
from coord_kernel.sync import settle
from coord_kernel.sync.live.chunk import Chunk
from coord_kernel.sync.live.intake import whole_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coord_envelope.codec import Json
    from coord_envelope.event import Event
    from coord_kernel.store.directory import Store

MOVED = "coord.arbiter_moved"
GIT = "git"
_MARK = f'"type":"{MOVED}"'.encode()


class Seat(NamedTuple):
    """Where the arbiter lives."""

    stream: str
    """Its stream; "": there is none yet."""
    place: str
    """`git` or the epoch of a log; "": nowhere yet."""
    diverged: bool = False
    """Are there several streams, none of which counts, or two histories of one?"""


def seat(store: Store) -> Seat:
    """Where the arbiter lives, as far as this store has taken in."""
    names = [name for name in store.listdir("journal") if claims.is_arbiter(name)]
    plain = [name for name in names if "!" not in name]
    if not plain:
        return Seat("", "", diverged=bool(names))
    moves = {name: [_place(move) for move in _moves(store, name)] for name in plain}
    forced = [(move[2], name) for name in plain for move in moves[name] if move[1]]
    if len(plain) > 1 and not forced:
        return Seat("", "", diverged=True)
    name = max(forced)[1] if forced else plain[0]
    place = moves[name][-1][0] if moves[name] else GIT
    return Seat(name, place, diverged=any(other.startswith(f"{name}!") for other in names))


def _place(move: Event) -> tuple[str, bool, str]:
    to = move["body"].get("to")
    return to if isinstance(to, str) else GIT, move["body"].get("forced") is True, move.id


def _moves(store: Store, name: str) -> Iterator[Event]:
    """The events of a stream that say where the arbiter lives, in order."""
    for file in store.listdir("journal", name):
        data = store.load("journal", name, file, most=1 << 26) or b""
        at = data.find(_MARK)
        while at >= 0:
            line = data[data.rfind(b"\n", 0, at) + 1 : data.find(b"\n", at)]
            known = event.parse_or_reason(line)
            if not isinstance(known, str) and known["type"] == MOVED and known["writer"] == name:
                yield known
            at = data.find(_MARK, at + 1)


def moved(to: str, forced: bool = False) -> Json:
    """The draft of the line that says where the arbiter lives from then on."""
    body: Json = {"to": to, "agent_id": "agent:arbiter", **({"forced": True} if forced else {})}
    return {"type": MOVED, "body": body}


def lines(store: Store, stream: str, drafts: Sequence[Json], replica: str) -> Chunk:
    """The chunk that adds these events to the arbiter's stream; "": a new stream.

    From the journal: everything that the log has of the stream must have been taken in.
    """
    writer = stream or f"arbiter.main~{fresh_id()}"
    known = Stream(store, "journal", writer)
    last, segment = known.last(), max(known.segments(), default=0)
    path = f"journal/{writer}/{segment:012d}{SUFFIX}"
    size = whole_size(store, path) if segment else 0
    if not segment or size >= SEGMENT:
        path, size = f"journal/{writer}/{last['seq'] + 1 if last else 1:012d}{SUFFIX}", 0
    data = b""
    for draft in drafts:
        last = settle.entry(store, writer, last, draft)
        data += last.raw + b"\n"
    return Chunk(path, size, 0, replica, data)
