"""What a merge queue demands: the table `[land]` of coord.toml, as committed at the base.

So a branch cannot change the gates by which it is judged. A file outside of the repository may
stand for it.
"""

from __future__ import annotations

import json
import os
import re
from hashlib import sha256

from coord_envelope.errors import BadData, Refused, Usage
from coord_envelope.event import address
from coord_kernel.cli import values
from coord_kernel.store import locate, toml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_envelope.codec import Json
    from coord_kernel import Store

FILE, SECTION = "coord.toml", "land"
KNOWN = ("target", "remote", "batch", "method", "protect", "gate")
METHODS = ("merge", "squash")
TESTS = 2
TIMEOUT = "1h"
_COMMAND = ("run", "proof", "timeout", "tests")
_HOSTED = ("event", "by", "where", "pass", "timeout", "tests")


class Gate:
    """A test that a commit has to pass; see `decide.Gate`."""

    fresh = True

    def __init__(self, definition: Json, name: str, tests: int) -> None:
        self.id = self.control = _digest(definition)
        self.name, self.tests = name, tests


class Command(Gate):
    """A command that is run in a work tree of the commit."""

    def __init__(self, definition: Json, tests: int) -> None:
        argv = definition["run"]
        super().__init__(definition, " ".join(argv)[:200], tests)
        self.argv: list[str] = argv
        self.proof = re.compile(definition["proof"])
        self.timeout: str = definition["timeout"]
        self.paths: Sequence[str] = ()
        """These are as in the base, whatever the commit has there."""

    def protecting(self, definition: Json, paths: Sequence[str]) -> Command:
        """The same with the gate's own files as in the base: it is as good as the gate is."""
        gate = Command(definition, self.tests)
        gate.id, gate.paths = _digest({**definition, "protect": paths}), paths
        gate.name = f"{self.name} (gate files of the base)"[:200]
        return gate


class Hosted(Gate):
    """A check that something else makes, and that an event reports."""

    fresh = False

    def __init__(self, definition: Json, tests: int) -> None:
        about = " ".join(str(value) for value in definition["where"].values())
        super().__init__(definition, f"{definition['event']} {about}".strip()[:200], tests)
        self.event: str = definition["event"]
        self.by: str = definition["by"]
        self.where: Json = definition["where"]
        self.passes: Json = definition["pass"]
        self.timeout_ms = values.span(definition["timeout"], "timeout")


class Policy:
    """What is demanded of everything that lands."""

    def __init__(self) -> None:
        self.batch, self.squash = 5, False
        """Requests that are tested together at most; is each a commit without the branch's own?"""
        self.protect: Sequence[str] = ()
        self.gates: list[Command | Hosted] = []


def place(store: Store, target: str | None = None) -> tuple[str, str]:
    """The remote and the target branch of the project. Raises BadData."""
    table = locate.section(store, SECTION)
    named = [table.get(name, default) for name, default in (("remote", "."), ("target", "main"))]
    for name, value in zip(("remote", "target"), named, strict=True):
        if not isinstance(value, str) or not value or value.startswith("-"):
            raise BadData(f"not a valid setting: {SECTION}.{name}", FILE)
    return str(named[0]), target or str(named[1])


def outside(path: str, root: str) -> Policy:
    """The policy in a file outside of the repository. Raises Refused, BadData, Usage."""
    real, root = os.path.realpath(path), os.path.realpath(root)
    if os.path.commonpath((real, root)) == root:
        raise Refused("inside the repository", where=path, todo="move it outside, or commit it")
    document = toml.load(path)
    if document is None:
        raise Usage("no such file", where=f"--policy {path}")
    return parsed(document.get(SECTION), path)


def committed(text: bytes | None, commit: str) -> Policy:
    """The policy in coord.toml as it is in a commit. Raises BadData."""
    where = f"{FILE} of {commit[:12]}"
    return parsed(toml.table(text or b"", where).get(SECTION), where)


def parsed(table: object, where: str) -> Policy:
    """The policy of a table `[land]`. Raises BadData."""
    try:
        return _policy(table if isinstance(table, dict) else {})
    except BadData as fault:
        raise BadData(fault.what, where, fault.todo) from None
    except Usage as fault:  # a time
        raise BadData(fault.what, where, fault.todo) from None


