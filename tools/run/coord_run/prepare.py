"""From a request to what is started: directory, input, variables and secrets, and their removal."""

from __future__ import annotations

import os

from coord_envelope import Fault
from coord_kernel.store.blobs import Blobs
from coord_run import secret, session, substrate
from coord_run.failure import CannotRun
from coord_run.logs import STREAMS, place
from coord_run.substrate import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_envelope import Event
    from coord_kernel import Store
    from coord_run.mask import Mask
    from coord_run.types import Request


class Plan:
    """What to run, and by which claim."""

    unconfirmed = False
    """Must the arbiter confirm the claim before the command is started?"""
    sandbox: Sequence[str] = ()
    """Words before the command's."""
    only = False
    """Is there no other attempt, even if this one does not start the command? (`run exec`)"""

    def __init__(self, request: Request, claim: Event, root: str, where: str) -> None:
        """`root` is the directory that the request's `cwd` is below, `where` the substrate."""
        self.run, self.body, self.claim = request["id"], request["body"], claim
        self.about = request.get("work") or request["id"]
        self.trace = request.get("trace")
        self.root, self.where = root, where
        self.n: int = claim["body"]["n"]
        self.token: int = claim["body"]["gen"]
        self.lease_ms: int = claim["body"]["lease_ms"]


class Preparation:
    """What an attempt needs before its command, and leaves behind."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self._plan, self._store = plan, store
        self._command: Command | None = None
        self._tree: str | None = None
        self.masks: Sequence[Mask | None] = [None] * len(STREAMS)
        """What hides secrets in each stream of the output: it holds back what may begin one."""

    def command(self, resumes: bool) -> Command:
        """What to start. Raises CannotRun: the job cannot be run here.

        `resumes`: may what the attempt before started go on?
        """
        from coord_kernel.rules import tracing  # only in an attempt

        plan, body = self._plan, self._plan.body
        secrets = secret.values(body.get("secrets", ()))
        ours = {"RUN_ID": plan.run, "RUN_ATTEMPT": str(plan.n), "RUN_TOKEN": str(plan.token)}
        trace = plan.trace or tracing.trace_of(plan.about)
        ours["TRACEPARENT"] = tracing.traceparent(trace, plan.claim.id)
        env = {**body.get("env", {}), **secrets, **ours}
        env |= session.variables(env, plan.run, plan.n)
        if secrets:
            from coord_run.mask import Mask

            self.masks = [Mask(secrets.values()) for _ in STREAMS]
        command = Command([*plan.sandbox, *body["argv"]], env, self._directory(), self._input())
        command.resumes = resumes
        try:
            substrate.chosen(plan.where)(command)
        except Fault as fault:
            raise CannotRun(fault.what) from None
        self._command = command
        return command

    def _directory(self) -> tuple[str, str]:
        """The root, which may be a work tree of its own, and where the command runs below it."""
        plan, root = self._plan, os.path.realpath(self._plan.root)
        if "repo" in plan.body:
            from coord_run import worktree

            if _elsewhere(plan.where):
                raise CannotRun(f"--repo is not supported with {plan.where.partition(':')[0]}")
            self._tree = _tree(self._store, plan.run, plan.n)
            linked = session.agent_of(plan.body.get("env", {})) is not None
            worktree.checkout(root, plan.body["repo"], self._tree, linked)
            root = os.path.realpath(self._tree)
        below = plan.body.get("cwd", ".")
        cwd = os.path.realpath(os.path.join(root, below))
        if os.path.commonpath((cwd, root)) != root:
            raise CannotRun(f"{below} leads out of {root}")
        if _elsewhere(plan.where):
            return root, "."
        if not os.path.isdir(cwd):
            raise CannotRun(f"no such directory here: {cwd}")
        return root, os.path.relpath(cwd, root)

    def _input(self) -> bytes:
        blob = self._plan.body.get("stdin")
        if blob is None:
            return b""
        try:
            return Blobs(self._store).get(blob.get("sha256"))
        except Fault as fault:
            raise CannotRun(f"its input: {fault.what}") from None

    def tidy(self, over: bool) -> None:
        """Remove what was made for the attempt, which is `over` or given back."""
        if self._command and self._command.after and (over or not self._command.survives):
            import subprocess

            # No pipes: what it leaves behind is not waited for.
            nothing = subprocess.DEVNULL
            subprocess.run(
                self._command.after, stdin=nothing, stdout=nothing, stderr=nothing, check=False
            )
        if self._tree:
            drop_tree(self._store, self._plan.root, self._plan.run, self._plan.n)


def _elsewhere(where: str) -> bool:
    """Are this host's files not there?"""
    return where.partition(":")[0] in ("ssh", *substrate.SPRITES)


def drop_tree(store: Store, root: str, run: str, n: int) -> None:
    """Remove the work tree of an attempt, if it has one."""
    path = _tree(store, run, n)
    if os.path.lexists(path):
        from coord_run import worktree

        worktree.remove(root, path)


def _tree(store: Store, run: str, n: int) -> str:
    return os.path.join(store.path, *place(run, str(n), "tree"))
