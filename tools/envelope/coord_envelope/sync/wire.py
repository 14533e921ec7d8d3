"""The remote's refs, and the tips of them that were read: looked at, fetched, pushed, compared."""

from __future__ import annotations

from coord_envelope.errors import Unreachable
from coord_envelope.sync import tree
from coord_envelope.sync.git import Git, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from git import Repo

    from coord_envelope.store import Store
    from coord_envelope.sync.settings import Remote

_SEEN = "refs/seen/"
"""In the store's repository: the tip of each ref as it was last taken in. What is in it was read."""
_FETCHED = "refs/fetched/"


class Wire:
    """The refs of one remote, for so many seconds."""

    def __init__(self, store: Store, remote: Remote, seconds: float) -> None:
        self.git, self.remote = Git(store, remote, seconds), remote

    def look(self) -> dict[str, str]:
        """The remote's refs of ours, as they are now; none is not the same as no answer. Raises Unreachable."""
        patterns = [f"{self.remote.namespace}/*", *self.remote.fetch]
        out = self.git.run("ls-remote", "--refs", "--end-of-options", self.remote.url, *patterns)
        rows = (line.split("\t") for line in out.decode("utf-8", "replace").splitlines())
        return {row[1]: row[0] for row in rows if len(row) == 2 and len(row[0]) == 40}

    def fetch(self, refs: list[str]) -> dict[str, str]:
        """Get these refs with all they hold, never a part of it; their tips, which may be newer than `look` said."""
        wanted = [f"+{ref}:{_FETCHED}{ref.removeprefix('refs/')}" for ref in refs]
        quiet = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-gc", "--refmap=", "--stdin")
        self.git.run("fetch", *quiet, "--end-of-options", self.remote.url, stdin="\n".join(wanted).encode())
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
        status, out, error = self.git.attempt("push", *quiet, *leases, "--end-of-options", self.remote.push_url, *specs)
        told = {}
        for line in out.decode("utf-8", "replace").splitlines():
            flag, tab, rest = line.partition("\t")
            if tab and len(flag) == 1:
                told[rest.split("\t")[0].partition(":")[2]] = flag in " *=+"
        if status and not told:
            raise Unreachable(reason(error) or "the push failed", where=self.remote.name, todo="try again later")
        return {ref for ref in commits if told.get(ref, not status)}

    def descends(self, tip: str, of: str) -> bool:
        """Is `of` in the history of `tip`? ("", no commit, is in that of all.)"""
        return not of or (bool(tip) and self.git.attempt("merge-base", "--is-ancestor", of, tip)[0] == 0)

    def seen(self) -> dict[str, str]:
        """The tips that were taken in."""
        return self._refs(_SEEN)

    def note(self, tips: dict[str, str]) -> None:
        """Remember that they were."""
        lines = [f"update {_SEEN}{ref.removeprefix('refs/')} {oid}\n" for ref, oid in tips.items()]
        if lines:
            self.git.run("update-ref", "--stdin", stdin="".join(lines).encode())

    def objects(self) -> Repo:
        """The objects that are here now; anew after each fetch, whose pack it would not see."""
        return tree.opened(self.git.path)

    def _refs(self, prefix: str) -> dict[str, str]:
        out = self.git.run("for-each-ref", "--format=%(objectname) %(refname)", prefix).decode()
        rows = (line.partition(" ") for line in out.splitlines())
        return {f"refs/{ref.removeprefix(prefix)}": oid for oid, _, ref in rows}
