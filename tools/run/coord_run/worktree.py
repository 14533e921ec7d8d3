"""A commit of the user's repository in a work tree for one attempt. No hook runs.

A job of an agent works in the repository: its work tree is linked, so its branches stay. Any other
job has a clone that borrows the objects: it reads the settings of the repository and has a copy of
its refs, and what it does to refs, settings and hooks ends with it.
"""

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
_COPIED = ("refs/heads", "refs/tags", "refs/remotes")


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


def checkout(root: str, repo: object, path: str, linked: bool) -> None:
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
    if linked:
        _ran(commit, root, "worktree", "add", "--detach", "--force", path, commit)
        return
    _clone(commit, root, path)
    _ran(commit, path, "checkout", "--quiet", "--detach", commit, "--")


def _clone(commit: str, root: str, path: str) -> None:
    """A repository at `path`, with nothing checked out. `git clone` copies only some refs."""
    words = ("rev-parse", "--path-format=absolute", "--show-object-format", "--git-common-dir")
    form, _, common = _ran(commit, root, *words).removesuffix(b"\n").partition(b"\n")
    algorithm = f"--object-format={form.decode('ascii')}"
    _ran(commit, root, "init", "--quiet", "--template=", algorithm, path)
    own = os.fsencode(os.path.join(path, ".git"))
    os.makedirs(os.path.join(own, b"objects/info"), exist_ok=True)
    with open(os.path.join(own, b"objects/info/alternates"), "wb") as file:
        file.write(os.path.join(common, b"objects") + b"\n")
    shallow = os.path.join(common, b"shallow")
    if os.path.exists(shallow):
        with open(shallow, "rb") as source, open(os.path.join(own, b"shallow"), "wb") as file:
            file.write(source.read())
    with open(os.path.join(own, b"config"), "rb+") as file:
        ours = file.read()
        file.seek(0)
        # The last one counts: ours stand after what is included.
        file.write(b"[include]\n\tpath = " + _quoted(common + b"/config") + b"\n" + ours)
        file.write(b"[core]\n\thooksPath = " + _quoted(own + b"/hooks") + b"\n")
    form_of_refs = "--format=create %(refname) %(objectname)"
    refs = _ran(commit, root, "for-each-ref", form_of_refs, *_COPIED)
    _ran(commit, path, "update-ref", "--no-deref", "--stdin", stdin=refs)


def _quoted(text: bytes) -> bytes:
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def _ran(commit: str, root: str, *words: str, stdin: bytes = b"") -> bytes:
    status, out, error = git.run([*_GIT, "-C", root, *words], SECONDS, None, stdin)
    if status:
        raise CannotRun(f"cannot check out commit {commit[:12]}: {git.reason(error)}")
    return out


def remove(root: str, path: str) -> None:
    """Remove a work tree with its contents, whatever the job did to it."""
    if os.path.isfile(os.path.join(path, ".git")):
        git.run([*_GIT, "-C", root, "worktree", "remove", "--force", "--force", path], SECONDS)
    if os.path.lexists(path):
        import shutil

        shutil.rmtree(path, ignore_errors=True)
