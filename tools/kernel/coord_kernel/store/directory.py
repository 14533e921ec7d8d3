"""A store, one replica of the event set: the files of `.coord/`, its lock, its replica ids."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time

from coord_envelope import ids, world
from coord_envelope.errors import Refused, TryAgain, Unreachable
from coord_envelope.platform import contextmanager, suppress
from coord_kernel.store import machine
from coord_kernel.store.disk import IrregularError, known_local, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    Progress = Callable[[str, int], AbstractContextManager[Callable[[int], object]]]

LOCK_WAIT_S = 10.0
_POLL_S, _LONGEST_POLL_S = 0.0005, 0.01
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""O_NONBLOCK: opening a pipe that somebody put there must not hang."""


@contextmanager
def _silent(_what: str, _size: int) -> Iterator[Callable[[int], object]]:
    yield lambda _done: None


class Store:
    """An opened store.

    Every file below it is opened one directory at a time and never through a symbolic link.
    """

    mirrors: Sequence[str] = ()
    """Globs of the live types that are written to the journal instead."""
    _root = -1
    progress: Progress = staticmethod(_silent)
    """Shows a person how far a long read is: (what, bytes) → a context with what advances it."""

    def __init__(self, path: str, project: str, new: bool = False) -> None:
        """Open the store at `path`, or with `new` an empty directory that is to become one.

        Raises Unreachable if there is none, Refused if it is not safe: a link, writable by others,
        or another user's.
        """
        self._path, self.project = path, project
        todo = "make one with `ev init`"
        missing = Unreachable("no store here", where=path, todo=todo, code="no_store")
        try:
            self._root = os.open(path, _DIRECTORY)
        except FileNotFoundError:
            raise missing from None
        except NotADirectoryError:
            raise Refused(
                "not a directory",
                where=path,
                todo="a store must be a real directory, not a link",
            ) from None
        info = os.fstat(self._root)
        if info.st_uid != os.geteuid():
            raise Refused(
                "belongs to another user",
                where=path,
                todo="set COORD_DIR to your own store, or make one with `ev init`",
            )
        if info.st_mode & stat.S_IWOTH:
            raise Refused("writable by others", where=path, todo=f"chmod o-w {path}")
        if not any(
            os.access(name, os.F_OK, dir_fd=self._root) for name in ("journal", "local/replica")
        ):
            if not new:
                raise missing
            if os.listdir(self._root):
                raise Refused(
                    "not a store, and not empty",
                    where=path,
                    todo="COORD_DIR must name the store itself, not the directory that contains it",
                )

    def __del__(self) -> None:
        if self._root >= 0:
            os.close(self._root)

    @property
    def path(self) -> str:
        """Where the directory is now: it may be moved while a process has it open.

        Another store may be at the old place then. Raises Unreachable if this one was removed.
        """
        with suppress(OSError):
            if os.path.samestat(os.stat(self._path), os.fstat(self._root)):
                return self._path
        with suppress(OSError):
            current = os.readlink(f"/proc/self/fd/{self._root}")
            if os.path.samestat(os.stat(current), os.fstat(self._root)):
                return current
        raise Unreachable("the store was moved or removed", where=self._path, todo="start again")

    def directory(self, *names: str, make: bool = False) -> int:
        """A descriptor of a directory below the store. The caller closes it.

        What is made survives a crash, unless it is below `local/`: there are caches, and files of
        running processes.

        Raises FileNotFoundError, unless `make`; OSError.
        """
        if not names:
            return os.dup(self._root)
        fd = self._root
        for depth, name in enumerate(names):
            durable = not (depth and names[0] == "local" and names[1] != "replica")
            try:
                child = _enter(fd, name, make, durable)
            finally:
                if depth:
                    os.close(fd)
            fd = child
        return fd

    def open(self, *names: str, flags: int = os.O_RDONLY) -> int:
        """A descriptor of a regular file below the store. The caller closes it.

        O_CREAT also makes missing directories. Modes are 0700 and 0600. Raises OSError with the
        path below the store; IrregularError if it is not a regular file.
        """
        try:
            parent = self.directory(*names[:-1], make=bool(flags & os.O_CREAT))
            try:
                fd = os.open(names[-1], flags | _FILE, 0o600, dir_fd=parent)
            finally:
                os.close(parent)
        except OSError as error:
            raise _with_path(error, names, "regular file") from None
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise _with_path(OSError(errno.EISDIR, ""), names, "regular file")
        return fd

    def listdir(self, *names: str) -> list[str]:
        """Sorted names in a directory below the store; empty if it does not exist."""
        try:
            fd = self.directory(*names)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _with_path(error, names, "directory") from None
        try:
            return sorted(os.listdir(fd))
        finally:
            os.close(fd)

    @contextmanager
    def lock(self, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
        """Hold the store's one lock. Raises TryAgain after `wait_s` seconds.

        The kernel releases it when the process dies. Waiting polls every 10 ms at most: so it
        works in any thread and needs no signal.
        """
        deadline = time.monotonic() + wait_s
        while True:
            fd = self._lock_file()
            try:
                _acquire(fd, deadline)
                if self._is_lock_file(fd):  # if it was deleted while we waited: once more
                    os.pwrite(fd, f"{os.getpid():<10}\n".encode(), 0)
                    yield
                    return
            finally:
                os.close(fd)

    def _lock_file(self) -> int:
        return self.open("local", "lock", flags=os.O_RDWR | os.O_CREAT)

    def _is_lock_file(self, fd: int) -> bool:
        try:
            current = os.stat("local/lock", dir_fd=self._root, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(os.fstat(fd), current)

    def save(self, data: bytes, *names: str, durable: bool = True) -> None:
        """Replace a small file below the store, atomically: after a crash it is the old or the new.

        If not `durable` it may be empty after a power loss: for caches. Raises OSError.
        """
        try:
            self._replace(data, names, durable)
        except FileNotFoundError:  # swept by a process that cannot see ours: of another container
            self._replace(data, names, durable)

    def _replace(self, data: bytes, names: tuple[str, ...], durable: bool) -> None:
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
            sweep(parent)
        except OSError:
            with suppress(OSError):
                os.unlink(temporary[-1], dir_fd=parent)
            raise
        finally:
            os.close(parent)

    def load(self, *names: str, most: int = 1 << 20) -> bytes | None:
        """At most `most` bytes of a small file below the store; None if it does not exist."""
        try:
            return self.pread(most, 0, *names)
        except FileNotFoundError:
            return None

    def pread(self, most: int, offset: int, *names: str) -> bytes:
        """At most `most` bytes at an offset in a file below the store. Raises OSError as `open`."""
        fd = self.open(*names)
        try:
            return os.pread(fd, most, offset)
        finally:
            os.close(fd)

    def mark(self, *names: str) -> tuple[int, ...]:
        """What differs when a file below the store was written or replaced; () if there is none."""
        try:
            info = os.stat("/".join(names), dir_fd=self._root, follow_symlinks=False)
        except OSError:
            return ()
        return info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns

    def sync_directory(self, *names: str) -> None:
        """Make the entries of a directory below the store durable. Raises OSError."""
        fd = self.directory(*names)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def signers(self) -> bool:
        """Has the user agreed to a file that says who may write as whom (allowed_signers)?"""
        return os.access("local/.git/allowed_signers", os.F_OK, dir_fd=self._root)

    def replicas(self) -> list[str]:
        """All ids that this store has had on this machine, the current one last."""
        return self._ids_of(self.identity())

    def all_replicas(self) -> frozenset[str]:
        """All ids that this store has had on any machine: their streams were written here."""
        keys = self.listdir("local", "replica")
        return frozenset(replica for key in keys for replica in self._ids_of(key))

    def _ids_of(self, key: str) -> list[str]:
        saved = self.load("local", "replica", key) or b""
        return saved.decode("ascii", "replace").split()

    def replica(self) -> str:
        """This store's replica id on this machine, made by the first call. Under the lock.

        The key is (machine, inode of `local/`), so a copied store, a restored backup and a
        container write streams of their own. Entries of its file are only added; the last is the
        current id.
        """
        known = self.replicas()
        if known and len(known[-1]) == 8 and known[-1].isalnum():
            return known[-1]
        return self.renew_replica()

    def renew_replica(self) -> str:
        """Change to a new replica id. Under the lock. Raises Refused on a network file system."""
        if not known_local(self.path) and self.load("local", "unsafe-fs") is None:
            raise Refused(
                "on a network file system",
                where=self.path,
                todo="locks and fsync are unreliable there: `ev init --unsafe-fs` allows it",
            )
        replica = fresh_id()
        key = self.identity()
        before = self.load("local", "replica", key) or b""
        if before and not before.endswith(b"\n"):
            before += b"\n"
        self.save(before + replica.encode() + b"\n", "local", "replica", key)
        return replica

    def identity(self) -> str:
        """The machine, and the inode of `local/`: a copy of the store has another one."""
        fd = self.directory("local")
        try:
            inode = os.fstat(fd).st_ino
        finally:
            os.close(fd)
        host = "".join(c if c.isalnum() or c in "-." else "_" for c in machine.name())[:80]
        return f"{host}-{inode}"


def sweep(directory: int) -> None:
    """Remove the files that processes left in a directory that were killed while saving."""
    for name in os.listdir(directory):
        if not name.endswith(".tmp"):
            continue
        pid = name[:-4].rpartition(".")[2]
        with suppress(OSError, OverflowError, ValueError):
            try:
                os.kill(int(pid), 0)
            except ProcessLookupError:
                os.unlink(name, dir_fd=directory)


def fresh_id() -> str:
    """A new replica id: 8 random characters of Crockford's base 32, in lower case."""
    number = int.from_bytes(world.entropy(5), "big")
    return "".join(ids.CROCKFORD[number >> 5 * i & 31] for i in range(8)).lower()


def _enter(parent: int, name: str, make: bool, durable: bool) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=parent)
    except FileNotFoundError:
        if not make:
            raise
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent)
            if durable:
                os.fsync(parent)
        return os.open(name, _DIRECTORY, dir_fd=parent)


def _acquire(fd: int, deadline: float) -> None:
    pause = _POLL_S
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(fd, 10, 0).decode("ascii", "replace").strip()
                raise TryAgain(
                    f"store locked by process {holder}",
                    todo="try again, or look at what that process does",
                ) from None
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_POLL_S)


def _with_path(error: OSError, names: tuple[str, ...], kind: str) -> OSError:
    """The error with the path below the store."""
    path = "/".join((".coord", *names))
    if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.ENOTDIR):
        return IrregularError(error.errno, f"not a {kind}; move it away", path)
    return OSError(error.errno or errno.EIO, error.strerror or "", path)
