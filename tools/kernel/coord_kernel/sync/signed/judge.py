"""Whose statements are good, and which events they cover. Costs what is new.

1. If the user agreed to another allowed_signers file, everything is judged again.
2. The new statements of each `bridge.signer~REPLICA` stream, forks too, are taken in order up
   to the first that does not follow (`signing.follows`), or waits for the last good one of a
   revoked key. What cannot count because of a revocation is passed over (`signing.passed`).
3. Of each chain among them the newest signature is verified. If it is good, so are all before
   it, since each names the one before it. If not, the last good one is found by bisection. What
   is behind it in that stream is refused for good: its author's own go on in a fork.
4. What a good statement says of a file is matched with the copies of the file that are here, by
   the digest of its beginning. What matches nothing waits: the bytes may come later.
5. Events that match belong to the key. If they had been judged before, the era changes.
6. All that is here has been judged now.
"""

from __future__ import annotations

import bisect
import os

from coord_envelope import codec, event
from coord_envelope.errors import Unreachable
from coord_envelope.event import Event
from coord_envelope.platform import suppress
from coord_kernel.rules import signing
from coord_kernel.streams import changes, trusted
from coord_kernel.streams.stream import SUFFIX, Stream
from coord_kernel.sync.signed import agreed, keygen
from coord_kernel.sync.signed.copies import copies
from coord_kernel.sync.signed.lock import locked
from coord_kernel.views import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from typing import Any

    from coord_kernel.rules.signing import Chain, Signers, Statement
    from coord_kernel.store.directory import Store

    Verify = Callable[[Statement], bool]

WAITING = 4_096
"""Claims about a file whose bytes have not come, at most, of each file."""
_ANY_SEQ = 1 << 62
"""Behind the last of a stream's."""


