"""The hooks of a coding agent: at the start of a session, before an edit, at the end.

The program gives each one JSON on stdin and reads JSON from stdout. Failures go to stderr and stop
nothing: the answer is then {}, with status 0. Only another agent's lease refuses an edit; a check
that fails does not.
"""

from __future__ import annotations

import os
import sys

from coord_envelope import codec, world
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
"""How long to wait for stdin: the program writes at once, and may leave stdin open."""
PATCHED = ("*** Add File: ", "*** Update File: ", "*** Delete File: ", "*** Move to: ")


class Turn:
    """One run of a hook: the agent, its session, and the program's input."""

    def __init__(self, call: Call) -> None:
        self.agent = call.actor()["agent_id"]
        data = stdin.promptly(PATIENCE_MS)
        self.input = stdin.record(data, "standard input") if data.strip() else {}
        self.session = world.getenv("COORD_SESSION") or _text(self.input, "session_id")[:256]

    def run(
        self, *argv: str, session: str | None = None, stdin: bytes = b""
    ) -> CompletedProcess[bytes]:
        """Run a tool as the agent, in its session or in `session`.

        Raises OSError if the tool cannot be started.
        """
        import signal
        import subprocess  # 18 ms

        # A tool that ends before it read its input must not end this process.
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        path = os.pathsep.join(
            (os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath))
        )
        env = os.environ | {
            "PATH": path,
            "COORD_AGENT": self.agent,
            "COORD_SESSION": self.session if session is None else session,
        }
        where = _text(self.input, "cwd") or None
        return subprocess.run(argv, input=stdin, env=env, cwd=where, capture_output=True)


def answer(call: Call, act: Callable[[Turn], Json]) -> None:
    """Print the output of `act`, {} if it fails."""
    output: Json = {}
    try:
        output = act(Turn(call))
    except Exception as error:  # a hook that fails blocks the agent
        complaints.complain(fault_of(error))
    write_all(1, codec.dumps(output) + b"\n")


def start(turn: Turn) -> Json:
    """The introduction for the agent.

    Registers the agent, and where the program can, makes its shell commands act for it.
    """
    path = world.getenv("CLAUDE_ENV_FILE")
    if path:
        import shlex

        env = {"COORD_AGENT": turn.agent, "COORD_SESSION": turn.session}
        lines = [f"export {name}={shlex.quote(text)}\n" for name, text in env.items() if text]
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            write_all(fd, "".join(lines).encode())
        finally:
            os.close(fd)
    _complain(turn.run("msg", "join"))
    return _output("SessionStart", additionalContext=f"You are {turn.agent}.\n{PRIME}")


def edit(turn: Turn) -> Json:
    """A refusal, if another agent holds a lease on a file that is about to be changed."""
    paths = _paths(turn.input.get("tool_input"))
    conflict = _conflict(turn, paths) if paths else ""
    if not conflict:
        return {}
    todo = "Do something else, or ask the holder: msg send --to NAME. `lease ls` lists leases."
    reason = f"{conflict}\n{todo}"
    return _output("PreToolUse", permissionDecision="deny", permissionDecisionReason=reason)


def _conflict(turn: Turn, paths: Sequence[str]) -> str:
    """What `lease guard` reports about leases of others on these files; empty if nothing."""
    guard = turn.run("lease", "guard", "--", *paths)
    if guard.returncode == 1 and turn.session:
        # Leases of the agent's MCP server or of Codex's shell have no session: they are its own.
        guard = turn.run("lease", "guard", "--", *paths, session="")
    if guard.returncode == 65 and len(paths) > 1:  # one of the files is outside the repository
        return "\n".join(filter(None, (_conflict(turn, [path]) for path in paths)))
    if guard.returncode == 1:
        return guard.stderr.decode("utf-8", "replace").strip()
    if guard.returncode != 65:
        _complain(guard)
    return ""


def _paths(fields: object) -> list[str]:
    """The files that a tool is about to change: Claude Code's editors, and Codex's patch."""
    if not isinstance(fields, dict):
        return []
    paths = [_text(fields, name) for name in ("file_path", "notebook_path")]
    for line in _text(fields, "command").split("\n"):
        paths += [line[len(mark) :].strip() for mark in PATCHED if line.startswith(mark)]
    return [path for path in paths if path]


def end(turn: Turn) -> Json:
    """Nothing. Gives back what this session holds: its leases, and its work for other agents."""
    why = _text(turn.input, "reason")
    reason = "--reason=the session ended" + (f": {why[:100]}" if why else "")
    for tool, listing, holder, field in (
        ("wk", "mine", "owner", "work_id"),
        ("lease", "ls", "holder", "lease_id"),
    ):
        listed = turn.run(tool, listing)
        _complain(listed)
        rows = [codec.loads(line) for line in listed.stdout.split(b"\n") if line]
        mine = [{field: row[field]} for row in rows if row.get(holder) == turn.agent]
        if mine:
            lines = b"".join(codec.dumps(row) + b"\n" for row in mine)
            released = turn.run(tool, "release", reason, stdin=lines)
            if released.returncode != 1:  # 1: some belong to another session
                _complain(released)
    return {}


def _complain(process: CompletedProcess[bytes]) -> None:
    if process.returncode:
        write_all(2, process.stderr)


def _output(event: str, **fields: str) -> Json:
    return {"hookSpecificOutput": {"hookEventName": event, **fields}}


def _text(fields: Json, name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""
