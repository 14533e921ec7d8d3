"""The shared ref that says which claims are confirmed: one stream of events, moved by compare-and-swap only.

    compare-and-swap   git push --force-with-lease=REF:OLD: the server's, one winner
    the decision       claims.verdict, over everything that the fetched refs hold

A tip that is gone, or is not a descendant of the last one seen here, is an accident: what is lost of it is pushed
again before anything is added; two that diverged are for a person to mend (`ev sync --repair-arbiter`).
"""

from __future__ import annotations

from coord_envelope import event, ids, world
from coord_kernel.rules import claims
from coord_kernel.store import stamp
from coord_kernel.store.directory import fresh_id
from coord_kernel.streams.stream import SEGMENT, SUFFIX
from coord_kernel.sync import tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from git.db import GitDB

    from coord_envelope.codec import Json
    from coord_envelope.event import Event
    from coord_kernel.store.directory import Store


def extended(store: Store, objects: GitDB, tip: str, drafts: Sequence[Json]) -> str:
    """Write the commit that adds these events to the arbiter at `tip` ("": a new one); its id.

    Raises ValueError if what is there is no arbiter's stream that can be continued.
    """
    manifest = tree.manifest(objects, tip) if tip else tree.Manifest()
    paths = sorted(path for path in manifest.files if claims.is_arbiter(path.split("/")[1]))
    if paths:
        writer, data = paths[-1].split("/")[1], tree.read(objects, manifest.files[paths[-1]])
        last = event.parse(data.split(b"\n")[-2])
    elif tip:
        raise ValueError("holds no arbiter's stream")
    else:
        writer, data, last = f"arbiter.main~{fresh_id()}", b"", None
    if len(data) >= SEGMENT or not paths:
        data, path = b"", f"journal/{writer}/{last['seq'] + 1 if last else 1:012d}{SUFFIX}"
    else:
        path = paths[-1]
    for one in drafts:
        last = _next(store, writer, last, one)
        data += last.raw + b"\n"
    files = {name: tree.regular(oid) for name, oid in manifest.files.items()} | dict(
        manifest.others
    )
    files[path] = tree.regular(tree.write(objects, "blob", data))
    return tree.write_commit(
        objects, tree.write_tree(objects, files), [tip] if tip else [], "coord: arbiter"
    )


def _next(store: Store, writer: str, last: Event | None, draft: Json) -> Event:
    now = world.now_ms()
    known = stamp.load(store) or 0
    after = ids.tick(max(known, ids.stamp_of(last.id) if last else 0), now)
    actor = {"agent_id": draft["body"]["agent_id"]}
    seq = last["seq"] + 1 if last else 1
    head = (store.project, writer, seq)
    return event.build(draft, ids.mint(after, world.entropy(8)), now, head, actor)


def lost(store: Store, objects: GitDB, tip: str) -> dict[str, str]:
    """What of the arbiter's lines this store holds and the arbiter at `tip` does not: path → blob id, written.

    They came by a replica's ref that took them over. Forks are not among them: those are for `united`.
    """
    files = tree.manifest(objects, tip).files if tip else {}
    found = {}
    for name in store.listdir("journal"):
        for file in (
            store.listdir("journal", name) if claims.is_arbiter(name) and "!" not in name else ()
        ):
            path = f"journal/{name}/{file}"
            data = store.load("journal", name, file, most=tree.SEGMENT_BYTES) or b""
            theirs = tree.read(objects, files[path]) if path in files else b""
            if len(data) > len(theirs) and data.startswith(theirs):
                found[path] = tree.write(objects, "blob", data)
    return found


def restored(objects: GitDB, tip: str, files: dict[str, str]) -> str:
    """Write the commit that gives the arbiter at `tip` these files; its id."""
    manifest = tree.manifest(objects, tip) if tip else tree.Manifest()
    kept = {name: tree.regular(oid) for name, oid in manifest.files.items()} | dict(manifest.others)
    whole = kept | {path: tree.regular(oid) for path, oid in files.items()}
    return tree.write_commit(
        objects, tree.write_tree(objects, whole), [tip] if tip else [], "coord: arbiter again"
    )


def united(objects: GitDB, tip: str, other: str) -> str:
    """Write the commit that goes on from `tip` and has both in its past; its id."""
    manifest = tree.manifest(objects, tip)
    files = {name: tree.regular(oid) for name, oid in manifest.files.items()} | dict(
        manifest.others
    )
    return tree.write_commit(
        objects, tree.write_tree(objects, files), [tip, other], "coord: one arbiter again"
    )


def confirmation(entity: str, claim: str, state: Json) -> Json:
    """The event that confirms a claim on an entity (`NAMESPACE ID`)."""
    kind, _, about = entity.partition(" ")
    said = {
        "claim": claim,
        "n": claims.token(state, claim),
        "agent_id": state["claims"][claim]["agent"],
    }
    return {
        "type": f"{kind}.confirmed",
        "refs": {claims.ENTITY[kind]: about},
        "base": [claim],
        "body": said,
    }


def concession(entity: str, claim: str, state: Json) -> Json:
    """The event by which the loser of a claim learns of it, as mail."""
    kind, _, about = entity.partition(" ")
    winner = (claims.owner(state) or {}).get("agent")
    body = {"claim": claim, "reason": "conceded"} | ({"winner": winner} if winner else {})
    refs, to = {claims.ENTITY[kind]: about}, [state["claims"][claim]["agent"]]
    return {
        "type": f"{kind}.conceded",
        "refs": refs,
        "base": claims.base(state),
        "to": to,
        "body": body,
    }
