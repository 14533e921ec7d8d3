"""Signing what this store has written: one signature a sync, over all that is new.

1. What the current key's chain of this replica covers is known from its statements; `mine`
   remembers it. With another key everything is signed again, from the beginning.
2. This store has written its own streams, those of its former replica ids up to where a remote
   gave more of them, and the lines that it is about to add to the arbiter's stream.
3. These bytes are durable before they are signed. A statement that is about bytes that never
   come says nothing.
4. The statement is an event of `bridge.signer~REPLICA`. It is written before what it covers is
   given, so that whoever takes that in has both.
"""

from __future__ import annotations

import os

from coord_envelope import codec, world
from coord_envelope.errors import Fault, Refused
from coord_envelope.event import Event
from coord_envelope.platform import sha256, suppress
from coord_kernel.rules import signing
from coord_kernel.rules.signing import Claimed
from coord_kernel.store import locate
from coord_kernel.store.disk import fdatasync
from coord_kernel.streams import trusted
from coord_kernel.streams.stream import SUFFIX, Stream
from coord_kernel.sync import layout
from coord_kernel.sync.places import Configuration
from coord_kernel.sync.signed import agreed
from coord_kernel.sync.signed.keygen import Key
from coord_kernel.sync.signed.lock import locked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from coord_kernel.journal.journal import Journal
    from coord_kernel.store.directory import Store

    Added = tuple[str, int, bytes]
    """Lines that are new: the file, where they begin, and all its bytes up to their end."""


class _RenewedError(Exception):
    """The store has taken another replica id meanwhile."""


_MINE = (*trusted.DIRECTORY, "mine")


