"""Which paths are about to be committed, relative to the root of the repository."""

from __future__ import annotations

import os

from coord_envelope import BadData, Unreachable
from coord_kernel.store import locate


def staged() -> list[str]:
    """The paths that git's index changes against HEAD; of a rename both.

    git's variables stay as they are: in a hook they name the index that is being committed. Raises
    Unreachable if git fails.
    """
    from coord_kernel.proc import spawn

    argv = [
        "git",
        "diff",
        "--cached",
        "--name-only",
        "-z",
        "--no-renames",
        "--no-relative",
        "--no-ext-diff",
    ]
    try:
        status, out, error = spawn.run(argv, dict(os.environ))
    except OSError as reason:
        raise Unreachable(
            f"cannot run git: {(reason.strerror or str(reason)).lower()}", todo="give paths"
        ) from None
    if status:
        why = error.decode("utf-8", "replace").strip().split("\n")[0]
        raise Unreachable(f"git cannot list staged paths: {why}", todo="give paths")
    return [os.fsdecode(path) for path in out.split(b"\0") if path]


def from_root(path: str, store: str) -> str:
    """A path of this directory, relative to the work tree. Raises BadData if it is outside."""
    found = locate.repository(os.getcwd())
    root = found[0] if found else os.path.dirname(store)
    relative = os.path.relpath(os.path.normpath(os.path.join(os.getcwd(), path)), root)
    if relative == os.curdir or relative.split("/")[0] == os.pardir:
        raise BadData("outside the repository", where=path)
    return relative
