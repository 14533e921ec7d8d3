"""Statements and who may make them, as text. Pure; the cryptography is ssh-keygen's.

A statement is a text. Its lines, in this order:

    coord-statement 1
    project NAME
    replica ID                        whose chain it is in
    time RFC3339                      not before the previous one's
    previous SHA256 | -               of the previous statement of the chain
    key TYPE BASE64                   that signs it
    next TYPE BASE64                  that signs from here on (rotation); may be missing
    file PATH BEGIN END SHA256 …      the key has written the bytes from BEGIN to END of this file,
                                      whose bytes up to END have this digest

A chain is what one replica has signed with one key and the keys that it rotated to. Each statement
names the one before it by its digest. So a signature proves all statements of its key before it,
one process verifies any number of them, and what was left out, put in or taken elsewhere does not
fit (`follows`). A replica whose disk was put back goes on from an older statement: a chain may
divide, and what counts does not depend on which part comes first.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from coord_envelope.platform import sha256
from coord_kernel.rules import trust

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from typing import TypedDict

    from coord_envelope.codec import Json

    class Chain(TypedDict):
        """A chain up to a statement that counts."""

        key: str
        """That signs now."""
        root: str
        """That allowed_signers has."""
        tip: str
        time: str


TYPE = "coord.signed"
NAMESPACE = "coord"
"""Of the signatures: one made for git or for a file does not count."""
STREAM = trust.STREAM
ACTOR = "bridge:signer"
MOST_FILES = 200
"""In one statement: a line of a journal has a limit. The next statement names the rest."""
_HEAD = "coord-statement 1"
_KEY = r"[a-z0-9@.-]{1,64} [A-Za-z0-9+/=]{16,12000}"
_STATEMENT = (  # compiled by `re` where it is first used
    rf"{_HEAD}\nproject ([a-z0-9._-]{{1,64}})\nreplica ([0-9a-z]{{8}})\n"
    r"time (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)\nprevious (-|[0-9a-f]{64})\n"
    rf"key ({_KEY})\n(?:next ({_KEY})\n)?((?:file [^\n]+\n)*)"
)
_PATH = r"journal/[!-.0-~]{1,300}/\d{12}\.jsonl"
_FILE = rf"file ({_PATH}) (\d{{1,9}}) (\d{{1,9}}) ([0-9a-f]{{64}})"
_ENTRY = r'(?:"([^"]*)"|(\S+))[ \t]+(?:(.*?)[ \t]+)?(' + _KEY + r")(?:[ \t]+(.*))?"
_OPTION = r'([A-Za-z-]+)(?:="([^"]*)")?(?:,|$)'
_TIME = r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?Z?"
_GOOD = r"([0-9a-z]{8})=([0-9a-f]{64})"


class Claimed(NamedTuple):
    """Bytes of a file that a key says it has written."""

    path: str
    begin: int
    end: int
    sha256: str
    """Of the file's bytes up to `end`."""


class Statement(NamedTuple):
    """A statement, and its signature; "": a later statement of the chain has one."""

    digest: str
    project: str
    replica: str
    time: str
    previous: str
    key: str
    next: str
    files: tuple[Claimed, ...]
    text: str
    signature: str = ""


def text(statement: Mapping[str, str], files: Sequence[Claimed]) -> str:
    """The text of a statement: `project replica time previous key` and perhaps `next`."""
    names = ("project", "replica", "time", "previous", "key", "next")
    head = (f"{name} {statement[name]}\n" for name in names if statement.get(name))
    rows = (f"file {path} {begin} {end} {sha}\n" for path, begin, end, sha in files)
    return f"{_HEAD}\n" + "".join([*head, *rows])


def read(body: Json) -> Statement:
    """The statement in the body of an event. Raises ValueError."""
    whole, signature = body.get("statement"), body.get("signature", "")
    match = re.fullmatch(_STATEMENT, whole, re.ASCII) if isinstance(whole, str) else None
    if not match or not isinstance(whole, str) or not isinstance(signature, str):
        raise ValueError("is not a statement")
    project, replica, time, previous, key, after, rows = match.groups()
    files = [re.fullmatch(_FILE, row, re.ASCII) for row in rows.split("\n")[:-1]]
    claimed = tuple(Claimed(file[1], int(file[2]), int(file[3]), file[4]) for file in files if file)
    if len(claimed) < len(files) or any(file.begin >= file.end for file in claimed):
        raise ValueError("names a file that it cannot name")
    return Statement(
        digest(whole), project, replica, time, previous, key, after or "", claimed, whole, signature
    )


def digest(statement: str) -> str:
    """What names a statement: the SHA-256 of its text, in hexadecimal."""
    hashing = sha256()
    hashing.update(statement.encode())
    return str(hashing.hexdigest())


class Entry(NamedTuple):
    """A line of allowed_signers: who may be written by a key, and when."""

    principals: str
    after: str
    before: str
    """RFC 3339; "": without a bound."""


