"""Whose statements are good, and which events they cover. Costs what is new.

1. If the user agreed to another allowed_signers file, everything is judged again.
2. The new statements of each `bridge.signer~REPLICA` stream, forks too, are taken in order. What
   cannot count whatever comes (`signing.follows`, `signing.passed`) is refused, and what
   names it as the previous one. One whose previous one is not here, or whose revoked key has its
   last good one to come, waits. What follows neither goes on.
3. Of each chain among them the newest signature is verified. If it is good, so are all before
   it, since each names the one before it. If not, the last good one is found by bisection, and
   what is behind it waits for a good one. No bad signature is verified twice.
4. What a good statement says of a file is matched with the copies of the file that are here, by
   the digest of its beginning. What matches nothing waits: the bytes may come later.
5. Events that match belong to the key. If they had been judged before, the era changes.
6. All that is here has been judged now.
"""

from __future__ import annotations

import bisect
import os
from typing import NamedTuple

from coord_envelope import codec
from coord_envelope.errors import Unreachable
from coord_envelope.event import Event
from coord_envelope.platform import suppress
from coord_kernel.rules import signing
from coord_kernel.streams import changes, trusted
from coord_kernel.streams.stream import SUFFIX, Stream
from coord_kernel.sync.signed import agreed, keygen
from coord_kernel.sync.signed.copies import Copy, copies, runs
from coord_kernel.sync.signed.lock import locked
from coord_kernel.views import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from typing import Any

    from coord_kernel.rules.signing import Chain, Signers, Statement
    from coord_kernel.store.directory import Store
    from coord_kernel.streams.lines import KnownSegments

    Verify = Callable[[Statement], bool]

_UNPROVED = "has no good signature"
WAITING = 4_096
"""Claims about a file whose bytes have not come, at most, of each file."""
_FORM = 2
"""Of what is saved: another one is judged from nothing."""
_ANY_SEQ = 1 << 62
"""Behind the last of a stream's."""