class Signer:
    """The key of the user who syncs, and what it has signed of this store."""

    def __init__(self, journal: Journal, named: str | None = None) -> None:
        """`named` is git's `user.signingkey`, if it is known. Raises Refused if there is no key."""
        self._journal, self._store = journal, journal.store
        if named is None:
            named = Configuration(self._store).signing_key()
        if not named:
            raise Refused(
                "no signing key",
                where="user.signingkey",
                todo="`git config user.signingkey ~/.ssh/id_ed25519.pub`",
            )
        self._key = Key(named, locate.root(self._store.path))

    def principals(self) -> list[str]:
        """As whom the key may write, as far as this store knows; none: as nobody."""
        signers = agreed.signers(self._store)
        if self._key.public in signers.revoked:
            return []
        return signers.principals(self.root(), _now())

    def unfit(self) -> str:
        """Why nobody would believe what the key signs now, as far as this store knows; ""."""
        signers = agreed.signers(self._store)
        if self._key.public in signers.revoked:
            return "this key was revoked"
        if self.root() not in signers.entries:
            return "this key is not in allowed_signers"
        return "" if self.principals() else "this key is not valid now"

    def root(self) -> str:
        """The key that allowed_signers has: this one, or the first of those rotated to it."""
        return self._mine(self._replica())["root"] or self._key.public

    def sign(self, added: Sequence[Added] = (), after: str = "") -> bool:
        """Sign what is not signed yet, and these lines; `after`: the key file that takes its place.

        False: there was nothing. Raises Refused if the user does not give the signature, or if
        nobody would believe it: what follows in that stream would not count either. Raises
        TryAgain.
        """
        named = Key(after, os.getcwd()).public if after else ""
        with locked(self._store, "sign.lock"):
            while True:
                replica = self._replica()
                mine = self._mine(replica)
                files = [*self._files(mine["files"]), *map(_claimed, added)]
                if not files and not after:
                    return False
                self._refuse_unfit()
                with suppress(_RenewedError):
                    self._write(replica, mine, files, named)
                    return True

    def _refuse_unfit(self) -> None:
        if self._store.signers() and (why := self.unfit()):
            raise Refused(
                f"{why}, so nothing is signed or given",
                where="user.signingkey",
                todo="configure a key that allowed_signers has now, or correct it and `ev trust`",
            )

    def pending(self) -> bool:
        """Is there something to sign?"""
        mine = self._mine(self._replica())
        return next(self._unsigned(mine["files"]), None) is not None

    def _write(self, replica: str, mine: Any, files: Sequence[Claimed], after: str) -> None:
        head = {
            "project": self._store.project,
            "replica": replica,
            "time": max(_now(), mine["time"]),
            "key": self._key.public,
        }
        drafts, previous = [], mine["tip"] or "-"
        parts = [
            files[at : at + signing.MOST_FILES] for at in range(0, len(files), signing.MOST_FILES)
        ]
        for number, part in enumerate(parts or [()], 1):
            last = number == max(len(parts), 1)
            named = {"next": after} if after and last else {}
            text = signing.text({**head, "previous": previous, **named}, part)
            body = {"statement": text}
            if last:
                body["signature"] = self._key.sign(text)
            drafts.append({"type": signing.TYPE, "body": body})
            previous = signing.digest(text)
        actor = {"agent_id": signing.ACTOR}
        with self._journal.transaction(actor, allow_secret=True) as t:
            events = [t.add(draft) for draft in drafts]
            if not events[-1]["writer"].endswith(f"~{replica}"):
                raise _RenewedError  # nothing is written: others would refuse it
        ends = {path: end for path, _, end, _ in files if path.split("/")[1] in self._names()}
        saved = {
            **mine,
            "key": after or self._key.public,
            "tip": previous,
            "time": head["time"],
            "seq": events[-1]["seq"],
            "files": {**mine["files"], **ends},
        }
        self._store.save(codec.dumps(saved), *_MINE, durable=False)

    # ---- what was signed

    def _mine(self, replica: str) -> Any:
        """The current key's chain of this replica: `tip`, `time` and signed `files` of it."""
        stream = Stream(self._store, "journal", f"{signing.STREAM}{replica}")
        last = stream.last()
        seq = last["seq"] if last else 0
        mine = trusted.loaded(self._store, *_MINE)
        known = {name: mine.get(name) for name in ("replica", "key", "seq", "project")}
        wanted = {
            "replica": replica,
            "key": self._key.public,
            "seq": seq,
            "project": self._store.project,
        }
        if known != wanted:
            mine = {**wanted, "tip": "", "time": "", "root": "", "files": {}, **self._read(replica)}
        return mine

    def _read(self, replica: str) -> dict[str, Any]:
        """The same, from the statements themselves."""
        last: dict[str, str] = {}
        chains: dict[str, Any] = {}
        for item in Stream(self._store, "journal", f"{signing.STREAM}{replica}").read():
            if not isinstance(item, Event) or item["type"] != signing.TYPE:
                continue
            with suppress(ValueError):
                statement = signing.read(item["body"])
                before = chains.get(statement.previous, {"root": statement.key, "files": {}})
                ends = {claimed.path: claimed.end for claimed in statement.files}
                chains[statement.digest] = {
                    "root": before["root"],
                    "tip": statement.digest,
                    "time": statement.time,
                    "files": {**before["files"], **ends},
                }
                if statement.project == self._store.project:
                    last[statement.key] = ""
                    last[statement.next or statement.key] = statement.digest
        if tip := last.get(self._key.public):
            return dict(chains[tip])
        if tip == "":
            raise Refused(
                "was replaced by another key",
                where="user.signingkey",
                todo="configure that one: `git config user.signingkey FILE`",
            )
        return {"root": self._key.public}

    # ---- what is to be signed

    def _files(self, signed: dict[str, int]) -> Iterator[Claimed]:
        for path, begin, data in self._unsigned(signed):
            fd = self._store.open(*path.split("/"))
            try:
                fdatasync(fd)
            finally:
                os.close(fd)
            yield _claimed((path, begin, data))

    def _unsigned(self, signed: dict[str, int]) -> Iterator[Added]:
        """What was written here and is not signed: file, where it begins, and the bytes up to its
        end."""
        own = trusted.loaded(self._store, *trusted.OWN)
        for name in self._names():
            for first in Stream(self._store, "journal", name).segments():
                path = f"journal/{name}/{first:012d}{SUFFIX}"
                begin = signed.get(path, 0)
                if _size(self._store, path) <= begin:
                    continue
                data = layout.whole(
                    self._store.load(*path.split("/"), most=layout.SEGMENT_BYTES) or b"", path
                )
                if name in own:
                    data = data[: self._end(name, first, own[name])]
                if len(data) > begin:
                    yield path, begin, data

    def _end(self, name: str, first: int, seq: int) -> int:
        """Where the last event before this seq ends in a segment."""
        part, end = Stream(self._store, "journal", name, first), 0
        part.seq = first - 1
        for item in part.read_segment(sealed=True):
            if isinstance(item, Event) and item["seq"] < seq:
                end = part.offset
        return end

    def _names(self) -> list[str]:
        """The streams that this store writes, or has written under a former id."""
        mine = tuple(f"~{replica}" for replica in self._store.all_replicas())
        return [
            name
            for name in self._store.listdir("journal")
            if name.endswith(mine) and not name.startswith(signing.STREAM)
        ]

    def _replica(self) -> str:
        with self._store.lock():
            return self._store.replica()


def unfit(signer: Signer | None, store: Store) -> str:
    """Why this store, if it knows signers, may not confirm; "": it may."""
    if not store.signers():
        return ""
    if signer is None:
        return "this store does not sign"
    try:
        return signer.unfit()
    except Fault as fault:
        return fault.what


def _claimed(added: Added) -> Claimed:
    path, begin, data = added
    hashing = sha256(len(data))
    hashing.update(data)
    return Claimed(path, begin, len(data), str(hashing.hexdigest()))


def _size(store: Store, path: str) -> int:
    fd = store.open(*path.split("/"))
    try:
        return os.fstat(fd).st_size
    finally:
        os.close(fd)


def _now() -> str:
    return world.format_ts(world.now_ms())
