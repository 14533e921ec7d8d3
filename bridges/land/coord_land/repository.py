"""The repository of a merge queue: what is there, merges without a work tree, and the landing.

Everybody who merges the same requests on the same base makes the same commits: author and message
are of the request, the committer is fixed, the date is the request's or that of the commit below,
and settings of the user that change a merge are overridden.

Landing is a compare-and-swap: a push that names the commit that the target has to be. `.` as the
remote is this repository; git itself updates a clean work tree that has the target checked out,
and refuses if it is not clean.
"""

from __future__ import annotations

import os
import re

from coord_envelope import world
from coord_envelope.errors import BadData, No, TryAgain, Unreachable
from coord_kernel.store import machine
from coord_land.git import Git, said

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from coord_land.fold import Request

HERE = "."
KEPT, CHECKED = "refs/land/", "refs/heads/coord-land/"
"""Where commits of requests are kept, and where hosted checks find what to check."""
TRAILER = "Land-Request"
OLDEST = (2, 38)
"""The first git that merges without a work tree."""
NAME, EMAIL = "coord-land", "coord-land@coord.invalid"
FLOOR_MS = 1_000
"""How old a listing of a remote's refs may be. A push is refused if it was too old."""
MOST_FILES = 50
_UPDATE = "--receive-pack=git -c receive.denyCurrentBranch=updateInstead receive-pack"


_NO_NAME = re.compile(r"""[\x00-\x20.,:;<>"\\']*""")
"""What git refuses as a name if there is nothing else in it."""


class Conflict(Exception):
    """A commit does not merge: why it leaves, as in `land.rejected`, and what git says."""

    def __init__(self, files: Sequence[str], note: str, why: str = "conflict") -> None:
        self.files, self.note, self.why = files, note, why


