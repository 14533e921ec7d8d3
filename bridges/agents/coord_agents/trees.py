"""Work trees for agents: a pool with a cap. None that holds work is reused or removed.

    local/worktrees/N        a work tree, on a branch for each session: agents/NAME/SESSION
    local/worktrees/N.lock   locked by the session that works there, until its last process is gone
    local/worktrees/N.made   there once the work tree is complete

1. The first is taken that nobody has locked and that is clean: no change, no file that git does not
   know or ignore, and its commit is on a branch. So what a crashed session left stays, and counts.
2. A tree that was not completed (the start was killed meanwhile) is made again.
"""

from __future__ import annotations

import os

from coord_envelope.errors import Fault, TryAgain
from coord_envelope.platform import suppress
from coord_kernel.store import locate, pins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_agents.tools import Tools
    from coord_kernel import Store

POOL = ("local", "worktrees")


def take(store: Store, tools: Tools, branch: str, most: int) -> tuple[int, str]:
    """A descriptor that holds the lock, and the path of a clean work tree on a new branch.

    It begins at the commit of the current work tree. Raises TryAgain if all are taken, Fault.
    """
    here = locate.tree(store)
    commit = tools.git("rev-parse", "--verify", "HEAD^{commit}", cwd=here)
    for number in range(1, most + 1):
        fd = pins.take(store, *POOL, f"{number}.lock")
        if fd is None:
            continue
        path = os.path.join(store.path, *POOL, str(number))
        try:
            if not _made(path):
                _make(store, tools, number, (branch, commit))
            elif _clean(tools, path):
                tools.git("checkout", "-q", "-b", branch, commit, cwd=path)
            else:
                os.close(fd)
                continue
        except BaseException:
            os.close(fd)
            raise
        return fd, path
    raise TryAgain(
        f"all {most} work trees are in use or hold work that is not committed",
        todo="see `git worktree list`, or raise [agents] worktrees in coord.toml",
    )


def _made(path: str) -> bool:
    return os.path.exists(f"{path}.made")


def _make(store: Store, tools: Tools, number: int, begin: tuple[str, str]) -> None:
    branch, commit = begin
    path, root = os.path.join(store.path, *POOL, str(number)), locate.root(store.path)
    with suppress(Fault):
        tools.git("worktree", "remove", "--force", "--force", path, cwd=root)
    if os.path.isdir(path):
        import shutil

        shutil.rmtree(path)
    tools.git("worktree", "prune", cwd=root)
    tools.git("worktree", "add", "-q", "-b", branch, path, commit, cwd=root)
    os.close(os.open(f"{path}.made", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))


def _clean(tools: Tools, path: str) -> bool:
    try:
        if tools.git("status", "--porcelain", cwd=path):
            return False
        return bool(tools.git("for-each-ref", "--contains", "HEAD", "--count=1", cwd=path))
    except Fault:  # not a work tree any more: somebody has to look
        return False
