"""Save the work in progress of a session that is over: as a commit behind a ref of its own.

Only if the project wants that: `[agents] checkpoint = true` in coord.toml. The commit holds all
files of the work tree that git does not ignore, on top of its HEAD. It is made with an index of its
own: branch, index and files stay as they are.
"""

from __future__ import annotations

import os
import tempfile

from coord_envelope.errors import No, Refused, Unreachable
from coord_envelope.event import file_form
from coord_envelope.platform import suppress
from coord_kernel.store import locate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_kernel.rules.presence import Session
    from coord_kernel.store.directory import Store

REFS = "refs/coord-wip"
PATIENCE_S, RECENT = 60, 20
"""How long git may take, and how many sessions of an agent are looked at."""
WHO = ("-c", "user.name=coord", "-c", "user.email=coord@localhost", "-c", "commit.gpgSign=false")


def enabled(store: Store) -> bool:
    """Does the project want it? Raises BadData for a coord.toml that is wrong."""
    return locate.section(store, "agents").get("checkpoint") is True


def save(store: Store, agent: str, session: str) -> Json:
    """Save the work tree of the current directory: {ref, commit, head?, files}.

    Raises Refused if the project does not want it, No if there is nothing to save, Unreachable if
    git fails.
    """
    if not enabled(store):
        todo = "[agents] checkpoint = true in coord.toml enables it"
        raise Refused("checkpoints are not enabled", todo=todo)
    found = locate.repository(os.getcwd())
    if not found or found[1] != locate.common_dir(store.path):
        raise Unreachable("no work tree of this project", where=os.getcwd())
    tree = Tree(found[0])
    ref = ref_of(agent, session)
    head = tree.head()
    with tempfile.TemporaryDirectory(prefix="coord-") as place:
        # Begun with the user's index, in which most files are known to be unchanged.
        index = os.path.join(place, "index")
        tree.copy_index(index)
        tree.git("add", "--all", "--", ":/", index=index)
        content = tree.git("write-tree", index=index)
    before = tree.git("rev-parse", "--verify", "--quiet", f"{head}^{{tree}}") if head else ""
    if content == before:
        raise No("nothing to save: no file differs from HEAD", where=found[0])
    parent = ("-p", head) if head else ()
    message = f"Work in progress of {agent}, session {session}"
    commit = tree.git("commit-tree", content, *parent, "-m", message)
    files = tree.git("diff-tree", "-r", "--name-only", "-z", before, content) if before else ""
    tree.git("update-ref", "-m", "coord: checkpoint", ref, commit)
    row: Json = {"ref": ref, "commit": commit, "files": files.count("\0")}
    return row | ({"head": head} if head else {})


def refuse_living(store: Store, agent: str, session: str) -> None:
    """Raise No for a session that the store does not know, or that is not known to be over."""
    from coord_kernel.rules import presence
    from coord_kernel.views.presence import Sessions

    known = [each for each in Sessions(store).refresh().of(agent) if each["session"] == session]
    if not known:
        todo = f"`ev agents {agent.removeprefix('agent:')}` lists its sessions"
        raise No("no such session", where=session, todo=todo, code="not_found")
    if any(presence.is_open(each) and not _died(store, each) for each in known):
        raise No("is not over", where=session, todo="end it, or wait for a patrol to do so")


def save_crashed(store: Store, actor: Json) -> None:
    """Save the work tree of the current directory for the agent's sessions that died in it.

    Once each, before the actor's session changes something. Raises as `save`.
    """
    from itertools import islice

    from coord_kernel.views.presence import Sessions

    here, agent = locate.repository(os.getcwd()), actor["agent_id"]
    if here is None:
        return
    for state in islice(Sessions(store).refresh().of(agent), RECENT):
        cwd = state["started"][2].get("cwd") if "started" in state else None
        same = isinstance(cwd, str) and locate.repository(cwd) == here
        if not same or state["session"] == actor.get("session_id") or not _died(store, state):
            continue
        ref = ref_of(agent, state["session"])
        if not Tree(here[0]).git("rev-parse", "--verify", "--quiet", ref, fails=""):
            with suppress(No):
                save(store, agent, state["session"])


def _died(store: Store, state: Session) -> bool:
    """Did it end without an end of its own, or does nobody hold its lock any more?"""
    from coord_kernel.rules import presence
    from coord_kernel.store import pins

    if state["replica"] not in store.replicas():
        return False
    if presence.is_open(state):
        pin = state["started"][2].get("pin")
        return isinstance(pin, str) and pins.dropped(store, *pin.split("/"))
    return state["ended"][2].get("how") in ("crash", "lost")


def ref_of(agent: str, session: str) -> str:
    """The ref of a session's work."""
    return f"{REFS}/{file_form(agent)}/{_word(session)}"


def _word(session: str) -> str:
    """The session as a part of a ref's name: another one for each session."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in session)
    if kept == session and 0 < len(kept) <= 100:
        return kept
    import zlib

    return f"{kept[:90]}-{zlib.crc32(session.encode('utf-8', 'replace')):08x}"


class Tree:
    """A work tree, through git, without anything of the caller's that says which one."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}

    def head(self) -> str:
        """The commit that is checked out; "" if there is none yet."""
        return self.git("rev-parse", "--verify", "--quiet", "HEAD", fails="")

    def copy_index(self, to: str) -> None:
        """Copy its index, if it has one. Raises OSError."""
        import shutil  # 4 ms

        index = os.path.join(self._path, self.git("rev-parse", "--git-path", "index"))
        if os.path.exists(index):
            shutil.copyfile(index, to)

    def git(self, *argv: str, index: str = "", fails: str | None = None) -> str:
        """What git prints, without its last newline; `fails` if it fails, or raises Unreachable."""
        import subprocess  # 18 ms

        env = self._env | ({"GIT_INDEX_FILE": index} if index else {})
        command = ["git", "-C", self._path, *WHO, *argv]
        try:
            done = subprocess.run(command, env=env, capture_output=True, timeout=PATIENCE_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unreachable(f"git {argv[0]}: {error}") from None
        if done.returncode == 0:
            return done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")
        if fails is not None:
            return fails
        why = done.stderr.decode("utf-8", "replace").strip().split("\n")[0]
        raise Unreachable(f"git {argv[0]}: {why or done.returncode}")