class Judge:
    """The judgements of a store, as saved last and as `run` leaves them."""

    def __init__(self, store: Store, verify: Verify = keygen.verified) -> None:
        self._store, self._verify = store, verify
        self.warnings: list[str] = []
        self.signers: Signers = agreed.signers(store)
        self.table: dict[str, Any] = {"era": 0, **trusted.loaded(store, *trusted.TABLE)}
        self.state: dict[str, Any] = {}
        self._own = trusted.Trusted(store).refresh().own
        self._anew, self._digest = False, agreed.digest(store)
        self._covered = set[str]()
        rows = (store.load(*trusted.TABLE, most=1 << 28) or b"").split(b"\n")
        with suppress(ValueError, IndexError):
            self.state = codec.loads(rows[1])
        if self.state.get("signers") != self._digest or "keys" not in self.table:
            self.begin()  # there are none in the table of an earlier version

    def begin(self) -> None:
        """Judge everything, from nothing."""
        era, self._anew = self.table["era"] + 1, True
        self.table = {"era": era, "ends": {}, "ranges": {}, "who": [], "keys": []}
        empty: dict[str, Any] = {name: {} for name in ("chains", "streams", "refused", "open")}
        self.state = {"signers": self._digest, **empty, "sizes": {}}

    def run(self, own: bool = True) -> None:
        """Judge what is new, and save it. Without `own` only if something of others is new."""
        sizes = _sizes(self._store)
        known = self.state["sizes"].items()
        if any(sizes.get(name, [0, 0]) < size for name, size in known):
            self.begin()  # something is gone: what stands in its place is not known
        changed = {name for name, size in sizes.items() if self.state["sizes"].get(name) != size}
        if not self._anew and all(not own and self._own(name, _ANY_SEQ) for name in changed):
            return
        writers = {name.partition("!")[0] for name in changed}
        names = [
            name
            for name in sizes
            if name.startswith(signing.STREAM) and name.partition("!")[0] in writers
        ]
        said = set[str]()
        try:
            reached: dict[str, int] | None = None
            while reached != self.state["streams"]:
                reached = dict(self.state["streams"])
                said.update(path for name in names for path in self._stream(name))
        except Unreachable as fault:  # they are verified by a later sync
            self.warnings.append(f"signatures are not verified: {fault.what}; {fault.todo}")
            sizes |= {name: [0, 0] for name in names}
        again = {path for path in self.state["open"] if path.split("/")[1] in writers}
        ends = dict(self.table["ends"])
        for path in sorted(said | again):
            self._match(path, [name for name in sizes if _of(name, path)], ends)
        for name in changed:
            last = Stream(self._store, "journal", name).last()
            self.table["ends"][name] = last["seq"] if last else 0
        self.state["sizes"] = sizes
        self._save(changed | self._covered)

    def _save(self, changed: Collection[str]) -> None:
        data = codec.dumps(self.table) + b"\n" + codec.dumps(self.state) + b"\n"
        self._store.save(data, *trusted.TABLE)
        with self._store.lock():
            for name in changed:
                changes.add(self._store, f"journal/{name}")

    # ---- statements

    def _stream(self, name: str) -> list[str]:
        """The files that the new good statements of a stream name."""
        if name in self.state["refused"]:
            return []
        batch, seqs, refusal = self._linked(name)
        if any(statement.key in self.signers.revoked for statement, _ in batch):
            statements = [statement for statement, _ in batch]
            known = {*self._counting(name), *(statement.digest for statement in statements)}
            never = signing.passed(statements, self.signers, known)
            places = [at for at, (each, _) in enumerate(batch) if each.digest not in never]
            seqs = [*(seqs[at] for at in places), *seqs[len(batch) :]]
            batch = [batch[at] for at in places]
        good = signing.sound([statement for statement, _ in batch], self.signers)
        if good < len(batch):
            refusal = signing.RefusedError("its key was revoked", later=True)
        proved, cut = self._signed([statement for statement, _ in batch[:good]])
        refusal, paths = cut or refusal, []
        for (statement, chain), seq in zip(batch[:proved], seqs, strict=False):
            self.state["chains"][f"{statement.replica} {chain['root']}"] = chain
            self.state["streams"][name] = seq
            paths += self._said(statement, chain["root"])
        if refusal and not refusal.later:
            at = seqs[proved]
            self.state["refused"][name] = [at, str(refusal)]
            self.warnings.append(f"{name}: statement {at} {refusal}; refused")
        return paths

    def _linked(
        self, name: str
    ) -> tuple[list[tuple[Statement, Chain]], list[int], signing.RefusedError | None]:
        """The new statements of a stream that follow others, each with its chain; the seqs of these
        and of the next one, and why that one does not."""
        chains: dict[str, Chain] = {chain["tip"]: chain for chain in self.state["chains"].values()}
        batch: list[tuple[Statement, Chain]] = []
        seqs = list[int]()
        seq = self.state["streams"].get(name, 0)
        for item in Stream(self._store, "journal", name).after(seq).read():
            if not isinstance(item, Event) or item["seq"] <= seq:
                continue
            seqs.append(item["seq"])
            try:
                if item["type"] != signing.TYPE:
                    raise signing.RefusedError("is of another type")
                statement = signing.read(item["body"])
                before = statement.previous
                if before != "-" and before not in chains:
                    chains |= self._counting(name)
                chain = signing.follows(
                    statement, chains.get(before), self.signers, self._store.project, name
                )
            except signing.RefusedError as refusal:
                return batch, seqs, refusal
            except ValueError as reason:
                return batch, seqs, signing.RefusedError(str(reason))
            chains[statement.digest] = chain
            batch.append((statement, chain))
        return batch, seqs, None

    def _counting(self, name: str) -> dict[str, Chain]:
        """The chains up to each statement of this stream's writer that counts. Reads all of them:
        only where a chain divides."""
        chains: dict[str, Chain] = {}
        for stream, end in sorted(self.state["streams"].items()):
            if stream.partition("!")[0] != name.partition("!")[0]:
                continue
            for item in Stream(self._store, "journal", stream).read():
                if not isinstance(item, Event) or item["seq"] > end:
                    continue
                statement = signing.read(item["body"])
                before = chains.get(statement.previous)
                chains[statement.digest] = {
                    "key": statement.next or statement.key,
                    "root": before["root"] if before else statement.key,
                    "tip": statement.digest,
                    "time": statement.time,
                }
        return chains

    def _signed(self, batch: Sequence[Statement]) -> tuple[int, signing.RefusedError | None]:
        """How many of the statements, from the first on, a good signature proves."""
        count = 0
        for run in signing.runs(batch):
            end = len(run)
            for key in dict.fromkeys(statement.key for statement in run):
                # A key proves what it has signed, and not what the one before it has.
                places = [at for at in range(end) if run[at].key == key]
                proved = self._proved(run, places)
                unproved = [at for at in places if at >= proved]
                end = unproved[0] if unproved else end
            count += end
            if end < len(run):
                later = not any(statement.signature for statement in run[end:])
                return count, signing.RefusedError("has no good signature", later=later)
        return count, None

    def _proved(self, batch: Sequence[Statement], places: Sequence[int]) -> int:
        """The place behind the last of these statements of one key whose signature is good."""
        signed = [at for at in places if batch[at].signature]
        if not signed or self._verify(batch[signed[-1]]):
            return signed[-1] + 1 if signed else 0
        low, high = 0, len(signed) - 1  # signed[:low] are good, signed[high] is not
        while low < high:
            middle = (low + high) // 2
            if self._verify(batch[signed[middle]]):
                low = middle + 1
            else:
                high = middle
        return signed[low - 1] + 1 if low else 0

    def _said(self, statement: Statement, root: str) -> list[str]:
        pair = self.signers.principals(root, statement.time), root
        pairs = list(zip(self.table["who"], self.table["keys"], strict=True))
        who = pairs.index(pair) if pair in pairs else len(pairs)
        if who == len(pairs):
            self.table["who"].append(pair[0])
            self.table["keys"].append(root)
        for path, begin, end, sha256 in statement.files:
            waiting = self.state["open"].setdefault(path, [])
            waiting.append([begin, end, sha256, who])
            del waiting[:-WAITING]
        return [claimed.path for claimed in statement.files]

    # ---- bytes

    def _match(self, path: str, streams: Sequence[str], before: dict[str, int]) -> None:
        """Match the claims about a file with the copies of it that are here."""
        import hashlib

        waiting = sorted(self.state["open"].get(path, []), key=lambda row: row[1])
        for copy in copies(self._store, path, streams) if waiting else ():
            digest, at, rest = hashlib.sha256(), 0, []
            data = memoryview(copy.data)
            for begin, end, sha256, who in waiting:
                if end > len(data):
                    rest.append([begin, end, sha256, who])
                    continue
                digest.update(data[at:end])
                at = end
                if digest.hexdigest() != sha256:
                    rest.append([begin, end, sha256, who])
                    continue
                for stream, part in copy.parts(begin, end):
                    self._cover(stream, part, who, before)
            waiting = rest
        if waiting:
            self.state["open"][path] = waiting
        else:
            self.state["open"].pop(path, None)

    def _cover(self, stream: str, data: bytes, who: int, before: dict[str, int]) -> None:
        rows = [row for row in (_event(data), _event(data, last=True)) if row]
        if not rows:
            return
        first, last = rows[0]["seq"], rows[-1]["seq"]
        self._covered.add(stream)
        if first <= before.get(stream, 0) and not self._anew and not self._own(stream, first):
            self.table["era"] += 1
            self._anew = True  # once is enough
        known = self.table["ranges"].setdefault(stream, {}).setdefault(str(who), [])
        at = bisect.bisect_left(known, [first, last])
        at -= bool(at) and known[at - 1][1] >= first - 1
        end = at
        while end < len(known) and known[end][0] <= last + 1:
            first, last = min(first, known[end][0]), max(last, known[end][1])
            end += 1
        known[at:end] = [[first, last]]