class Repository(Git):
    """One repository, and the remote whose branch is the target."""

    def __init__(self, root: str, remote: str, target: str) -> None:
        """Raises BadData, Unreachable."""
        super().__init__(root)
        self.remote, self.target = remote, f"refs/heads/{target}"
        version = self.git("version").split()[2].split(".")
        if tuple(int(part) for part in version[:2] if part.isdigit()) < OLDEST:
            what = f"git {'.'.join(version)} cannot merge without a work tree"
            raise Unreachable(what, todo="install git 2.38 or later")
        if self._ran("check-ref-format", self.target)[0]:
            raise BadData(f"not a valid branch: {target!r}", where="target")
        if self.git("rev-parse", "--is-shallow-repository").strip() == "true":
            what, todo = (
                "a shallow repository: its history is not all here",
                "git fetch --unshallow",
            )
            raise BadData(what, todo=f"run `{todo}`")
        # What is tested is of the one, and what lands is pushed to the other.
        words = ("remote", "get-url", "--all")
        if self._ran(*words, "--", remote)[1] != self._ran(*words, "--push", "--", remote)[1]:
            todo = "remove its pushurl, or name another remote in [land]"
            raise BadData("its push URL is not its fetch URL", where=f"remote {remote}", todo=todo)
        self._listed, self._until = dict[str, str](), 0
        # What was looked up of commits stays as it is.
        self._present = set[str]()
        self._landed: tuple[object, dict[str, str]] = (None, {})
        self._contained: dict[tuple[str, str], bool] = {}
        self._merged: dict[tuple[str, str, bool], str | Conflict] = {}
        self._varied: dict[tuple[str, ...], str] = {}

    # ---- what is there

    def refs(self) -> dict[str, str]:
        """The commits of the target, of the requests and of hosted checks, by ref."""
        if self.remote == HERE:
            form = "--format=%(objectname)%09%(refname)"
            return _refs(self.git("for-each-ref", form, self.target, KEPT[:-1], CHECKED[:-1]))
        if machine.boot_ns() > self._until:
            words = (self.remote, self.target, f"{KEPT}*", f"{CHECKED}*")
            self._listed = _refs(self.git("ls-remote", *words))
            self._until = machine.boot_ns() + FLOOR_MS * 1_000_000
        return self._listed

    def missing(self, commits: Collection[str]) -> set[str]:
        """Those that this repository does not have."""
        unknown = set(commits) - self._present
        if unknown:
            stdin = "".join(f"{commit}^{{commit}}\n" for commit in unknown)
            lines = self.git("cat-file", "--batch-check=%(objectname)", stdin=stdin).splitlines()
            absent = {line.split("^")[0] for line in lines if line.endswith(" missing")}
            self._present |= unknown - absent
        return unknown - self._present

    def fetch(self, refs: Iterable[str]) -> None:
        """Have the commits of these refs of the remote; no ref changes here."""
        plain = ("--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--quiet")
        self.git("fetch", *plain, self.remote, *refs)

    def resolve(self, name: str) -> str | None:
        """The commit that a name is now, in the current directory's work tree."""
        words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        status, out, _ = self._ran(*words, cwd=os.getcwd())
        return None if status else out.strip() or None

    def branch(self) -> str | None:
        """The branch that is checked out in the current directory."""
        words = ("symbolic-ref", "--quiet", "--short", "HEAD")
        return self._ran(*words, cwd=os.getcwd())[1].strip() or None

    def name(self, name: str) -> str | None:
        """The branch or tag that a name stands for, in the current directory; None for a commit."""
        words = (
            "rev-parse",
            "--verify",
            "--quiet",
            "--symbolic-full-name",
            "--end-of-options",
            name,
        )
        full = self._ran(*words, cwd=os.getcwd())[1].strip().removeprefix("refs/")
        for kind in ("heads/", "tags/", "remotes/"):
            if full.startswith(kind):
                return full.removeprefix(kind)[:200]
        return None

    def subject(self, commit: str) -> str:
        """The first line of its message."""
        return self.git("log", "-1", "--format=%s", commit).strip()

    def text(self, commit: str, path: str) -> bytes | None:
        """A file as it is in a commit; None if there is none."""
        status, out, _ = self._bytes("cat-file", "blob", f"{commit}:{path}")
        return None if status else out

    def contains(self, commit: str, other: str) -> bool:
        """Is the other commit this one, or one before it?"""
        key = (commit, other)
        if key not in self._contained:
            status, _, err = self._ran("merge-base", "--is-ancestor", other, commit)
            if status > 1:
                raise Unreachable(said(err), where="git merge-base")
            self._contained[key] = status == 0
        return self._contained[key]

    def landed(self, tip: str, requests: Collection[Request]) -> dict[str, str]:
        """Request → the commit of the target that landed it, of these requests.

        That is one with its trailer that contains the request's commit, or is what a queue makes
        of it. They are looked for from the tip down to what it has in common with all requests: a
        commit that landed a request is not an ancestor of the request's own.
        """
        wanted = {each["id"]: each for each in requests}
        asked = (tip, frozenset(wanted))
        if self._landed[0] != asked:
            commits = {each["sha"] for each in requests}
            pairs = self._with_trailers(tip, commits) if commits else ()
            found = {
                request: commit
                for commit, request in pairs
                if request in wanted and self._has(commit, wanted[request])
            }
            self._landed = (asked, found)
        return self._landed[1]

    def _with_trailers(self, tip: str, commits: Collection[str]) -> Iterator[tuple[str, str]]:
        status, common, _ = self._ran("merge-base", "--octopus", tip, *commits)
        until = [] if status else [f"^{common.strip()}"]
        form = f"--format=%H %(trailers:key={TRAILER},valueonly,separator=%x20)"
        text = self.git("log", f"--grep=^{TRAILER}: ", form, tip, *until, "--")
        for line in text.splitlines():
            commit, *requests = line.split()
            for request in requests:
                yield commit, request

    def _has(self, commit: str, request: Request) -> bool:
        if self.contains(commit, request["sha"]):
            return True
        below = self._ran("rev-parse", "--verify", "--quiet", f"{commit}^")[1].strip()
        try:
            return bool(below) and self.merged(below, request, True) == commit
        except Conflict:
            return False

    # ---- merges

    def merged(self, below: str, request: Request, squash: bool) -> str:
        """The commit of a request on top of another commit. Raises Conflict, Unreachable."""
        key = (below, request["id"], squash)
        if key not in self._merged:
            try:
                self._merged[key] = self._merge(below, request, squash)
            except Conflict as conflict:
                self._merged[key] = conflict
        answer = self._merged[key]
        if isinstance(answer, Conflict):
            raise answer
        return answer

    def _merge(self, below: str, request: Request, squash: bool) -> str:
        try:
            return self._made(below, request, squash)
        except Unreachable as fault:
            # If git can do as much without the request, it is the request's.
            stamp = int(self.git("log", "-1", "--format=%ct", below).strip())
            self._commit(f"{below}^{{tree}}", (below,), "It can write\n", (NAME, EMAIL, stamp))
            raise Conflict((), f"{fault.where}: {fault.what}", "git") from None

    def _made(self, below: str, request: Request, squash: bool) -> str:
        sha = request["sha"]
        if self._ran("merge-base", below, sha)[0]:
            raise Conflict((), "its history has nothing in common with the target's")
        words = ("merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", below, sha)
        status, out, err = self._ran(*words, **self._bare())
        tree, *files = out.split("\0")
        if status == 1:
            raise Conflict(list(filter(None, files))[:MOST_FILES], "it conflicts")
        if status:
            raise Unreachable(said(err), where="git merge-tree")
        if tree == self.git("rev-parse", f"{below}^{{tree}}").strip():
            raise Conflict((), "", "empty")
        author, email = self.git("log", "-1", "--format=%an%n%ae", sha).split("\n")[:2]
        stamps = self.git("log", "-1", "--format=%ct", below).strip()
        parents = (below,) if squash else (below, sha)
        message = _message(request, squash)
        return self._commit(tree, parents, message, (author, email, _seconds(request, int(stamps))))

    def _bare(self) -> dict[str, Any]:
        """A work tree that is empty: a merge obeys the .gitattributes that it finds there."""
        own = self.git("rev-parse", "--absolute-git-dir").strip()
        empty = os.path.join(own, "objects", "info")
        return {"env": {"GIT_DIR": own, "GIT_WORK_TREE": empty}, "cwd": own}

    def _commit(
        self, tree: str, parents: Iterable[str], message: str, by: tuple[str, str, int]
    ) -> str:
        author, email, seconds = by
        env = {
            "GIT_AUTHOR_NAME": NAME if _NO_NAME.fullmatch(author) else author,
            "GIT_AUTHOR_EMAIL": email or EMAIL,
            "GIT_COMMITTER_NAME": NAME,
            "GIT_COMMITTER_EMAIL": EMAIL,
            "GIT_AUTHOR_DATE": f"{seconds} +0000",
            "GIT_COMMITTER_DATE": f"{seconds} +0000",
        }
        words = [word for parent in parents for word in ("-p", parent)]
        return self.git("commit-tree", tree, *words, stdin=message, env=env).strip()

    def varied(self, commit: str, base: str, paths: Sequence[str]) -> str:
        """The commit with these paths (git's patterns) as the base has them; itself if it has."""
        key = (commit, base, *paths)
        if key not in self._varied:
            self._varied[key] = self._vary(commit, base, [f":(glob){path}" for path in paths])
        return self._varied[key]

    def _vary(self, commit: str, base: str, paths: list[str]) -> str:
        words = ("diff-tree", "-r", "-z", "--no-renames", "--raw", "--no-abbrev", commit, base)
        fields = self.git(*words, "--", *paths).split("\0")
        changes = list(zip(fields[::2], fields[1::2], strict=False))
        if not changes:
            return commit
        # `:MODE MODE ID ID STATUS`, the second of each is the base's; mode 0 removes.
        lines = (f"{change.split()[1]} {change.split()[3]}\t{path}\0" for change, path in changes)
        index = os.path.join(self.git("rev-parse", "--absolute-git-dir").strip(), "coord-land")
        env = {"GIT_INDEX_FILE": f"{index}.{os.getpid()}"}
        try:
            self.git("read-tree", commit, env=env)
            self.git("update-index", "-z", "--index-info", stdin="".join(lines), env=env)
            tree = self.git("write-tree", env=env).strip()
        finally:
            if os.path.exists(env["GIT_INDEX_FILE"]):
                os.unlink(env["GIT_INDEX_FILE"])
        seconds = int(self.git("log", "-1", "--format=%ct", commit).strip())
        message = f"Gate files of {base}\n"
        return self._commit(tree, (commit,), message, (NAME, EMAIL, seconds))

    # ---- changes

    def change(self, ref: str, old: str, new: str) -> None:
        """Change a ref of the remote from one commit to another; empty: absent.

        If it is another one meanwhile, nothing happens: who looks again sees that. Raises TryAgain
        if it cannot be changed.
        """
        here = [_UPDATE] if self.remote == HERE else []
        lease = f"--force-with-lease={ref}:{old}"
        words = ("push", "--no-verify", "--porcelain", "--quiet", *here, lease)
        status, out, err = self._ran(*words, self.remote, f"{new}:{ref}")
        self._until = 0
        if status and self.refs().get(ref, "") == old:
            refused = [line.split("\t")[-1] for line in out.splitlines() if line.startswith("!")]
            where, todo = f"push to {self.remote}", self._in_the_way(ref)
            raise TryAgain(next(iter(refused), said(err)), where=where, todo=todo)

    def _in_the_way(self, ref: str) -> str:
        """What to do about a ref that is named as a directory of this one."""
        parts = ref.split("/")
        above = ["/".join(parts[:end]) for end in range(2, len(parts))]
        status, out, _ = self._ran("ls-remote", self.remote, *above)
        for found in () if status else _refs(out):
            if found in above:
                return f"rename {found}: it is in the way of {ref}"
        return ""


def _refs(text: str) -> dict[str, str]:
    pairs = (line.split("\t", 1) for line in text.splitlines())
    return {ref: commit for commit, ref in pairs}


def _message(request: Request, squash: bool) -> str:
    branch, title = (plain(request[name]) for name in ("branch", "title"))
    subject = title or branch if squash else f"Merge {branch}: {title}"
    return f"{subject}\n\n{TRAILER}: {request['id']}\n"


def plain(text: str) -> str:
    """In one line, without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _seconds(request: Request, below: int) -> int:
    """The date of a request's commit: not before that of the commit below."""
    try:
        return max(world.parse_ts(request["ts"]) // 1_000, below)
    except ValueError:
        return below


def target_of(refs: Mapping[str, str], target: str, name: str) -> str:
    """The commit of the target. Raises No."""
    if target not in refs:
        raise No("no such branch", where=name, todo="make it, or set [land] target in coord.toml")
    return refs[target]
