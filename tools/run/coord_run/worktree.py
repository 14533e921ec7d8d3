"""A commit of the user's repository in a work tree for one attempt. No hook runs."""

from __future__ import annotations

import os

from coord_envelope import BadData
from coord_kernel.sync import git
from coord_run.failure import CannotRun

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json

SECONDS = 600.0
_GIT = ("git", "-c", "core.hooksPath=/dev/null", "-c", "protocol.ext.allow=never")


def reference(root: str, ref: str) -> Json:
    """The `repo` of a request: the commit that a ref of the repository is now. Raises BadData."""
    command = [*_GIT, "-C", root]
    words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    status, out, _ = git.run([*command, *words], SECONDS)
    if status:
        raise BadData("not a commit of this repository", where=f"--repo {ref}")
    _, url, _ = git.run([*command, "config", "--get", "remote.origin.url"], SECONDS)
    return {
        "url": _public(url.decode("utf-8", "replace").strip()),
        "commit": out.decode("ascii").strip(),
    }


def _public(url: str) -> str:
    """A URL without the name and password in it."""
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}" if separator else url


def checkout(root: str, repo: object, path: str) -> None:
    """Make the work tree at `path`, of the repository that contains `root`. Raises CannotRun."""
    commit = repo.get("commit") if isinstance(repo, dict) else None
    if (
        not isinstance(commit, str)
        or len(commit) not in (40, 64)
        or commit.strip("0123456789abcdef")
    ):
        raise CannotRun("repo.commit: not a full commit id")
    if os.path.lexists(path):
        remove(root, path)
    status, _, error = git.run(
        [*_GIT, "-C", root, "worktree", "add", "--detach", "--force", path, commit], SECONDS
    )
    if status:
        raise CannotRun(f"cannot check out commit {commit[:12]}: {git.reason(error)}")


def remove(root: str, path: str) -> None:
    """Remove a work tree with its contents."""
    git.run([*_GIT, "-C", root, "worktree", "remove", "--force", "--force", path], SECONDS)