class Signers:
    """An allowed_signers file. `faults` has a sentence for each line that does not count."""

    def __init__(self, source: str) -> None:
        self.entries: dict[str, list[Entry]] = {}
        """By key."""
        self.revoked: dict[str, dict[str, list[str]]] = {}
        """Key → replica → digests of its last good statements there."""
        self.faults: list[str] = []
        for number, line in enumerate(source.split("\n"), 1):
            row = line.strip()
            if row and not row.startswith("#") and (why := self._add(row)):
                self.faults.append(f"line {number}: {why}")

    def _add(self, row: str) -> str:
        match = re.fullmatch(_ENTRY, row)
        if not match:
            return "not PRINCIPALS [OPTIONS] KEYTYPE KEY"
        quoted, bare, given, key, comment = match.groups()
        names = quoted or bare
        if names == "@revoked":
            known = self.revoked.setdefault(key, {})
            for replica, digest in re.findall(_GOOD, comment or ""):
                known.setdefault(replica, []).append(digest)
            return ""
        options = {name.lower(): value for name, value in re.findall(_OPTION, given or "")}
        rest = re.sub(_OPTION, "", given or "")
        unknown = [
            name
            for name in options
            if name not in ("namespaces", "valid-after", "valid-before", "cert-authority")
        ]
        if rest or unknown:
            return f"unknown option {(unknown or [rest])[0]!r}"
        if "cert-authority" in options:
            return "cert-authority is not supported"
        if "namespaces" in options and not trust.principal([options["namespaces"]], NAMESPACE):
            return ""  # a key for something else
        try:
            bounds = [_moment(options.get(name, "")) for name in ("valid-after", "valid-before")]
        except ValueError as reason:
            return str(reason)
        self.entries.setdefault(key, []).append(Entry(names, *bounds))
        return ""

    def principals(self, key: str, time: str) -> list[str]:
        """The lists of patterns that a key stands for at a time."""
        return [
            entry.principals
            for entry in self.entries.get(key, ())
            if entry.after <= time and (not entry.before or time < entry.before)
        ]


def _moment(stamp: str) -> str:
    """`YYYYMMDD[HHMM[SS]][Z]` as RFC 3339. UTC, with or without Z: the same in every store."""
    if not stamp:
        return ""
    match = re.fullmatch(_TIME, stamp, re.ASCII)
    if not match:
        raise ValueError(f"not a time: {stamp!r}")
    year, month, day, hour, minute, second = (part or "00" for part in match.groups())
    return f"{year}-{month}-{day}T{hour}:{minute}:{second}.000Z"


class RefusedError(ValueError):
    """Why a statement does not count. `later`: it may, when more has come."""

    def __init__(self, why: str, later: bool = False) -> None:
        super().__init__(why)
        self.later = later


def follows(
    statement: Statement, chain: Chain | None, signers: Signers, project: str, stream: str
) -> Chain:
    """The chain with this statement, if its signature is good. Raises RefusedError.

    `chain` ends with the statement that it names as the previous one: None if it names none, or if
    that one does not count. `stream` is where it is. Revocation is judged by `sound`.
    """
    if statement.project != project:
        raise RefusedError(f"is of project {statement.project}")
    if stream.partition("!")[0] != STREAM + statement.replica:
        raise RefusedError(f"is of replica {statement.replica}")
    if statement.previous != (chain["tip"] if chain else "-"):
        raise RefusedError("does not follow a statement that counts", later=True)
    root = chain["root"] if chain else statement.key
    if root not in signers.entries:
        raise RefusedError("its key is not in allowed_signers")
    if chain and statement.key != chain["key"]:
        raise RefusedError("is not by the key of its chain")
    if chain and statement.time < chain["time"]:
        raise RefusedError("is older than the one before it")
    if not signers.principals(root, statement.time):
        raise RefusedError(f"its key was not valid at {statement.time}")
    return _chain(statement, root)


def _chain(statement: Statement, root: str) -> Chain:
    return {
        "key": statement.next or statement.key,
        "root": root,
        "tip": statement.digest,
        "time": statement.time,
    }


def linked(counting: Mapping[str, Statement]) -> dict[str, Chain]:
    """The chains up to each of these statements that count, by digest. They come in any order:
    what one follows may be in another stream."""
    chains: dict[str, Chain] = {}
    for statement in counting.values():
        row = [statement]
        while (before := row[-1].previous) in counting and before not in chains:
            row.append(counting[before])
        for each in reversed(row):
            chain = chains.get(each.previous)
            chains[each.digest] = _chain(each, chain["root"] if chain else each.key)
    return chains


def sound(batch: Sequence[Statement], signers: Signers) -> int:
    """How many of these statements count, by the keys that were revoked.

    Of a revoked key those do that a last good statement has before it, and that one: what is behind
    it, or beside it, may have been written with a stolen key.
    """
    previous = {statement.digest: statement.previous for statement in batch}
    for at, statement in enumerate(batch):
        revoked = signers.revoked.get(statement.key)
        if revoked is None:
            continue
        if statement.digest not in _before(revoked.get(statement.replica, ()), previous):
            return at
    return len(batch)


def passed(batch: Sequence[Statement], signers: Signers, known: Collection[str]) -> set[str]:
    """The digests of those of these statements that cannot count whatever comes later.

    Those of a revoked key that no last good statement has before it, if all of these are `known`
    (or there are none), and what follows them. What begins a chain needs nothing before it.
    """
    previous = {statement.digest: statement.previous for statement in batch}
    never = set[str]()
    for statement in batch:
        revoked = signers.revoked.get(statement.key)
        good = (revoked or {}).get(statement.replica, ())
        over = revoked is not None and all(digest in known for digest in good)
        if statement.previous in never or (
            over and statement.digest not in _before(good, previous)
        ):
            never.add(statement.digest)
    return never


def _before(digests: Iterable[str], previous: Mapping[str, str]) -> set[str]:
    """These statements, and those before them."""
    found = set[str]()
    for digest in digests:
        while digest in previous and digest not in found:
            found.add(digest)
            digest = previous[digest]
    return found


def runs(batch: Sequence[Statement]) -> list[list[Statement]]:
    """The statements in parts of which each follows the one before it."""
    parts = list[list[Statement]]()
    for statement in batch:
        if parts and statement.previous == parts[-1][-1].digest:
            parts[-1].append(statement)
        else:
            parts.append([statement])
    return parts