def _policy(table: Json) -> Policy:
    for name in table:
        if name not in KNOWN:
            raise _bad(name, f"use {', '.join(KNOWN)}")
    policy = Policy()
    policy.batch = _number(table, "batch", policy.batch, 50)
    method = table.get("method", METHODS[0])
    if method not in METHODS:
        raise _bad("method", f"use {' or '.join(METHODS)}")
    policy.squash = method == METHODS[1]
    policy.protect = _texts(table, "protect")
    gates = table.get("gate")
    if not isinstance(gates, list) or not gates:
        todo = "add [[land.gate]] with run and proof, and commit it to the target"
        raise BadData("has no gate", todo=todo)
    for gate in gates:
        policy.gates += _gates(gate if isinstance(gate, dict) else {}, policy.protect)
    return policy


def _gates(table: Json, protect: Sequence[str]) -> list[Command | Hosted]:
    tests = _number(table, "tests", TESTS, 10)
    for name in table:
        if name not in (_COMMAND if "run" in table else _HOSTED):
            raise _bad(f"gate.{name}", f"use {', '.join(_COMMAND)}; or {', '.join(_HOSTED)}")
    if "run" not in table:
        return [_hosted(table, tests)]
    argv, proof = _texts(table, "run"), table.get("proof")
    if not argv or not argv[0]:
        raise BadData("an empty gate", todo='use run = ["make", "test"]')
    if not isinstance(proof, str) or not proof:
        todo = "use proof = '([0-9]+) passed', or what its output has if it ran"
        raise BadData(f"the gate {' '.join(argv)[:100]} has no proof that it ran", todo=todo)
    definition = {"run": argv, "proof": proof, "timeout": _time(table), "tests": tests}
    try:
        gate = Command(definition, tests)
    except re.error as error:
        raise BadData(f"gate.proof: not a valid regular expression: {error}") from None
    if gate.proof.search(""):
        raise BadData("gate.proof matches an empty line", todo="use '([0-9]+) passed'")
    return [gate, gate.protecting(definition, protect)] if protect else [gate]


def _hosted(table: Json, tests: int) -> Hosted:
    event = table.get("event")
    if not isinstance(event, str) or "." not in event or len(event) > 100:
        raise BadData("a gate has neither run nor event", todo='use run = ["make", "test"]')
    if event.startswith("land."):
        raise BadData("gate.event: the queue's own event")
    try:
        by = address(str(table.get("by", "")))
    except ValueError:
        todo = 'use by = "bridge:github"'
        raise BadData("gate.by: not the agent who reports the check", todo=todo) from None
    where, passes = _plain(table, "where"), _plain(table, "pass")
    if not passes:
        raise BadData("gate.pass is missing", todo='use pass = { conclusion = "success" }')
    definition = {"event": event, "by": by, "where": where, "pass": passes}
    return Hosted({**definition, "timeout": _time(table), "tests": tests}, tests)


def _plain(table: Json, name: str) -> Json:
    value = table.get(name, {})
    if isinstance(value, dict) and all(type(each) in (str, int, bool) for each in value.values()):
        return value
    raise _bad(f"gate.{name}", "use texts, numbers and true or false")


def _time(table: Json) -> str:
    time = table.get("timeout", TIMEOUT)
    if not isinstance(time, str):
        raise _bad("gate.timeout", f'use timeout = "{TIMEOUT}"')
    values.span(time, "gate.timeout")
    return time


def _texts(table: Json, name: str) -> list[str]:
    value = table.get(name, [])
    if isinstance(value, list) and all(isinstance(each, str) and each for each in value):
        return value
    raise _bad(name, "use a list of texts")


def _number(table: Json, name: str, default: int, most: int) -> int:
    value = table.get(name, default)
    if type(value) is int and 0 < value <= most:
        return value
    raise _bad(name, f"use a number from 1 to {most}")


def _bad(name: str, todo: str) -> BadData:
    return BadData(f"not a valid setting: {SECTION}.{name}", todo=todo)


def _digest(definition: Json) -> str:
    text = json.dumps(definition, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode()).hexdigest()[:16]
