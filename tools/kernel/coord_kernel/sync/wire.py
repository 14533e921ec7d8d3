"""The remote's refs, and the tips of them that were read: looked at, fetched, pushed, compared."""

from __future__ import annotations

from coord_envelope.errors import Unreachable
from coord_envelope.platform import suppress
from coord_kernel.store import init
from coord_kernel.sync.git import DamagedError, Git, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from git.db import GitDB

    from coord_kernel.store.directory import Store
    from coord_kernel.sync.remote import Remote

_SEEN = "refs/seen/"
"""In the store's repository: the tip of each ref as it was last taken in. What is in it was read."""
_FETCHED = "refs/fetched/"


class Wire:
    """The refs of one remote, for so many seconds."""

    def __init__(self, store: Store, remote: Remote, seconds: float) -> None:
        self.git, self.remote, self._store = Git(store, remote, seconds), remote, store
        self._reached = self._grown = False

    def look(self) -> dict[str, str]:
        """The remote's refs of ours, as they are now; none is not the same as no answer. Raises Unreachable."""
        space = self.remote.namespace
        patterns = [
            f"{space}/arbiter",
            f"{space}/replica/????????",
            *self.remote.fetch,
            *filter(None, [self.remote.own]),
        ]
        out = self.git.run("ls-remote", "--refs", "--end-of-options", self.remote.url, *patterns)
        self._reached = True
        rows = (line.split("\t") for line in out.decode("utf-8", "replace").split("\n"))
        found = {row[1]: row[0] for row in rows if len(row) == 2 and len(row[0]) == 40}
        # ls-remote looks at the end of a name only: a mirror of ours somewhere below is not asked for
        return {ref: oid for ref, oid in found.items() if any(_like(ref, one) for one in patterns)}

    def fetch(self, refs: list[str]) -> dict[str, str]:
        """Get these refs with all they hold, never a part of it; their tips, which may be newer than `look` said.

        Raises Unreachable.
        """
        wanted = [f"+{ref}:{_FETCHED}{ref.removeprefix('refs/')}" for ref in refs]
        quiet = (
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-gc",
            "--refmap=",
            "--stdin",
        )
        self.git.run(
            "fetch", *quiet, "--end-of-options", self.remote.url, stdin="\n".join(wanted).encode()
        )
        found = self._refs(_FETCHED)
        return {ref: found[ref] for ref in refs if ref in found}

    def push(self, commits: dict[str, str], olds: dict[str, str]) -> set[str]:
        """Move refs to these commits ("": delete it); those that were moved. One with an old tip moves from that only.

        Not --atomic: each for itself. Raises Unreachable where it cannot be known: then look again.
        """
        if not commits:
            return set()
        leases = [f"--force-with-lease={ref}:{old}" for ref, old in olds.items()]
        specs = [f"{commit}:{ref}" for ref, commit in commits.items()]
        quiet = ("--porcelain", "--quiet", "--no-verify", "--no-signed")
        status, out, error = self.git.attempt(
            "push", *quiet, *leases, "--end-of-options", self.remote.push_url, *specs
        )
        told = {}
        for line in out.decode("utf-8", "replace").splitlines():
            flag, tab, rest = line.partition("\t")
            if tab and len(flag) == 1:
                told[rest.split("\t")[0].partition(":")[2]] = flag in " *=+"
        if status and not told:
            raise Unreachable(
                reason(error) or "the push failed", where=self.remote.name, todo="try again later"
            )
        moved = {ref for ref in commits if told.get(ref, not status)}
        self._grown = self._grown or bool(moved)
        return moved

    def descends(self, tip: str, of: str) -> bool:
        """Is `of` in the history of `tip`? ("", no commit, is in that of all.)"""
        if not of or not tip:
            return not of
        status, _, error = self.git.attempt("merge-base", "--is-ancestor", of, tip)
        if status > 1 and not self.sound():
            raise DamagedError(reason(error))
        return status == 0

    def seen(self) -> dict[str, str]:
        """The tips that were taken in."""
        return self._refs(_SEEN)

    def note(self, tips: dict[str, str]) -> None:
        """Remember that they were."""
        lines = [f"update {_SEEN}{ref.removeprefix('refs/')} {oid}\n" for ref, oid in tips.items()]
        if lines:
            self.git.run("update-ref", "--stdin", stdin="".join(lines).encode())

    def mended(self) -> bool:
        """Was it our own repository that failed, and is it well again? At worst it is made anew, and all is fetched.

        Under the sync's lock, so nobody else is at work in it, and a lock file is one of a process that was killed.
        """
        if self.git.sweep(""):
            return True
        if self.sound():
            return False
        self.anew()
        return True

    def sound(self) -> bool:
        """Is all there that the repository of the store should have? (If the remote was not reached: is it one?)"""
        check = (
            ("fsck", "--no-dangling", "--no-progress")
            if self._reached
            else ("rev-parse", "--git-dir")
        )
        return self.git.attempt(*check)[0] == 0

    def anew(self) -> None:
        """Make the store's repository anew. What is lost with it: which tip of the arbiter was seen here last."""
        import shutil  # 3 ms

        shutil.rmtree(self.git.path)
        init.repository(self._store)

    def tidy(self) -> None:
        """Pack what a few hundred syncs left, if they did. For the rest of the time; that it failed is no matter."""
        if not self._grown:
            return
        often = ("-c", "gc.auto=2000", "-c", "gc.autoDetach=false")
        with suppress(Unreachable):
            self.git.attempt(*often, "gc", "--auto", "--quiet")

    def objects(self) -> GitDB:
        """The objects that are here now; anew after each fetch, whose pack it would not see."""
        from coord_kernel.sync import tree

        return tree.opened(self.git.path)

    def _refs(self, prefix: str) -> dict[str, str]:
        out = self.git.run("for-each-ref", "--format=%(objectname) %(refname)", prefix).decode()
        rows = (line.partition(" ") for line in out.splitlines())
        return {f"refs/{ref.removeprefix(prefix)}": oid for oid, _, ref in rows}


def _like(ref: str, pattern: str) -> bool:
    if "*" in pattern or "[" in pattern:
        from fnmatch import fnmatchcase  # re: 5 ms

        return fnmatchcase(ref, pattern)
    return len(ref) == len(pattern) and all(
        want in ("?", got) for want, got in zip(pattern, ref, strict=True)
    )
