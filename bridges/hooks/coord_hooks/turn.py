"""The hooks of a coding agent: at the start of a session, at each step, before an edit, at the end.

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
from coord_kernel.cli import session as sessions
from coord_kernel.cli.session import CLAUDE, OTHERS, OWNER, VARIABLES
from coord_kernel.rules import presence
from coord_kernel.store.disk import fault_of, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from subprocess import CompletedProcess

    from coord_kernel import Journal
    from coord_kernel.cli.call import Call
    from coord_kernel.rules.presence import Session

PATIENCE_MS = 1_000
"""How long to wait for stdin: the program writes at once, and may leave stdin open."""
PATCHED = ("*** Add File: ", "*** Update File: ", "*** Delete File: ", "*** Move to: ")


class Turn:
    """One run of a hook: the agent, its session, and the program's input."""

    def __init__(self, call: Call) -> None:
        self._call = call
        data = stdin.promptly(PATIENCE_MS)
        self.input = stdin.record(data, "standard input") if data.strip() else {}
        actor = sessions.of_hook(call.actor()["agent_id"], self.input)
        self.agent, self.session = actor["agent_id"], actor.get("session_id", "")
        self.is_subagent = sessions.is_subagent(self.input)

    @property
    def journal(self) -> Journal:
        """The journal of the program's directory. Raises Unreachable, OSError."""
        where = _text(self.input, "cwd")
        if where:
            os.chdir(where)
        return self._call.journal

    @property
    def actor(self) -> Json:
        """The agent and its session, as events have them."""
        return {"agent_id": self.agent, **({"session_id": self.session} if self.session else {})}

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
        env = {
            **{name: text for name, text in os.environ.items() if name not in VARIABLES},
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
    if turn.is_subagent:
        return {}
    path = world.getenv("CLAUDE_ENV_FILE")
    if path:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            write_all(fd, _exports(turn).encode())
        finally:
            os.close(fd)
    _complain(turn.run("msg", "join"))
    try:
        _begin(turn)
    except Exception as error:  # the agent needs its introduction all the same
        complaints.complain(fault_of(error))
    return _output("SessionStart", additionalContext=f"You are {turn.agent}.\n{PRIME}")


def _begin(turn: Turn) -> None:
    """Write that the session starts, unless it has: /compact starts it again.

    In a job that runs the agent, the lock of the job shows whether the session lives.
    """
    known = _session(turn, turn.session)
    if not turn.session or (known and presence.is_open(known)):
        return
    names = {"cwd": "cwd", "transcript_path": "transcript"}
    body = {to: text[:4_000] for name, to in names.items() if (text := _text(turn.input, name))}
    around = world.getenv("COORD_SESSION") or ""
    job = _session(turn, around) if around != turn.session else None
    if job and presence.is_open(job):
        pin = job["started"][2].get("pin")
        body |= {"parent": around} | ({"pin": pin} if isinstance(pin, str) else {})
    turn.journal.append(turn.actor, [{"type": "session.started", "body": body}])


def _session(turn: Turn, session: str) -> Session | None:
    """What the store knows of a session of the agent."""
    from coord_kernel.views.presence import Sessions

    store = turn.journal.store
    view = Sessions(store).refresh()
    found = (
        view.get(presence.session_name(replica, turn.agent, session))
        for replica in reversed(store.replicas())
    )
    return next(filter(None, found), None)


def _exports(turn: Turn) -> str:
    """Shell commands that make the session's shell act for the agent, in the session.

    A fork starts with the id of the session that it continues; its shell knows its own.
    """
    import shlex

    around = "".join(f" {session}" for name in OTHERS if (session := world.getenv(name)))
    return f"""\
export COORD_AGENT={shlex.quote(turn.agent)}
export COORD_SESSION="${{{CLAUDE}:-}}"
[ -n "$COORD_SESSION" ] || COORD_SESSION={shlex.quote(turn.session)}
export {OWNER}="$COORD_SESSION"{shlex.quote(around)}
"""


STATUSES = {
    "UserPromptSubmit": "busy",
    "PreToolUse": "busy",
    "PostToolUse": "busy",
    "Notification": "waiting",
    "Stop": "idle",
}


def seen(turn: Turn) -> Json:
    """Nothing. Writes that the session lives, and what it does: at most once a minute."""
    from coord_kernel.journal.beat import beat

    status = STATUSES.get(_text(turn.input, "hook_event_name"))
    if status and turn.input.get("notification_type") == "idle_prompt":
        status = "idle"  # it has ended its turn a minute ago
    if status:
        why = _text(turn.input, "message")[:200] if status == "waiting" else ""
        tool = _text(turn.input, "tool_name")[:100]
        beat(turn.journal, turn.actor, status, why=why, tool=tool)
    return {}


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
    if guard.returncode == 65 and len(paths) > 1:  # one of the files is outside the repository
        return "\n".join(filter(None, (_conflict(turn, [path]) for path in paths)))
    if guard.returncode == 1:
        return guard.stderr.decode("utf-8", "replace").strip()
    if guard.returncode != 65:
        _complain(guard)
    return ""


def _paths(fields: object) -> list[str]:
    """The files that a tool is about to change: Claude Code's editors, and Codex's patch.

    Codex also patches by a shell command, which may begin with `cd DIR`.
    """
    if not isinstance(fields, dict):
        return []
    paths = [_text(fields, name) for name in ("file_path", "notebook_path", "path")]
    directory, lines = "", _text(fields, "command").split("\n")
    if lines[0].startswith("cd "):
        import shlex

        try:
            directory = shlex.split(lines[0].replace(";", " "))[1]
        except (ValueError, IndexError):  # an open quote, `cd` alone
            directory = ""
    for line in lines:
        paths += [
            os.path.join(directory, line[len(mark) :].strip())
            for mark in PATCHED
            if line.startswith(mark)
        ]
    return [path for path in paths if path]


def end(turn: Turn) -> Json:
    """Nothing. Gives back what this session holds: its leases, and its work for other agents.

    Not if COORD_KEEP is set: whoever set it will resume the session.
    """
    if turn.is_subagent or world.getenv("COORD_KEEP"):
        return {}
    why = _text(turn.input, "reason")
    reason = "--reason=the session ended" + (f": {why[:100]}" if why else "")
    mine = _rows(turn.run("wk", "mine"))
    if mine:
        items = _rows(turn.run("wk", "show", stdin=_lines(mine, "work_id")))
        claimed = [item for item in items if _is_held(turn, item.get("claim") or {}, "agent")]
        _release(turn, "wk", reason, _lines(claimed, "work_id"))
    leases = [row for row in _rows(turn.run("lease", "ls")) if _is_held(turn, row, "holder")]
    _release(turn, "lease", reason, _lines(leases, "lease_id"))
    known = _session(turn, turn.session)
    if known and presence.is_open(known):
        body = {"how": "exit", "start": known["started"][0]} | ({"why": why[:100]} if why else {})
        turn.journal.append(turn.actor, [{"type": "session.ended", "body": body}])
    return {}


def _rows(process: CompletedProcess[bytes]) -> list[Json]:
    _complain(process)
    return [codec.loads(line) for line in process.stdout.split(b"\n") if line]


def _lines(rows: list[Json], field: str) -> bytes:
    return b"".join(codec.dumps({field: row[field]}) + b"\n" for row in rows)


def _is_held(turn: Turn, row: Json, field: str) -> bool:
    """Does this session hold it? What another session of the agent holds is not touched."""
    return (row.get(field), row.get("session") or "") == (turn.agent, turn.session)


def _release(turn: Turn, tool: str, reason: str, lines: bytes) -> None:
    if lines:
        _complain(turn.run(tool, "release", reason, stdin=lines))


def _complain(process: CompletedProcess[bytes]) -> None:
    if process.returncode:
        write_all(2, process.stderr)


def _output(event: str, **fields: str) -> Json:
    return {"hookSpecificOutput": {"hookEventName": event, **fields}}


def _text(fields: Json, name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""
