"""Which paths are about to be committed, as they are called from the root of the repository."""

from __future__ import annotations

import os

from coord_envelope import BadData, Unreachable
from coord_kernel.store.locate import work_tree


def staged() -> list[str]:
    """The paths that the index changes against HEAD; of a rename both. Raises Unreachable if git cannot say.

    git's variables stay as they are: in a hook they name the index that is being committed.
    """
    import subprocess  # 20 ms

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
        done = subprocess.run(argv, capture_output=True)
    except OSError as error:
        raise Unreachable(
            f"git cannot be run: {(error.strerror or str(error)).lower()}", todo="give paths"
        ) from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().split("\n")[0]
        raise Unreachable(f"git does not say what is staged: {said}", todo="give paths")
    return [os.fsdecode(path) for path in done.stdout.split(b"\0") if path]


def from_root(path: str, store: str) -> str:
    """A path as given here, as it is called from the work tree's root. Raises BadData if it is not below it."""
    root = work_tree() or os.path.dirname(store)
    found = os.path.relpath(os.path.normpath(os.path.join(os.getcwd(), path)), root)
    if found == os.curdir or found.split("/")[0] == os.pardir:
        raise BadData("is no path in the repository", where=path)
    return found
