"""Asking a session that is over: a fork of its conversation answers, and cannot change its files.

The fork runs in the directory of the session, where its program finds the conversation. There its
work tree and its git directory are mounted read-only, in a mount namespace of the fork's own
(bwrap(1)); only the store can be written. Where that cannot be had, the words of the preset that
keep the program from changing files (`readonly`) have to do, or it is refused.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from coord_agents import fold
from coord_agents import presets as registry
from coord_agents.starting import rows_of, tools_of
from coord_envelope import Usage
from coord_envelope.errors import Unreachable
from coord_kernel.store import locate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_agents.record import Record
    from coord_envelope import Event
    from coord_kernel import Store
    from coord_kernel.cli.call import Call

BWRAP = "bwrap"
PATIENCE_S = 10


def seance(call: Call, name: str, question: str) -> int:
    """Ask a copy of a session's conversation; the status of the program that answers."""
    rows = rows_of(call)
    state = rows.named(name)
    known = fold.facts(state)
    record = registry.named(known["preset"])
    _, way = record.way("headless", "fork")
    provider, cwd = rows.evidence.provider(state), known.get("cwd", "")
    if provider is None or not os.path.isdir(cwd):
        missing = "its work tree" if provider else "the id of its conversation"
        call.put(_handover(call, state))
        raise Unreachable(f"{missing} is gone", where=state["session"])
    around = sealed(call.journal.store, cwd)
    if around is None and record.readonly is None:
        todo = "install bubblewrap, or add the words for that to presets.toml: readonly"
        raise Usage(f"preset {record.name}: cannot be kept from changing files", todo=todo)
    args = [*record.args, *(record.readonly or ())]
    argv = [*(around or ()), *way.argv("fork", args, prompt=question, session=provider)]
    exec_ = [
        "run",
        "exec",
        "--timeout=1h",
        *_words(record, f"{state['agent']}.seance"),
        "--",
        *argv,
    ]
    nothing = subprocess.DEVNULL
    done = subprocess.run(exec_, env=tools_of(call).env, cwd=cwd, stdin=nothing)
    if done.returncode:
        call.put(_handover(call, state))
        call.warn(f"{state['session']}: {record.program} ended with {done.returncode}")
        return Unreachable.status
    return 0


def sealed(store: Store, cwd: str) -> list[str] | None:
    """The words before a command that may not write to this work tree; None if that is not here."""
    found = locate.repository(cwd)
    tree, common = found or (cwd, cwd)
    words = [BWRAP, "--dev-bind", "/", "/"]
    for path in dict.fromkeys((tree, common)):
        words += ["--ro-bind", path, path]
    words += ["--bind", store.path, store.path, "--chdir", cwd, "--die-with-parent", "--"]
    return words if shutil.which(BWRAP) and _runs([*words, "true"]) else None


def _runs(argv: Sequence[str]) -> bool:
    """Does it work here? A machine may not allow namespaces."""
    nothing = subprocess.DEVNULL
    try:
        done = subprocess.run(
            argv, stdin=nothing, stdout=nothing, stderr=nothing, timeout=PATIENCE_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _words(record: Record, agent: str) -> list[str]:
    """Its variables, for `run exec`."""
    variables = {name: text for name in record.passed if (text := os.environ.get(name))}
    variables |= {**record.env, "COORD_AGENT": agent, "COORD_KEEP": "1"}
    words = [f"--env={name}={text}" for name, text in variables.items()]
    return words + [f"--secret={name}" for name in record.secrets if os.environ.get(name)]


def _handover(call: Call, state: fold.Session) -> list[Event]:
    """The last hand-over that the session wrote."""
    children = rows_of(call).evidence.children(state)
    sessions = {state["session"], *(each["session"] for each in children)}
    found = [
        event
        for event in call.journal.replay()
        if event["type"] == "handoff.written"
        and event["body"].get("session") in sessions
        and "$trust" not in call.journal.shown(event)  # an unsigned one may say anything
    ]
    return found[-1:]
