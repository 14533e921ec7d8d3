"""Which jobs of other stores may run here: what `runner.toml` allows, and without the file none.

It is outside of every repository: everybody with push access can request jobs, so without it push
access would be code execution.
"""

from __future__ import annotations

import os
import stat

from coord_envelope import BadData
from coord_envelope.errors import Refused
from coord_kernel.store import toml
from coord_run.secret import config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from coord_envelope.codec import Json
    from coord_run.types import Request

LISTS = ("argv", "from", "env", "secrets", "sandbox", "trust")


class Rule:
    """A permission: commands with this beginning, from these agents, with these variables."""

    def __init__(self, table: Json, path: str) -> None:
        """Raises BadData."""
        for name, value in table.items():
            if name not in (*LISTS, "repo"):
                valid = ", ".join((*LISTS, "repo"))
                raise BadData(f"unknown field {name!r}", path, todo=f"valid fields: {valid}")
            texts = isinstance(value, list) and all(isinstance(text, str) for text in value)
            if not (isinstance(value, bool) if name == "repo" else texts):
                kind = "true or false" if name == "repo" else "a list of strings"
                raise BadData(f"{name} must be {kind}", path, todo="see run(1), POLICY")
        if not table.get("argv") or not table.get("from"):
            raise BadData(
                "a rule needs argv and from", path, todo='argv = ["make"], from = ["agent:ci"]'
            )
        self._argv, self._from = table["argv"], table["from"]
        self._env, self._secrets = table.get("env", ()), table.get("secrets", ())
        self._repo, self.sandbox = bool(table.get("repo")), table.get("sandbox", [])
        self._trust = table.get("trust")

    def allows(self, request: Request, trust: Callable[[str], str]) -> bool:
        """May this request run? `trust` gives the `$trust` of the event with an id."""
        from fnmatch import fnmatchcase  # re: 5 ms

        body = request["body"]
        return (
            body["argv"][: len(self._argv)] == self._argv
            and any(fnmatchcase(request["by"], pattern) for pattern in self._from)
            and set(body.get("env", ())) <= set(self._env)
            and set(body.get("secrets", ())) <= set(self._secrets)
            and ("repo" not in body or self._repo)
            and (self._trust is None or self._trusts(trust(request["id"])))
        )

    def _trusts(self, trust: str) -> bool:
        from coord_kernel.rules.trust import wanted

        return wanted(trust, self._trust or ())


def rules(root: str) -> Sequence[Rule]:
    """The rules of the user who runs this worker; none without a file. Raises BadData, Refused."""
    path = config("runner.toml")
    fd = toml.opened(path)
    if fd is None:
        return ()
    info = os.fstat(fd)
    if info.st_uid != os.geteuid() or info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Refused("writable by others", where=path, todo=f"chmod go-w {path}")
    root = os.path.realpath(root)
    if os.path.commonpath((os.path.realpath(path), root)) == root:
        raise Refused("inside the repository", where=path, todo="move it outside")
    document = toml.parsed(fd, path)
    tables = document.get("allow", [])
    sound = isinstance(tables, list) and all(isinstance(table, dict) for table in tables)
    if document.keys() - {"allow"} or not sound:
        raise BadData("may contain only [[allow]] tables", where=path, todo="correct the file")
    return [Rule(table, path) for table in tables]
