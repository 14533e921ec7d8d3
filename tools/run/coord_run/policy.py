"""Which jobs of other stores may run here: what a file outside of every repository says, and nothing without it.

Whoever can push can request; so without this file push access would be code execution.
"""

from __future__ import annotations

import os
import stat
from fnmatch import fnmatchcase

from coord_envelope import BadData
from coord_envelope.errors import Refused
from coord_run.secret import config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_envelope.codec import Json

LISTS = ("argv", "from", "env", "secrets", "sandbox")


class Rule:
    """One thing that is allowed: commands that begin so, asked for by these, with these variables and secrets."""

    def __init__(self, said: Json, where: str) -> None:
        for name, value in said.items():
            texts = isinstance(value, list) and all(isinstance(one, str) for one in value)
            if not ((name in LISTS and texts) or (name == "repo" and isinstance(value, bool))):
                raise BadData(
                    f"{name} is not known, or not of its type", where, todo="see run(1), POLICY"
                )
        if not said.get("argv") or not said.get("from"):
            raise BadData(
                "a rule needs argv and from", where, todo='argv = ["make"], from = ["agent:ci"]'
            )
        self._argv, self._from, self.sandbox = said["argv"], said["from"], said.get("sandbox", [])
        self._env, self._secrets, self._repo = (
            said.get(name, ()) for name in ("env", "secrets", "repo")
        )

    def allows(self, request: Json) -> bool:
        """May this run?"""
        body = request["body"]
        return (
            body["argv"][: len(self._argv)] == self._argv
            and any(fnmatchcase(request["by"], one) for one in self._from)
            and set(body.get("env", ())) <= set(self._env)
            and set(body.get("secrets", ())) <= set(self._secrets)
            and ("repo" not in body or bool(self._repo))
        )


def rules(root: str) -> Sequence[Rule]:
    """The rules of the user who runs this worker; none without a file. Raises BadData, Refused."""
    path = os.path.realpath(config("runner.toml"))
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return ()
    with open(fd, "rb") as file:
        info = os.fstat(fd)
        if info.st_uid != os.geteuid() or info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise Refused("others may write to it", where=path, todo=f"chmod go-w {path}")
        if os.path.commonpath((path, os.path.realpath(root))) == os.path.realpath(root):
            raise Refused(
                "lies in the repository", where=path, todo="put it where no push can reach it"
            )
        import tomllib

        try:
            said = tomllib.load(file)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as reason:
            raise BadData(str(reason), where=path, todo="mend the file") from None
    found = said.get("allow", [])
    if (
        set(said) - {"allow"}
        or not isinstance(found, list)
        or not all(isinstance(one, dict) for one in found)
    ):
        raise BadData(
            "holds something else than [[allow]] tables", where=path, todo="mend the file"
        )
    return [Rule(one, path) for one in found]