class _Row(NamedTuple):
    """A statement in its stream, and its chain up to it."""

    seq: int
    statement: Statement
    chain: Chain


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
        self._counted = 0
        """Statements that count, of those judged by `run`."""
        self._covered = set[str]()
        self._segments: KnownSegments | None = None
        rows = (store.load(*trusted.TABLE, most=1 << 28) or b"").split(b"\n")
        with suppress(ValueError, IndexError):
            self.state = codec.loads(rows[1])
        if self.state.get("signers") != self._digest or self.state.get("form") != _FORM:
            self.begin()

    def begin(self) -> None:
        """Judge everything, from nothing."""
        era, self._anew = self.table["era"] + 1, True
        self.table = {"era": era, "ends": {}, "ranges": {}, "who": [], "keys": []}
        names = ("chains", "streams", "ahead", "refused", "doubted", "bad", "open", "sizes")
        self.state = {"signers": self._digest, "form": _FORM, **{name: {} for name in names}}

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
            reached = -1
            while reached != self._counted:
                reached = self._counted
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
        """The files that the new good statements of a stream name.

        Of the state `streams` has the seq up to which nothing waits, and `ahead` the statements
        that count behind it: digest → seq. `refused` are those that never will, `doubted` those
        without a good signature: digest → seq and reason, which is empty if nobody need know.
        """
        rows, waiting, last = self._linked(name)
        if any(row.statement.key in self.signers.revoked for row in rows):
            statements = [row.statement for row in rows]
            known = {*self._counting(name), *(statement.digest for statement in statements)}
            never = signing.passed(statements, self.signers, known)
            for row in rows:
                if row.statement.digest in never:
                    self._refuse(name, row.statement.digest, row.seq, "")
            rows = [row for row in rows if row.statement.digest not in never]
        sound = signing.sound([row.statement for row in rows], self.signers)
        waiting += [row.seq for row in rows[sound:]]
        rows, paths = rows[:sound], list[str]()
        proved, doubted = self._signed([row.statement for row in rows])
        ahead = self.state["ahead"].get(name, {})
        for place, (seq, statement, chain) in enumerate(rows):
            if place not in proved:
                waiting.append(seq)
                continue
            self._counted += 1
            ahead[statement.digest] = seq
            self.state["chains"][f"{statement.replica} {chain['root']}"] = chain
            paths += self._said(statement, chain["root"])
        before = self.state["doubted"].pop(name, {})
        for row in (rows[place] for place in doubted):
            those = self.state["doubted"].setdefault(name, {})
            those[row.statement.digest] = [row.seq, _UNPROVED]
            if row.statement.digest not in before:
                self.warnings.append(f"{name}: statement {row.seq} {_UNPROVED}; refused")
        end = min(waiting) - 1 if waiting else last
        self.state["streams"][name] = end
        self.state["ahead"][name] = {digest: seq for digest, seq in ahead.items() if seq > end}
        return paths

    def _linked(self, name: str) -> tuple[list[_Row], list[int], int]:
        """The new statements of a stream that follow others that count, or each other; the seqs of
        those that wait; and the seq of the last event."""
        chains: dict[str, Chain] = {chain["tip"]: chain for chain in self.state["chains"].values()}
        ahead, rows, waiting = self.state["ahead"].get(name, {}), list[_Row](), list[int]()
        begin = last = self.state["streams"].get(name, 0)
        whole = False
        for item in Stream(self._store, "journal", name).after(begin).read():
            if not isinstance(item, Event) or item["seq"] <= begin:
                continue
            last, digest = item["seq"], f"seq {item['seq']}"
            try:
                if item["type"] != signing.TYPE:
                    raise signing.RefusedError("is of another type")
                statement = signing.read(item["body"])
                digest, before = statement.digest, statement.previous
                if digest in ahead or digest in self.state["refused"].get(name, {}):
                    continue
                if before != "-" and before not in chains and not whole:
                    chains |= self._counting(name)
                    whole = True  # once: what counts does not change here
                if before not in chains and (gone := self._gone(name, before)):
                    self._refuse(name, digest, last, gone[1] and "follows a refused statement")
                    continue
                chain = signing.follows(
                    statement, chains.get(before), self.signers, self._store.project, name
                )
            except ValueError as reason:
                if isinstance(reason, signing.RefusedError) and reason.later:
                    waiting.append(last)
                else:
                    self._refuse(name, digest, last, str(reason))
                continue
            chains[digest] = chain
            rows.append(_Row(last, statement, chain))
        return rows, waiting, last

    def _refuse(self, name: str, digest: str, seq: int, reason: str) -> None:
        known = self.state["refused"].setdefault(name, {})
        if reason and digest not in known:
            self.warnings.append(f"{name}: statement {seq} {reason}; refused")
        known[digest] = [seq, reason]

    def _gone(self, name: str, digest: str) -> list[Any] | None:
        """The seq and reason of a refused statement of this stream's writer."""
        for stream, known in self.state["refused"].items():
            if stream.partition("!")[0] == name.partition("!")[0] and digest in known:
                row: list[Any] = known[digest]
                return row
        return None

    def refusals(self) -> Iterator[tuple[str, int, str]]:
        """The statements that do not count: stream, seq, reason."""
        for known in (self.state["refused"], self.state["doubted"]):
            for name, rows in known.items():
                yield from ((name, seq, reason) for seq, reason in rows.values() if reason)

    def _counting(self, name: str) -> dict[str, Chain]:
        """The chains up to each statement of this stream's writer that counts. Reads all of them:
        only where a chain divides, or one behind it waits."""
        counting: dict[str, Statement] = {}
        for stream, end in self.state["streams"].items():
            if stream.partition("!")[0] != name.partition("!")[0]:
                continue
            refused, ahead = self.state["refused"].get(stream, {}), self.state["ahead"][stream]
            for item in Stream(self._store, "journal", stream).read():
                if not isinstance(item, Event) or item["type"] != signing.TYPE:
                    continue
                if item["seq"] > end and not ahead:
                    continue
                with suppress(ValueError):  # nobody has judged what is behind `end`
                    statement = signing.read(item["body"])
                    judged = item["seq"] <= end or statement.digest in ahead
                    if judged and statement.digest not in refused:
                        counting[statement.digest] = statement
        return signing.linked(counting)

    def _signed(self, batch: Sequence[Statement]) -> tuple[set[int], list[int]]:
        """The places of the statements that a good signature proves; and of the first one in each
        run that has a bad one."""
        proved, doubted, unproved, begin = set[int](), list[int](), set[str](), 0
        for run in signing.runs(batch):
            end = 0 if run[0].previous in unproved else len(run)
            for key in dict.fromkeys(statement.key for statement in run[:end]):
                # A key proves what it has signed, and not what the one before it has.
                places = [at for at in range(end) if run[at].key == key]
                good = self._proved(run, places)
                behind = [at for at in places if at >= good]
                end = behind[0] if behind else end
            proved.update(range(begin, begin + end))
            unproved.update(statement.digest for statement in run[end:])
            if any(statement.signature for statement in run[end:]):
                doubted.append(begin + end)
            begin += len(run)
        return proved, doubted

    def _proved(self, batch: Sequence[Statement], places: Sequence[int]) -> int:
        """The place behind the last of these statements of one key whose signature is good."""
        signed = [at for at in places if batch[at].signature]
        if not signed or self._good(batch[signed[-1]]):
            return signed[-1] + 1 if signed else 0
        if _mark(batch[signed[0]]) in self.state["bad"]:
            return 0  # none was good before, and the newest is not
        low, high = 0, len(signed) - 1  # signed[:low] are good, signed[high] is not
        while low < high:
            middle = (low + high) // 2
            if self._good(batch[signed[middle]]):
                low = middle + 1
            else:
                high = middle
        return signed[low - 1] + 1 if low else 0

    def _good(self, statement: Statement) -> bool:
        """Is its signature good?"""
        mark = _mark(statement)
        if mark in self.state["bad"]:
            return False
        good = self._verify(statement)
        if not good:
            self.state["bad"][mark] = 1
        return good

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
            in_step = self._is_known(copy, int(path.rpartition("/")[2][:12]))
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
                    for covered in runs(part, in_step):
                        self._cover(stream, covered, who, before)
            waiting = rest
        if waiting:
            self.state["open"][path] = waiting
        else:
            self.state["open"].pop(path, None)

    def _is_known(self, copy: Copy, segment: int) -> bool:
        """Was it found, when it came, that each line of the file follows the one before?"""
        if self._segments is None:
            from coord_kernel.streams.lines import KnownSegments

            self._segments = KnownSegments(self._store)
        at = Stream(self._store, "journal", copy.pieces[0][1], segment)
        try:
            return len(copy.pieces) == 1 and self._segments.size(at) is not None
        except OSError:
            return False

    def _cover(self, stream: str, run: tuple[int, int], who: int, before: dict[str, int]) -> None:
        first, last = run
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


def _mark(statement: Statement) -> str:
    """What stands for a statement with this signature."""
    return signing.digest(f"{statement.text}{statement.signature}")


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
