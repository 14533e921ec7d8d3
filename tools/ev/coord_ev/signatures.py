"""Who has signed what of a store, and what nobody has: for `ev verify --signatures`."""

from __future__ import annotations

from coord_envelope.errors import No
from coord_envelope.event import Event
from coord_kernel.rules import trust
from coord_kernel.streams.stream import streams
from coord_kernel.streams.trusted import Trusted
from coord_kernel.sync.signed import agreed, keygen
from coord_kernel.sync.signed.judge import Judge
from coord_kernel.sync.signed.lock import locked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope.codec import Json
    from coord_kernel import Store


def verify(store: Store) -> tuple[list[Json], list[str]]:
    """Judge all signatures again, from nothing: a row for each chain, refused statement and stream.

    And sentences for stderr. Raises No if the user agreed to no allowed_signers file.
    """
    if not store.signers():
        raise No("no allowed_signers", todo=f"{agreed.SETTING} in coord.toml, then `ev trust`")
    with locked(store, "judge.lock"):
        judge = Judge(store)
        judge.begin()
        judge.run()
    rows = [
        {
            "chain": name.partition(" ")[0],
            "key": keygen.fingerprint(chain["key"]),
            "principals": judge.signers.principals(chain["root"], chain["time"]),
            "statement": chain["tip"],
            "ts": chain["time"],
        }
        for name, chain in judge.state["chains"].items()
    ]
    rows += [
        {"refused": name, "seq": seq, "reason": reason} for name, seq, reason in judge.refusals()
    ]
    return [*rows, *_streams(store)], judge.warnings


def _streams(store: Store) -> Iterator[Json]:
    """For each stream of another store, how many events each principal has signed, and nobody."""
    trusted = Trusted(store).refresh()
    for stream in streams(store):
        if trusted.end(stream) is None or stream.name.startswith(trust.STREAM):
            continue
        counts: dict[str, int] = {}
        for event in stream.read():
            if isinstance(event, Event) and (judged := trusted.of(event)):
                counts[judged] = counts.get(judged, 0) + 1
        yield {"stream": stream.name, **dict(sorted(counts.items()))}
