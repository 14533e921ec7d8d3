"""Is there anything to sync? One look at the refs of a remote, and nothing loaded for more."""

from __future__ import annotations

from coord_envelope import codec, world
from coord_envelope.errors import Unreachable
from coord_kernel.sync import settings
from coord_kernel.sync.wire import Wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_kernel.journal.journal import Journal
    from coord_kernel.store.directory import Store
    from coord_kernel.sync.remote import Remote


def quiet(journal: Journal, remote: Remote, seconds: float) -> bool:
    """Are remote and store as the last sync left them? False also if that is unknown.

    Bytes changed in place, without a change of length, are noticed only by a sync that has
    something to do.
    """
    store, last = journal.store, settings.last(journal.store)
    here = remote.name, journal.end(live=False), count(store)
    if here != (last["remote"], last["end"], last["files"]):
        return False
    try:
        tips = Wire(store, remote, seconds).look()
    except Unreachable:
        return False
    same = tips == last["refs"]
    if not same:
        remote.looked = tips
    else:
        # Not durable: the disk costs as much as the look, and without the file a sync does it all.
        done = last | {"ts": world.format_ts(world.now_ms())}
        store.save(codec.dumps(done), "local", "synced", durable=False)
    return bool(same)


def remember(journal: Journal, remote: Remote, refs: dict[str, str], end: Json) -> None:
    """Save what the remote holds after a sync, and the end of the journal that was given."""
    done = {
        "remote": remote.name,
        "ts": world.format_ts(world.now_ms()),
        "end": end,
        "files": count(journal.store),
        "refs": refs,
    }
    journal.store.save(codec.dumps(done), "local", "synced")


def count(store: Store) -> int:
    """How many files of the journal and blobs there are."""
    streams = (("journal", name) for name in store.listdir("journal"))
    blobs = (("blobs", "sha256", name) for name in store.listdir("blobs", "sha256"))
    return sum(len(store.listdir(*place)) for place in (*streams, *blobs))