def judge(store: Store, own: bool = True) -> list[str]:
    """Judge what is new in a store that knows signers; sentences for stderr.

    Without `own` nothing is done if only this store has written something.
    """
    if not store.signers():
        return []
    with locked(store, "judge.lock"):
        judging = Judge(store)
        judging.run(own)
    shown.purge(store)  # a redaction may count now
    return judging.warnings


def _of(stream: str, path: str) -> bool:
    return stream.partition("!")[0] == path.split("/")[1].partition("!")[0]


def _sizes(store: Store) -> dict[str, list[int]]:
    """The newest segment of each durable stream, and how many bytes it has."""
    sizes = {}
    for name in store.listdir("journal"):
        if name.startswith("."):
            continue
        first = max(Stream(store, "journal", name).segments(), default=0)
        if first:
            with suppress(OSError):
                path = os.path.join(store.path, "journal", name, f"{first:012d}{SUFFIX}")
                sizes[name] = [first, os.stat(path, follow_symlinks=False).st_size]
    return sizes


def _event(data: bytes, last: bool = False) -> Event | None:
    """The first event of these lines, or the last one."""
    rows: Iterable[bytes] = data.split(b"\n")[:-1]
    for row in reversed(rows) if last else rows:  # type: ignore[call-overload]
        item = event.parse_or_reason(row)
        if isinstance(item, Event):
            return item
    return None
