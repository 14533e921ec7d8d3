"""What hooks of coding agents run: at the start of a session, before an edit, at the end.

A program gives them JSON on stdin and reads JSON from stdout. Whatever fails is said on stderr and stops nothing: {}
and exit 0. Before an edit only another's lease is in the way; a check that cannot be made is not.
"""

from __future__ import annotations

import os
import sys

from coord_envelope import Fault, codec, world
from coord_envelope.codec import Json
from coord_hooks.prime import PRIME
from coord_kernel.cli import complaints, stdin
from coord_kernel.store.disk import fault_of, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from subprocess import CompletedProcess

    from coord_kernel.cli.call import Call

PATIENCE_MS = 1_000
"""For what the program has to say on stdin; it says it at once, and may leave stdin open."""
PATCHED = ("*** Add File: ", "*** Update File: ", "*** Delete File: ", "*** Move to: ")


class Turn:
    """One run of a hook: who acts, in which session, and what the program said."""

    def __init__(self, call: Call) -> None:
        self.agent = call.actor()["agent_id"]
        data = stdin.promptly(PATIENCE_MS)
        self.given = stdin.record(data, "standard input") if data.strip() else {}
        self.session = world.getenv("COORD_SESSION") or _text(self.given, "session_id")[:256]

    def run(
        self, *argv: str, session: str | None = None, stdin: bytes = b""
    ) -> CompletedProcess[bytes]:
        """Run a tool as the agent, in its session or the one given. Raises OSError if it is not there."""
        import signal
        import subprocess  # 18 ms

        signal.signal(
            signal.SIGPIPE, signal.SIG_IGN
        )  # a tool that ends before it read its input does not end us
        path = os.pathsep.join(
            (os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath))
        )
        named = {"PATH": path, "COORD_AGENT": self.agent}
        named["COORD_SESSION"] = self.session if session is None else session
        where = _text(self.given, "cwd") or None
        return subprocess.run(
            argv, input=stdin, env=os.environ | named, cwd=where, capture_output=True
        )


def answer(call: Call, act: Callable[[Turn], Json]) -> None:
    """Print what the act says, {} if it fails."""
    said: Json = {}
    try:
        said = act(Turn(call))
    except Exception as error:  # a hook that fails stands in the agent's way
        known = (
            error
            if isinstance(error, Fault)
            else fault_of(error)
            if isinstance(error, OSError)
            else None
        )
        complaints.complain(known or Fault(repr(error)))
    write_all(1, codec.dumps(said) + b"\n")


def start(turn: Turn) -> Json:
    """What an agent has to know. It is known from here on, and its shell commands act for it, if the program can."""
    path = world.getenv("CLAUDE_ENV_FILE")
    if path:
        import shlex

        names = {"COORD_AGENT": turn.agent, "COORD_SESSION": turn.session}
        lines = "".join(
            f"export {name}={shlex.quote(text)}\n" for name, text in names.items() if text
        )
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            write_all(fd, lines.encode())
        finally:
            os.close(fd)
    _complain(turn.run("msg", "join"))
    return _context("SessionStart", additionalContext=f"You are {turn.agent}.\n{PRIME}")


def edit(turn: Turn) -> Json:
    """A refusal, if another holds a lease on a file that is about to be changed."""
    paths = _paths(turn.given.get("tool_input"))
    held = _held(turn, paths) if paths else ""
    if not held:
        return {}
    todo = "Do something else, or ask them: msg send --to NAME. `lease ls` shows what is held."
    return _context(
        "PreToolUse", permissionDecision="deny", permissionDecisionReason=f"{held}\n{todo}"
    )


def _held(turn: Turn, paths: Sequence[str]) -> str:
    # What the agent's MCP server or Codex's shell holds is without a session, and its own all the same.
    done = turn.run("lease", "guard", "--", *paths)
    if done.returncode == 1 and turn.session:
        done = turn.run("lease", "guard", "--", *paths, session="")
    if done.returncode == 65 and len(paths) > 1:  # one of them is not in the repository
        return "\n".join(filter(None, (_held(turn, [path]) for path in paths)))
    if done.returncode == 1:
        return done.stderr.decode("utf-8", "replace").strip()
    if done.returncode != 65:
        _complain(done)
    return ""


def _paths(given: object) -> list[str]:
    """The files that a tool is about to change: of Claude Code's editors, and of Codex's patch."""
    if not isinstance(given, dict):
        return []
    named = [_text(given, name) for name in ("file_path", "notebook_path")]
    patch = _text(given, "command").split("\n")
    patched = [
        line[len(mark) :].strip() for line in patch for mark in PATCHED if line.startswith(mark)
    ]
    return [path for path in (*named, *patched) if path]


def end(turn: Turn) -> Json:
    """Nothing. What this session holds is given back: leases, and work for others to go on with."""
    why = _text(turn.given, "reason")
    reason = "--reason=the session ended" + (f": {why[:100]}" if why else "")
    mine = turn.run("wk", "mine")
    _complain(mine)
    _release(turn, mine.stdout, turn.agent, "owner", "work_id", "wk", "release", reason)
    held = turn.run("lease", "ls")
    _complain(held)
    _release(turn, held.stdout, turn.agent, "holder", "lease_id", "lease", "release", reason)
    return {}


def _release(turn: Turn, printed: bytes, agent: str, who: str, which: str, *command: str) -> None:
    rows = [codec.loads(line) for line in printed.split(b"\n") if line]
    lines = [codec.dumps({which: row[which]}) + b"\n" for row in rows if row.get(who) == agent]
    if lines:
        done = turn.run(*command, stdin=b"".join(lines))
        if done.returncode != 1:  # another session's is not ours to give back
            _complain(done)


def _complain(done: CompletedProcess[bytes]) -> None:
    if done.returncode:
        write_all(2, done.stderr)


def _context(event: str, **fields: str) -> Json:
    return {"hookSpecificOutput": {"hookEventName": event, **fields}}


def _text(given: Json, name: str) -> str:
    value = given.get(name)
    return value if isinstance(value, str) else ""
