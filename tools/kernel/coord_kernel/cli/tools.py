"""The five tools run as processes: what they refuse is raised as the same failure."""

from __future__ import annotations

import os
import subprocess

from coord_envelope import codec
from coord_envelope.errors import (
    BadData,
    DiskFault,
    Fault,
    No,
    NoAddressee,
    Refused,
    TryAgain,
    Unreachable,
    Usage,
)
from coord_kernel.cli.session import VARIABLES
from coord_kernel.proc import beside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from coord_envelope.codec import Json

PATIENCE_S = 120
"""How long one may take; a claim may ask a remote."""
_FAULTS: dict[int, type[Fault]] = {
    kind.status: kind
    for kind in (No, Usage, BadData, NoAddressee, Unreachable, DiskFault, TryAgain, Refused)
}


def failure(stderr: bytes, status: int) -> Fault:
    """The first failure that a command printed with `--errors json`, else one of this status."""
    for line in stderr.split(b"\n"):
        try:
            said = codec.loads(line)
            fault = Fault(said["what"], said["where"], said["todo"], said["code"])
            fault.status = said["status"]
        except (ValueError, TypeError, KeyError):
            continue
        if fault.status:
            return fault
    fault = Fault(f"ended with status {status}")
    fault.status = status
    return fault


class Tools:
    """The tools, run as one agent, without a session, in one directory."""

    def __init__(self, agent: str, directory: str) -> None:
        self.directory = directory
        ours = {name: text for name, text in os.environ.items() if name not in VARIABLES}
        self.env = {**ours, "PATH": beside.path(), "COORD_AGENT": agent}

    def run(
        self,
        *argv: str,
        cwd: str | None = None,
        keep: Collection[int] = (),
        lines: Iterable[Json] | None = None,
    ) -> list[Json]:
        """The JSON lines that a tool prints. It inherits the descriptors `keep`, and reads `lines`.

        Raises a Fault of the status that it exits with, with its first line.
        """
        data = None if lines is None else b"".join(codec.dumps(line) + b"\n" for line in lines)
        done = self.ran(argv, self.env, cwd or self.directory, keep, data)
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
            what = said.removeprefix(f"{argv[0]}: ") or f"exit status {done.returncode}"
            raise _FAULTS.get(done.returncode, Fault)(what, where=" ".join(argv[:2]))
        return [codec.loads(line) for line in done.stdout.split(b"\n") if line.startswith(b"{")]

    def ran(
        self,
        argv: Collection[str],
        env: Mapping[str, str],
        cwd: str,
        keep: Collection[int] = (),
        data: bytes | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """How a program ended. Raises Unreachable if there is none, TryAgain if it takes long."""
        nothing = None if data is not None else subprocess.DEVNULL
        try:
            return subprocess.run(
                list(argv),
                env=env,
                cwd=cwd,
                stdin=nothing,
                input=data,
                capture_output=True,
                timeout=PATIENCE_S,
                pass_fds=tuple(keep),
            )
        except FileNotFoundError as error:
            raise Unreachable("no such program", where=str(error.filename)) from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise TryAgain(str(error), where=next(iter(argv))) from None
