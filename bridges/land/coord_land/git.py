"""git for a merge queue: the settings, attributes and hooks of its user change nothing."""

from __future__ import annotations

import os
import subprocess

from coord_envelope.errors import TryAgain, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE_S = 600
_ALWAYS = (
    *("core.hooksPath=/dev/null", "core.quotePath=false", "core.attributesFile=/dev/null"),
    *("color.ui=false", "core.fsmonitor=false", "grep.patternType=basic", "commit.gpgSign=false"),
    *("gc.auto=0", "maintenance.auto=false", "fetch.recurseSubmodules=false"),
    *("fetch.prune=false", "fetch.pruneTags=false", "fetch.writeCommitGraph=false"),
    *("push.gpgSign=false", "push.followTags=false", "push.recurseSubmodules=no"),
    *("merge.renames=true", "merge.directoryRenames=conflict", "merge.renameLimit=7000"),
    *("merge.renormalize=false", "diff.algorithm=myers", "diff.renames=true"),
    *("diff.orderFile=/dev/null", "diff.relative=false", "diff.ignoreSubmodules=none"),
    *("log.showSignature=false", "log.follow=false", "trailer.separators=:"),
    *("i18n.commitEncoding=UTF-8", "i18n.logOutputEncoding=UTF-8"),
)
"""What its commands obey. How a remote is reached is left to the user's settings."""


class Git:
    """git in one repository."""

    def __init__(self, root: str) -> None:
        self._root = root

    def git(self, *words: str, stdin: str = "", env: Mapping[str, str] | None = None) -> str:
        """What git prints. Raises Unreachable."""
        status, out, err = self._ran(*words, stdin=stdin, env=env)
        if status:
            raise Unreachable(said(err) or f"exit status {status}", where=f"git {words[0]}")
        return out

    def _ran(
        self,
        *words: str,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> tuple[int, str, str]:
        """Exit status, stdout and stderr."""
        data = stdin.encode("utf-8", "surrogateescape")
        status, out, err = self._bytes(*words, stdin=data, env=env, cwd=cwd)
        return status, out.decode("utf-8", "surrogateescape"), err

    def _bytes(
        self,
        *words: str,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> tuple[int, bytes, str]:
        # How the user reaches a remote is kept; the rest may be a hook's, of another repository.
        ours = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith("GIT_") or name.startswith(("GIT_SSH", "GIT_ASKPASS"))
        }
        ours |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_ATTR_NOSYSTEM": "1"}
        ours |= {"GIT_NO_REPLACE_OBJECTS": "1", **(env or {})}
        config = [word for setting in _ALWAYS for word in ("-c", setting)]
        argv = ["git", "-C", cwd or self._root, *config, *words]
        try:
            done = subprocess.run(
                argv, env=ours, input=stdin, capture_output=True, timeout=PATIENCE_S
            )
        except FileNotFoundError:
            raise Unreachable("git is not installed", todo="install git 2.38 or later") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise TryAgain(str(error), where=f"git {words[0]}") from None
        return done.returncode, done.stdout, done.stderr.decode("utf-8", "replace")


def said(err: str) -> str:
    """What git says is wrong, in a line: the first that is fatal, else an error, else the last."""
    lines = [line.strip() for line in err.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("hint:")]
    for kind in ("fatal: ", "error: "):
        for line in lines:
            if line.startswith(kind):
                return line.removeprefix(kind)[:500]
    return lines[-1][:500] if lines else ""
