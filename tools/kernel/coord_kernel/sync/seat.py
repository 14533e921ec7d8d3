"""Where the arbiter lives, as its stream says.

1. The arbiter lives in one place: in git (`git`), or at a live remote, named by its log's
   epoch. The last `coord.arbiter_moved` of its stream names the place. A stream without one
   lives in git; a stream that is born at a live remote begins with one.
2. Only who asks the place where it lives adds to it, by compare-and-swap there.
3. A move seals: the line is added at the old place, and the new one continues the same file.
   Whoever asks the old place reads the seal before it can add.
4. Taken by force it is a new stream, whose first line says so (`"forced": true`). Of several
   arbiter streams the one with the newest such line counts, and the others are dead. Of several
   without one none counts: nothing is confirmed until a person decides.
5. A store that knows signers passes over moves that no key has signed, behind the first line that
   one has; over lines that do not join their stream; and over streams and forks without a signed
   line as long as there is one with it.
"""

from __future__ import annotations

from coord_envelope import event
from coord_envelope.platform import NamedTuple
from coord_kernel.rules import claims
from coord_kernel.store import locate
from coord_kernel.streams.stream import SUFFIX, Stream
from coord_kernel.sync import transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope.codec import Json
    from coord_envelope.event import Event
    from coord_kernel.store.directory import Store
    from coord_kernel.streams.trusted import Trusted

MOVED = "coord.arbiter_moved"
GIT = "git"
_MARK = f'"type":"{MOVED}"'.encode()
_READ: dict[tuple[str, int, bool], tuple[tuple[int, ...], list[Event]]] = {}
"""By stream, segment, and whether signers are known: the mark of the file when it was read, and the
moves in it. For a mirror, which looks at each claim."""


class Seat(NamedTuple):
    """Where the arbiter lives."""

    stream: str
    """Its stream; "": there is none yet."""
    place: str
    """`git` or the epoch of a log; "": nowhere yet."""
    diverged: bool = False
    """Are there several streams that do not count, or two histories of one?"""


def seat(store: Store) -> Seat:
    """Where the arbiter lives, as far as this store has taken in."""
    names = [name for name in store.listdir("journal") if claims.is_arbiter(name)]
    trusted = _trusted(store) if names else None
    if trusted:
        names = [name for name in names if trusted.first(name)] or names
    plain = [name for name in names if "!" not in name]
    if not plain:
        return Seat("", "", diverged=bool(names))
    moves = {
        name: [
            move
            for move in _moves(store, name, trusted is not None)
            if not trusted or trusted.moves(name, move["seq"])
        ]
        for name in plain
    }
    forced = [
        (move.id, name)
        for name in plain
        for move in moves[name]
        if move["body"].get("forced") is True
    ]
    if len(plain) > 1 and not forced:
        only_git = not any(moves.values())
        return Seat("", GIT) if only_git else Seat("", "", diverged=True)
    name = max(forced)[1] if forced else plain[0]
    places = [move["body"].get("to") for move in moves[name]]
    place = places[-1] if places and isinstance(places[-1], str) else GIT
    return Seat(name, place, diverged=any(other.startswith(f"{name}!") for other in names))


def has_clock(store: Store) -> bool:
    """Does the arbiter live, or would it be born, at a live remote, so that its server's clock
    judges what ends?"""
    place = seat(store).place
    names = locate.remotes(store) if not place else []
    return place not in ("", GIT) or bool(names and all(map(transport.live, names)))


def end(store: Store, stream: str) -> int:
    """The seq of the last event of the arbiter's stream that this store holds; 0: none."""
    last = Stream(store, "journal", stream).last() if stream else None
    return int(last["seq"]) if last else 0


def moved(to: str, agent_id: str, forced: bool = False) -> Json:
    """The draft of the line that says where the arbiter lives from then on."""
    body: Json = {"to": to, "agent_id": agent_id, **({"forced": True} if forced else {})}
    return {"type": MOVED, "body": body}


def _trusted(store: Store) -> Trusted | None:
    """Who has signed what; None: this store knows no signers."""
    if not store.signers():
        return None
    from coord_kernel.streams.trusted import Trusted  # only with signers

    return Trusted(store).refresh()


def _moves(store: Store, name: str, signers: bool) -> Iterator[Event]:
    """The events of a stream that say where the arbiter lives, in order."""
    for first in Stream(store, "journal", name).segments():
        mark = store.mark("journal", name, f"{first:012d}{SUFFIX}")
        known = _READ.get((name, first, signers))
        if known is None or known[0] != mark:
            moves = [*_moves_of(store, name, first)]
            if moves and signers:
                from coord_kernel.streams.trusted import joined  # only with signers

                moves = joined(store, name, first, [move.raw for move in moves])
            _READ[name, first, signers] = known = mark, moves
        yield from known[1]


def _moves_of(store: Store, name: str, first: int) -> Iterator[Event]:
    data = store.load("journal", name, f"{first:012d}{SUFFIX}", most=1 << 26) or b""
    at = data.find(_MARK)
    while at >= 0:
        line = data[data.rfind(b"\n", 0, at) + 1 : max(data.find(b"\n", at), 0)]
        known = event.parse_or_reason(line)
        if not isinstance(known, str) and known["type"] == MOVED and known["writer"] == name:
            yield known
        at = data.find(_MARK, at + 1)
