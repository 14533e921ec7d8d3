"""The refs of a remote, and the tips of them that were taken in here: git as processes."""

from __future__ import annotations

from coord_envelope.errors import Unreachable
from coord_envelope.platform import suppress
from coord_kernel.store import init
from coord_kernel.sync import loose
from coord_kernel.sync.git import DamagedError, Git, fault, reason, sha256
from coord_kernel.sync.objects import Objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from coord_kernel.store.directory import Store
    from coord_kernel.sync.remote import Remote

_SEEN = "refs/seen/"
"""In the store's repository: the tip of each ref that was last taken in."""
_FETCHED = "refs/fetched/"
_PACK_AT = 2_000
"""Loose objects."""


class Wire:
    """The refs of one remote, for one sync of so many seconds."""

    def __init__(self, store: Store, remote: Remote, seconds: float) -> None:
        self.git, self.remote, self._store = Git(store, remote, seconds), remote, store
        self._reached = self._grown = False
        self._seen: dict[str, str] | None = None
        self.refusals: dict[str, tuple[str, str]] = {}
        """What git says of a ref that was pushed, and what else it says."""

    def look(self, pushed: bool = False) -> dict[str, str]:
        """The remote's refs that concern us, as they are now, where they are read or are pushed to.

        Raises Unreachable: no answer.
        """
        looked, self.remote.looked = self.remote.looked, None
        if looked is not None and not pushed:
            self._reached = True
            return looked
        space, url = self.remote.namespace, self.remote.url
        patterns = [
            f"{space}/arbiter",
            f"{space}/replica/????????",
            *self.remote.fetch,
            *filter(None, [self.remote.own]),
        ]
        if pushed:
            url = self.remote.push_url
        served = _option("--upload-pack", self.remote.upload_pack)
        out = self.git.run("ls-remote", "--refs", *served, "--end-of-options", url, *patterns)
        self._reached = True
        rows = (line.split("\t") for line in out.decode("utf-8", "replace").split("\n"))
        tips = {row[1]: row[0] for row in rows if len(row) == 2}
        if any(len(tip) == 64 for tip in tips.values()):
            raise sha256(self.remote.name)
        # ls-remote matches the end of a name only, and so finds a mirror of ours somewhere below.
        return {
            ref: tip
            for ref, tip in tips.items()
            if any(_like(ref, pattern) for pattern in patterns)
        }

    def fetch(self, refs: list[str], pushed: bool = False) -> dict[str, str]:
        """Fetch these refs with all that they hold; their tips, which may be newer than `look`'s.

        `pushed` as with `look`. Raises Unreachable: nothing was fetched.
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
        served = _option("--upload-pack", self.remote.upload_pack)
        url = self.remote.push_url if pushed else self.remote.url
        self.git.run(
            "fetch", *quiet, *served, "--end-of-options", url, stdin="\n".join(wanted).encode()
        )
        fetched = self._refs(_FETCHED)
        return {ref: fetched[ref] for ref in refs if ref in fetched}

    def push(self, commits: Mapping[str, str], olds: Mapping[str, str]) -> set[str]:
        """Move refs to these commits ("": delete the ref); those that were moved.

        A ref with a tip in `olds` moves from that tip only (compare-and-swap), another one only
        forward. Each for itself: not --atomic. Raises Unreachable if the outcome is unknown: look
        again.
        """
        if not commits:
            return set()
        leases = [f"--force-with-lease={ref}:{old}" for ref, old in olds.items()]
        specs = [f"{commit}:{ref}" for ref, commit in commits.items()]
        quiet = ("--porcelain", "--quiet", "--no-verify", "--no-signed")
        served = _option("--receive-pack", self.remote.receive_pack)
        status, out, error = self.git.attempt(
            "push", *quiet, *leases, *served, "--end-of-options", self.remote.push_url, *specs
        )
        accepted: dict[str, bool] = {}
        for line in out.decode("utf-8", "replace").splitlines():
            flag, tab, rest = line.partition("\t")
            if tab and len(flag) == 1:
                ref, _, why = rest.partition(":")[2].partition("\t")
                accepted[ref], self.refusals[ref] = flag in " *=+", (why, reason(error))
        if status and not accepted:
            raise fault(error, "the push failed", self.remote.name)
        moved = {ref for ref in commits if accepted.get(ref, not status)}
        self._grown = self._grown or bool(moved)
        return moved

    def size(self, objects: Iterable[str]) -> int:
        """The bytes that these objects occupy here, as they came from the remote."""
        asked = "\n".join({*objects}).encode()
        out = self.git.run("cat-file", "--batch-check=%(objectsize:disk)", stdin=asked)
        return sum(int(row) for row in out.split() if row.isdigit())

    def descends(self, tip: str, of: str) -> bool:
        """Is `of` in the history of `tip`? (No commit, "", is in every history.)"""
        if not of or not tip:
            return not of
        status, _, error = self.git.attempt("merge-base", "--is-ancestor", of, tip)
        if status > 1 and not self.sound():
            raise DamagedError(reason(error))
        return status == 0

    def seen(self) -> dict[str, str]:
        """The tips that were taken in here."""
        if self._seen is None:
            self._seen = self._refs(_SEEN)
        return self._seen

    def note(self, tips: dict[str, str]) -> None:
        """Remember that these tips were taken in."""
        refs = {f"{_SEEN}{ref.removeprefix('refs/')}": oid for ref, oid in tips.items()}
        if refs:
            if not loose.written(self._store, refs):
                lines = [f"update {ref} {oid}\n" for ref, oid in refs.items()]
                self.git.run("update-ref", "--stdin", stdin="".join(lines).encode())
            self._seen = self.seen() | tips

    def mended(self) -> bool:
        """Was the store's repository at fault, and is it mended now?

        At worst it is created again, and everything fetched again. Under the sync's lock, so that a
        lock file in it is one of a process that was killed.
        """
        swept = self.git.sweep("")
        if self.sound():
            return swept
        self.anew()
        return True

    def sound(self) -> bool:
        """Is the store's repository complete? (Without an answer: can its refs be read?)"""
        check = ["for-each-ref", "--format=%(refname)"]  # git reads them for a remote, too
        if self._reached:
            check = ["fsck", "--no-dangling", "--no-progress"]
        return self.git.attempt(*check)[0] == 0

    def anew(self) -> None:
        """Create the store's repository again. Only the tip of the arbiter seen here is lost."""
        import shutil  # 3 ms

        self._seen = None
        shutil.rmtree(self.git.path)
        init.repository(self._store)

    def tidy(self) -> None:
        """Pack loose objects, if a few hundred syncs left some. A failure does not matter."""
        if not self._grown or not loose.many(self.git.path, _PACK_AT):
            return
        often = ("-c", f"gc.auto={_PACK_AT}", "-c", "gc.autoDetach=false")
        with suppress(Unreachable):
            self.git.attempt(*often, "gc", "--auto", "--quiet")

    def objects(self) -> Objects:
        """The objects that are here now."""
        return Objects(self.git.path)

    def _refs(self, prefix: str) -> dict[str, str]:
        refs = loose.refs(self.git.path, prefix)
        if refs is not None:
            return {f"refs/{ref.removeprefix(prefix)}": oid for ref, oid in refs.items()}
        out = self.git.run("for-each-ref", "--format=%(objectname) %(refname)", prefix).decode()
        rows = (line.partition(" ") for line in out.splitlines())
        return {f"refs/{ref.removeprefix(prefix)}": oid for oid, _, ref in rows}


def _option(name: str, value: str) -> list[str]:
    return [f"{name}={value}"] if value else []


def _like(ref: str, pattern: str) -> bool:
    if "*" in pattern or "[" in pattern:
        from fnmatch import fnmatchcase  # re: 5 ms

        return fnmatchcase(ref, pattern)
    return len(ref) == len(pattern) and all(
        want in ("?", got) for want, got in zip(pattern, ref, strict=True)
    )
