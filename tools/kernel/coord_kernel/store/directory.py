"""A store: one `.coord/` directory, one replica of the event set. Opening it, locking it, naming it."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time

from coord_envelope import world
from coord_envelope.errors import Refused, TryAgain, Unreachable
from coord_envelope.platform import contextmanager, suppress
from coord_kernel.store import machine
from coord_kernel.store.disk import IrregularError, known_local, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LOCK_WAIT_S = 10.0
_WALK = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Store:
    """An opened store. Every file below it is opened one directory at a time and never through a symbolic link."""

    mirrors: Sequence[str] = ()
    """Globs of the types that go to the journal, not to the live streams."""

    def __init__(self, path: str, project: str, new: bool = False) -> None:
        """Open the store at `path`. Raises Unreachable if there is none, Refused if it is not safely ours.

        With `new` it may be an empty directory, that is to become one.
        """
        self.path, self.project = path, project
        none = Unreachable("no store here", where=path, todo="make one with `ev init`")
        try:
            self._root = os.open(path, _WALK)
        except FileNotFoundError:
            raise none from None
        except NotADirectoryError:
            raise Refused(
                "is not a directory", where=path, todo="a store is a real directory, no link"
            ) from None
        info = os.fstat(self._root)
        if info.st_uid != os.geteuid():
            raise Refused(
                "belongs to another user",
                where=path,
                todo="use a store of your own: COORD_DIR, `ev init`",
            )
        if info.st_mode & stat.S_IWOTH:
            raise Refused("anyone may write to it", where=path, todo=f"chmod o-w {path}")
        if not any(
            os.access(name, os.F_OK, dir_fd=self._root) for name in ("journal", "local/replica")
        ):
            if not new:
                raise none
            if os.listdir(self._root):
                todo = (
                    "a store has a directory of its own: COORD_DIR names it, not the one it is in"
                )
                raise Refused("is no store, and not empty", where=path, todo=todo)

    def directory(self, *names: str, make: bool = False) -> int:
        """A descriptor of a directory below the store; the caller closes it. Raises FileNotFoundError."""
        fd = os.dup(self._root)
        for name in names:
            try:
                deeper = _enter(fd, name, make)
            finally:
                os.close(fd)
            fd = deeper
        return fd

    def open(self, *names: str, flags: int = os.O_RDONLY) -> int:
        """A descriptor of a regular file below the store. With O_CREAT it makes what is missing: 0700, 0600.

        Raises OSError with its path; IrregularError if something else is there.
        """
        try:
            parent = self.directory(*names[:-1], make=bool(flags & os.O_CREAT))
            try:
                fd = os.open(
                    names[-1],
                    flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
                    0o600,
                    dir_fd=parent,
                )
            finally:
                os.close(parent)
        except OSError as error:
            raise _named(error, names, "file") from None
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise _named(OSError(errno.EISDIR, ""), names, "file")
        return fd

    def listdir(self, *names: str) -> list[str]:
        """Sorted names in a directory below the store; none if it is not there."""
        try:
            fd = self.directory(*names)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _named(error, names, "directory") from None
        try:
            return sorted(os.listdir(fd))
        finally:
            os.close(fd)

    @contextmanager
    def lock(self, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
        """Hold the store's one lock. The kernel frees it when the process dies. Raises TryAgain after `wait_s`.

        Waiting is a poll of at most 10 ms: it works in any thread and needs no signal.
        """
        end = time.monotonic() + wait_s
        while True:
            fd = self._lock_file()
            try:
                _take(fd, end)
                if self._is_lock(
                    fd
                ):  # else somebody deleted the file while we waited: this is nobody's lock
                    os.pwrite(fd, f"{os.getpid():<10}\n".encode(), 0)
                    yield
                    return
            finally:
                os.close(fd)

    def _lock_file(self) -> int:
        return self.open("local", "lock", flags=os.O_RDWR | os.O_CREAT)

    def _is_lock(self, fd: int) -> bool:
        try:
            here = self._lock_file()
        except FileNotFoundError:
            return False
        same = os.path.samestat(os.fstat(fd), os.fstat(here))
        os.close(here)
        return same

    def save(self, data: bytes, *names: str, durable: bool = True) -> None:
        """Replace a small file below the store: after a crash it holds the old bytes or the new, durably.

        If not `durable`, it may as well be empty then: for what a reader can do without.
        """
        temporary = (*names[:-1], f"{names[-1]}.{os.getpid()}.tmp")
        parent = self.directory(*names[:-1], make=True)
        try:
            file = self.open(*temporary, flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            try:
                write_all(file, data)
                if durable:
                    os.fsync(file)
            finally:
                os.close(file)
            os.rename(temporary[-1], names[-1], src_dir_fd=parent, dst_dir_fd=parent)
            if durable:
                os.fsync(parent)
        except OSError:
            with suppress(OSError):
                os.unlink(temporary[-1], dir_fd=parent)
            raise
        finally:
            os.close(parent)

    def load(self, *names: str, most: int = 1 << 20) -> bytes | None:
        """The bytes of a small file below the store, at most `most`; None if it is not there."""
        try:
            return self.pread(most, 0, *names)
        except FileNotFoundError:
            return None

    def pread(self, most: int, offset: int, *names: str) -> bytes:
        """At most so many bytes from a place in a file below the store. Raises OSError as `open`."""
        fd = self.open(*names)
        try:
            return os.pread(fd, most, offset)
        finally:
            os.close(fd)

    def sync_directory(self, *names: str) -> None:
        """Make durable which files a directory below the store has."""
        fd = self.directory(*names)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def replicas(self) -> list[str]:
        """All ids this store has had on this machine, the one in use last."""
        known = self.load("local", "replica", self._replica_key())
        return known.decode("ascii", "replace").split() if known else []

    def all_replicas(self) -> frozenset[str]:
        """As `replicas`, on every machine that sees this store: what they wrote was written here."""
        files = (self.load("local", "replica", name) for name in self.listdir("local", "replica"))
        return frozenset(
            one for found in files if found for one in found.decode("ascii", "replace").split()
        )

    def replica(self) -> str:
        """This store's replica id on this machine, made at the first call. Under the lock.

        The key is (machine, inode of `local/`): a copied store, a restored backup and a container each write
        streams of their own. An entry is never replaced; the last line of its file is the id in use.
        """
        ids = self.replicas()
        return ids[-1] if ids and len(ids[-1]) == 8 and ids[-1].isalnum() else self.renew_replica()

    def renew_replica(self) -> str:
        """Take a new replica id from here on. Under the lock."""
        if not known_local(self.path) and self.load("local", "unsafe-fs") is None:
            todo = "its locks and syncs cannot be trusted: `ev init --unsafe-fs` if you know better"
            raise Refused("is on a network file system", where=self.path, todo=todo)
        replica = fresh_id()
        key = self._replica_key()
        before = self.load("local", "replica", key) or b""
        ended = before if before.endswith(b"\n") or not before else before + b"\n"
        self.save(ended + replica.encode() + b"\n", "local", "replica", key)
        return replica

    def _replica_key(self) -> str:
        fd = self.directory("local")
        try:
            inode = os.fstat(fd).st_ino
        finally:
            os.close(fd)
        machine = "".join(c if c.isalnum() or c in "-." else "_" for c in machine.name())[:80]
        return f"{machine}-{inode}"


def fresh_id() -> str:
    """A new replica id: 8 random characters of Crockford's alphabet, lower case."""
    number = int.from_bytes(world.entropy(5), "big")
    return "".join("0123456789abcdefghjkmnpqrstvwxyz"[number >> 5 * i & 31] for i in range(8))


def _enter(parent: int, name: str, make: bool) -> int:
    try:
        return os.open(name, _WALK, dir_fd=parent)
    except FileNotFoundError:
        if not make:
            raise
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent)
            os.fsync(parent)
        return os.open(name, _WALK, dir_fd=parent)


def _take(fd: int, end: float) -> None:
    pause = 0.0005
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                holder = os.pread(fd, 10, 0).decode("ascii", "replace").strip()
                what = f"the store is locked by process {holder} and stayed so"
                raise TryAgain(what, todo="try again, or look what that process does") from None
            time.sleep(pause)
            pause = min(2 * pause, 0.01)


def _named(error: OSError, names: tuple[str, ...], kind: str) -> OSError:
    """The error with the path below the store."""
    path = "/".join((".coord", *names))
    if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.ENOTDIR):
        return IrregularError(
            error.errno, f"is no regular {kind}; put it back, or move it away", path
        )
    return OSError(error.errno or errno.EIO, error.strerror or "", path)
