"""Who may do what: bearer tokens, by project and replica.

The file `tokens` in the relay's directory, mode 0600, one token a line; of a token only its digest
is kept. `#` begins a comment.

    NAME PROJECT REPLICAS SHA256

REPLICAS are the replica ids that the token may write, separated by commas; `*` are all that no
other token of the project names; `-` are none: it only reads.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from typing import TYPE_CHECKING, NamedTuple

from coord_envelope import BadData
from coord_envelope.errors import DiskFault, Refused
from coord_kernel.cli import complaints

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}[a-z0-9]|[a-z0-9]")
"""Of a token or a project."""
REPLICA = re.compile(r"[0-9a-z]{8}")
_LINE = re.compile(
    rf"(?P<name>{NAME.pattern})\s+(?P<project>{NAME.pattern})\s+"
    r"(?P<replicas>\*|-|[0-9a-z]{8}(?:,[0-9a-z]{8})*)\s+(?P<digest>[0-9a-f]{64})"
)
ARBITER = "arbiter"
ANY, NONE = "*", "-"


class Token(NamedTuple):
    """One line of the file."""

    name: str
    project: str
    replicas: frozenset[str]
    digest: str


class Tokens:
    """The tokens of a file, which is read again when it has changed."""

    def __init__(self, path: str) -> None:
        """Raises OSError, Refused if others may read the file, BadData for a bad line."""
        self.path = path
        self.internal = secrets.token_urlsafe(32)
        """A token of this process, for the relay's own stores, of every project."""
        try:
            self._state, self._tokens = _read(path)
        except FileNotFoundError as error:
            what = (error.strerror or "").lower()
            raise DiskFault(what, where=path, todo="`coord-relay token` makes a token") from None

    def find(self, project: str, secret: str) -> Token | None:
        """The token of this secret for a project."""
        digest = _digest(secret)
        if secrets.compare_digest(digest, _digest(self.internal)):
            return Token("relay", project, frozenset((ANY,)), digest)
        for token in self._current():
            if secrets.compare_digest(token.digest, digest) and token.project == project:
                return token
        return None

    def known(self, secret: str) -> bool:
        """Whether it is a token of any project."""
        return any(token.digest == _digest(secret) for token in self._current())

    def may_write(self, token: Token, subject: str) -> bool:
        """Whether the token may append below a subject."""
        if subject == ARBITER:
            return NONE not in token.replicas
        replica = subject.partition("/")[0]
        if ANY not in token.replicas:
            return replica in token.replicas
        return not any(
            replica in other.replicas
            for other in self._current()
            if other.project == token.project and other.digest != token.digest
        )

    def _current(self) -> Sequence[Token]:
        try:
            if _state(self.path) != self._state:
                self._state, self._tokens = _read(self.path)
        except FileNotFoundError:
            self._state, self._tokens = None, ()
        except (BadData, Refused, OSError) as error:
            # What is being edited may be wrong for a moment; those who work go on.
            if (state := _state(self.path)) != self._state:
                self._state = state
                complaints.warn(f"{error}; the tokens before the change are used")
        return self._tokens


def add(path: str, name: str, project: str, replicas: Sequence[str]) -> str:
    """Append a new token to the file; the token. Raises OSError, BadData."""
    for word, what in ((name, "name"), (project, "project")):
        if not NAME.fullmatch(word):
            raise BadData(f"not a valid {what}: {word}", todo="use a-z, 0-9, dot, - and _")
    for replica in replicas:
        if replica not in (ANY, NONE) and not REPLICA.fullmatch(replica):
            raise BadData(f"not a replica id: {replica}", todo="see `ev sync --status`")
    if len(replicas) > 1 and {ANY, NONE} & set(replicas):
        raise BadData("* and - stand alone", where="--replica")
    secret = secrets.token_urlsafe(32)
    line = f"{name} {project} {','.join(replicas)} {_digest(secret)}\n"
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        _check_private(path, os.fstat(fd))
        os.write(fd, line.encode())
        os.fsync(fd)
    finally:
        os.close(fd)
    return secret


def _digest(secret: str) -> str:
    """Of random 256 bits: a slow one would add nothing."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _read(path: str) -> tuple[tuple[int, ...] | None, Sequence[Token]]:
    state, tokens = _state(path), list[Token]()
    with open(path, encoding="utf-8", errors="replace") as file:
        _check_private(path, os.fstat(file.fileno()))
        for number, line in enumerate(file, 1):
            text = line.partition("#")[0].strip()
            found = _LINE.fullmatch(text)
            if found:
                replicas = frozenset(found["replicas"].split(","))
                tokens.append(Token(found["name"], found["project"], replicas, found["digest"]))
            elif text:
                raise BadData(
                    "not a token",
                    where=f"{path}, line {number}",
                    todo="NAME PROJECT REPLICAS SHA256",
                )
    return state, tokens


def _state(path: str) -> tuple[int, ...] | None:
    try:
        stat = os.stat(path)
    except FileNotFoundError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_mode


def _check_private(path: str, stat: os.stat_result) -> None:
    if stat.st_mode & 0o077 or stat.st_uid != os.geteuid():
        raise Refused("others can read or write it", where=path, todo=f"chmod 600 {path}")
