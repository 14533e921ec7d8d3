"""ssh-keygen signs and verifies. It is run only then."""

from __future__ import annotations

import os

from coord_envelope import world
from coord_envelope.errors import Refused, Unreachable
from coord_envelope.platform import contextmanager
from coord_kernel.proc import spawn
from coord_kernel.rules.signing import NAMESPACE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coord_kernel.rules.signing import Statement

PROGRAM = "ssh-keygen"
_BEGIN = b"-----BEGIN SSH SIGNATURE"
_SECONDS = 20.0
_PUBLIC = ("ssh-", "ecdsa-", "sk-")
_MISSING = "install it (Debian: openssh-client)"


class Key:
    """A signing key, as git's `user.signingkey` names it: a file, or a public key of the agent."""

    def __init__(self, named: str, base: str) -> None:
        """A relative path is one from `base`. Raises Refused if there is no such key."""
        literal = named.removeprefix("key::")
        self.literal, self._path = literal.startswith(_PUBLIC), ""
        if self.literal:
            self.public = _public(literal, named)
            return
        self._path = os.path.join(base, os.path.expanduser(named))
        public = self._path if self._path.endswith(".pub") else f"{self._path}.pub"
        try:
            with open(public, encoding="utf-8", errors="replace") as file:
                self.public = _public(file.read(1 << 14), public)
        except OSError as error:
            what = (error.strerror or "").lower()
            raise Refused(f"the public key cannot be read: {what}", where=public) from None

    def sign(self, text: str) -> str:
        """The signature of a text. Asks for a passphrase or a touch at the terminal, if it must.

        Raises Refused if it is not given, Unreachable without ssh-keygen.
        """
        with _scratch() as directory:
            path, more = self._path, list[str]()
            if self.literal:
                path, more = os.path.join(directory, "key.pub"), ["-U"]
                _write(path, f"{self.public}\n")
            argv = [PROGRAM, "-Y", "sign", "-n", NAMESPACE, "-f", path, *more]
            # What it asks for stands on stderr; "Signing data on standard input" does, too.
            status, out, error = _run(argv, text, asks=not self.literal)
        if status or not out.startswith(_BEGIN):
            rows = error.decode("utf-8", "replace").strip().split("\n")
            raise Refused(
                f"not signed: {rows[-1].strip() or 'ssh-keygen failed'}",
                where="user.signingkey",
                todo="check that `ssh-keygen -Y sign` works with this key",
            )
        return out.decode("ascii", "replace")


def verified(statement: Statement) -> bool:
    """Is the signature of its text by its key good? Raises Unreachable without ssh-keygen."""
    with _scratch() as directory:
        signers, signature = (os.path.join(directory, name) for name in ("signers", "signature"))
        _write(signers, f"it {statement.key}\n")
        _write(signature, statement.signature)
        argv = [PROGRAM, "-Y", "verify", "-f", signers, "-I", "it", "-n", NAMESPACE]
        try:
            status, _, _ = _run([*argv, "-s", signature], statement.text, _SECONDS)
        except TimeoutError:
            return False
    return status == 0


def fingerprint(key: str) -> str:
    """The name of a public key that ssh shows: `SHA256:…`."""
    import base64
    import hashlib

    try:
        data = base64.b64decode(key.partition(" ")[2], validate=True)
    except ValueError:
        return "?"
    return "SHA256:" + base64.b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def _run(
    argv: Sequence[str], text: str, seconds: float = spawn.DAY_S, asks: bool = False
) -> tuple[int, bytes, bytes]:
    try:
        return spawn.run(argv, {**os.environ}, text.encode(), seconds, asks)
    except FileNotFoundError:
        raise Unreachable("ssh-keygen is not installed", todo=_MISSING) from None


@contextmanager
def _scratch() -> Iterator[str]:
    """A directory of this user alone. `tempfile` takes 10 ms to import."""
    path = os.path.join(os.environ.get("TMPDIR") or "/tmp", f"coord-{world.entropy(8).hex()}")
    os.mkdir(path, 0o700)
    try:
        yield path
    finally:
        for name in os.listdir(path):
            os.unlink(os.path.join(path, name))
        os.rmdir(path)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", errors="replace") as file:
        file.write(text)


def _public(line: str, where: str) -> str:
    words = line.split()
    if len(words) < 2 or not words[0].startswith(_PUBLIC):
        raise Refused(
            "not an SSH key",
            where=where,
            todo="`git config user.signingkey ~/.ssh/id_ed25519.pub`",
        )
    return f"{words[0]} {words[1]}"
