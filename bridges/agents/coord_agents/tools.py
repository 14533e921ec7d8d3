"""The five tools and git, run as processes: what they refuse is raised as the same failure."""

from __future__ import annotations

import subprocess

from coord_envelope.errors import Fault, TryAgain
from coord_kernel.cli.tools import PATIENCE_S
from coord_kernel.cli.tools import Tools as Processes

__all__ = ["Tools"]


class Tools(Processes):
    """The tools, run as one agent, without a session, in one directory; and git."""

    def wait(self, run: str) -> None:
        """Wait until a job is over. Raises TryAgain if that takes too long."""
        nothing = subprocess.DEVNULL
        argv = ["run", "attach", run]
        try:
            subprocess.run(
                argv,
                env=self.env,
                stdin=nothing,
                stdout=nothing,
                stderr=nothing,
                timeout=PATIENCE_S,
            )
        except subprocess.TimeoutExpired:
            raise TryAgain("is not over yet", where=run) from None

    def git(self, *argv: str, cwd: str) -> str:
        """What git prints. Raises Fault."""
        env = {name: text for name, text in self.env.items() if not name.startswith("GIT_")}
        done = self.ran(["git", *argv], env | {"LC_ALL": "C"}, cwd)
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().split("\n")[-1]
            raise Fault(said or f"exit status {done.returncode}", where=f"git {argv[0]}")
        return done.stdout.decode("utf-8", "surrogateescape").strip()
