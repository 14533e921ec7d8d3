"""The arbiter as a ref of git: commits that add to its stream, or mend it.

compare-and-swap   git push --force-with-lease=REF:OLD, decided by the server: one wins
the decision       `plan`, by `claims.verdict`, over everything that the fetched refs hold
"""

from __future__ import annotations

from coord_envelope import event
from coord_kernel.rules import claims
from coord_kernel.store.directory import fresh_id
from coord_kernel.streams.rows import SEGMENT
from coord_kernel.streams.stream import SUFFIX
from coord_kernel.sync import layout, settle, tree
from coord_kernel.sync import seat as seats

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_envelope.codec import Json
    from coord_kernel.store.directory import Store
    from coord_kernel.sync.objects import Objects

    Added = tuple[str, int, bytes]
    """A file, where the lines begin that were added to it, and all its bytes."""


def extended(
    store: Store, objects: Objects, tip: str, drafts: Sequence[Json], new: bool = False
) -> tuple[str, Added]:
    """Write the commit that adds these events to the arbiter at `tip` ("": a new one).

    Its id; and the file, where they begin in it, and all its bytes.

    `new`: in a new stream beside those that the tip holds.

    Raises ValueError or IndexError if the tip does not hold a stream that can be continued.
    """
    manifest = tree.manifest(objects, tip) if tip else tree.Manifest()
    known = seats.seat(store).stream
    paths = sorted(
        path
        for path in manifest.files
        if not new and (path.split("/")[1] == known or (not known and _of_arbiter(path)))
    )
    if paths:
        path, data = paths[-1], tree.read(objects, manifest.files[paths[-1]])
        writer, last = path.split("/")[1], event.parse(data.split(b"\n")[-2])
    elif tip and not new:
        raise ValueError("holds no arbiter's stream")
    else:
        writer, path, data, last = f"arbiter.main~{fresh_id()}", "", b"", None
    if len(data) >= SEGMENT or not path:
        data, path = b"", f"journal/{writer}/{last['seq'] + 1 if last else 1:012d}{SUFFIX}"
    begin = len(data)
    for draft in drafts:
        last = settle.entry(store, writer, last, draft)
        data += last.raw + b"\n"
    added = {path: tree.write(objects, "blob", data)}
    commit = _commit(objects, [tip] if tip else [], added, "coord: arbiter")
    return commit, (path, begin, data)


def _of_arbiter(path: str) -> bool:
    return claims.is_arbiter(path.split("/")[1])


def missing(store: Store, objects: Objects, tip: str) -> dict[str, str]:
    """The files of the arbiter's stream of which this store holds more than the arbiter at `tip`.

    Path → blob id; the blobs are written. Such lines came by a replica's ref that took them over.
    Forks are not among them: those are for `merged`.
    """
    files = tree.manifest(objects, tip).files if tip else {}
    more = {}
    for name in store.listdir("journal"):
        if not claims.is_arbiter(name) or "!" in name:
            continue
        for file in store.listdir("journal", name):
            path = f"journal/{name}/{file}"
            data = store.load("journal", name, file, most=layout.SEGMENT_BYTES) or b""
            theirs = tree.read(objects, files[path]) if path in files else b""
            if len(data) > len(theirs) and data.startswith(theirs):
                more[path] = tree.write(objects, "blob", data)
    return more


def restored(objects: Objects, tip: str, files: dict[str, str]) -> str:
    """Write the commit that gives the arbiter at `tip` these files; its id."""
    return _commit(objects, [tip] if tip else [], files, "coord: arbiter again")


def merged(objects: Objects, tip: str, other: str) -> str:
    """Write the commit that continues `tip` and has both as parents; its id."""
    return _commit(objects, [tip, other], {}, "coord: one arbiter again")


def _commit(objects: Objects, parents: list[str], files: dict[str, str], why: str) -> str:
    """A commit that holds what its first parent does, and these files."""
    entries = tree.manifest(objects, parents[0]).entries() if parents else {}
    entries |= {path: tree.regular(oid) for path, oid in files.items()}
    return tree.write_commit(objects, tree.write_tree(objects, entries), parents, why)
