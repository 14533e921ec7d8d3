"""The hooks of a coding agent: at the start of a session, at each step, before an edit, at the end.

The program gives each one JSON on stdin and reads what it prints, in its own dialect. Failures go
to stderr and stop nothing: the answer is then {}, with status 0. Only another agent's lease refuses
an edit; a check that fails does not.
"""

from __future__ import annotations

import os

from coord_envelope import codec, world
from coord_envelope.codec import Json
from coord_hooks.turn import Turn
from coord_kernel.cli import complaints, dialects
from coord_kernel.cli.session import CLAUDE, OTHERS, OWNER
from coord_kernel.rules import presence
from coord_kernel.store.disk import fault_of, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from coord_kernel.cli.call import Call


def answer(call: Call, act: Callable[[Turn], Json | str], program: str) -> None:
    """Print the output of `act`, and nothing that says anything if it fails."""
    output: Json | str = {}
    try:
        turn = Turn(call, program)
        output = act(turn)
        if not output and turn.dialect["context"] == "text":
            output = ""  # which the program would show to its model
    except Exception as error:  # a hook that fails blocks the agent
        complaints.complain(fault_of(error))
    write_all(1, dialects.printed(output))


def start(turn: Turn, role: str = "") -> Json | str:
    """The introduction for the agent: what it holds, what waits for it, how to use the tools.

    Registers the agent, and where the program can, makes its shell commands act for it. A program
    that shows nothing at the start of a session runs this with each prompt; the first one counts.
    """
    if turn.is_subagent:
        return {}
    if path := world.getenv("CLAUDE_ENV_FILE") or turn.text("CLAUDE_ENV_FILE"):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            write_all(fd, _exports(turn).encode())
        finally:
            os.close(fd)
    turn.complain(turn.run("msg", "join"))
    begins, text = True, ""
    try:
        begins = _begin(turn)
        if begins:
            _save_crashed(turn)
        if begins or turn.moment != "prompt":
            text = _introduction(turn, role)
    except Exception as error:  # the agent needs its introduction all the same
        complaints.complain(fault_of(error))
        text = _introduction(turn)
    if not text or turn.moment not in (*turn.dialect["told"], ""):
        return {}
    return dialects.context(turn.dialect, turn.event or "SessionStart", text)


def _introduction(turn: Turn, role: str | None = None) -> str:
    """What to tell the agent; without a `role` nothing that has to be looked up."""
    from coord_hooks.prime import PRIME

    if role is None:
        return f"You are {turn.agent}.\n{PRIME}"
    from coord_hooks import opening, roles

    first = opening.text(turn.journal, turn.actor)
    return f"You are {turn.agent}.\n{first}{roles.text(role) if role else ''}{PRIME}"


def _save_crashed(turn: Turn) -> None:
    """Save what sessions that died left in this work tree, if the project wants that."""
    from coord_hooks import checkpoint

    store = turn.journal.store
    if checkpoint.enabled(store):
        checkpoint.save_crashed(store, turn.actor)


def _begin(turn: Turn) -> bool:
    """Write that the session starts; False if it has: /compact starts it again.

    In a job that runs the agent, the lock of the job shows whether the session lives.
    """
    known = turn.known(turn.session)
    if not turn.session or (known and presence.is_open(known)):
        return False
    names = {"cwd": "cwd", "transcript_path": "transcript"}
    body = {to: text[:4_000] for name, to in names.items() if (text := turn.text(name))}
    around = world.getenv("COORD_SESSION") or ""
    job = turn.known(around) if around != turn.session else None
    if job and presence.is_open(job):
        pin = job["started"][2].get("pin")
        body |= {"parent": around} | ({"pin": pin} if isinstance(pin, str) else {})
    turn.journal.append(turn.actor, [{"type": "session.started", "body": body}])
    return True


def _exports(turn: Turn) -> str:
    """Shell commands that make the session's shell act for the agent, in the session.

    A fork of Claude Code starts with the id of the session that it continues; its shell knows its
    own. Other programs read such a file themselves, as `export NAME=VALUE`.
    """
    import shlex

    agent = f"export COORD_AGENT={shlex.quote(turn.agent)}\n"
    around = " ".join(filter(None, map(world.getenv, OTHERS)))
    if turn.program != "claude":
        shells = shlex.quote(f"{turn.session} {around}".strip())
        return f"{agent}export COORD_SESSION={shlex.quote(turn.session)}\nexport {OWNER}={shells}\n"
    return f"""\
{agent}\
export COORD_SESSION="${{{CLAUDE}:-}}"
[ -n "$COORD_SESSION" ] || COORD_SESSION={shlex.quote(turn.session)}
export {OWNER}="$COORD_SESSION"{shlex.quote(f" {around}" if around else "")}
"""


STATUSES = {
    "prompt": "busy",
    "before": "busy",
    "after": "busy",
    "notice": "waiting",
    "stop": "idle",
}
NOTICES = {"idle_prompt": "idle", "auth_success": ""}
"""Kinds of notices that ask for nobody. (Idle: it has ended its turn a minute ago.)"""


def seen(turn: Turn) -> Json:
    """Nothing. Writes that the session lives, and what it does: at most once a minute.

    At the end of a turn, and before its context is compacted, also what it would hand over.
    """
    from coord_kernel.journal.beat import beat

    status = STATUSES.get(turn.moment, "")
    if turn.moment == "notice":
        status = NOTICES.get(turn.text("notification_type"), status)
    if status:
        why = turn.text("message")[:200] if status == "waiting" else ""
        tool = turn.text("tool_name")[:100]
        beat(turn.journal, turn.actor, status, why=why, tool=tool)
    if turn.moment in ("stop", "compact") and not turn.is_subagent:
        _hand_over(turn)
    return {}


def _hand_over(turn: Turn) -> None:
    from coord_hooks import handoff

    handoff.write(turn.journal, turn.actor, turn.input)


def edit(turn: Turn) -> Json:
    """A refusal, if another agent holds a lease on a file that is about to be changed."""
    from coord_hooks import edits

    paths = edits.paths_of(turn.input.get("tool_input"))
    if not paths or not edits.changes(turn.program, turn.text("tool_name")):
        return {}
    turn.enter()
    found = edits.conflict(turn, paths)
    if not found:
        return {}
    todo = "Do something else, or ask the holder: msg send --to NAME. `lease ls` lists leases."
    return dialects.refusal(turn.dialect, turn.event or "PreToolUse", f"{found}\n{todo}")


def end(turn: Turn) -> Json:
    """Nothing. Writes what the session hands over, and gives back what it holds.

    Not if COORD_KEEP is set: whoever set it will resume the session.
    """
    if turn.is_subagent:
        return {}
    turn.enter()
    try:
        _hand_over(turn)
    except Exception as error:  # what it holds is given back all the same
        complaints.complain(fault_of(error))
    if world.getenv("COORD_KEEP"):
        return {}
    why = turn.text("reason")
    reason = "--reason=the session ended" + (f": {why[:100]}" if why else "")
    mine = _rows(turn, "wk", "mine")
    if mine:
        items = _rows(turn, "wk", "show", stdin=_lines(mine, "work_id"))
        claimed = [item for item in items if _is_held(turn, item.get("claim") or {}, "agent")]
        _release(turn, "wk", reason, _lines(claimed, "work_id"))
    leases = [row for row in _rows(turn, "lease", "ls") if _is_held(turn, row, "holder")]
    _release(turn, "lease", reason, _lines(leases, "lease_id"))
    known = turn.known(turn.session)
    if known and presence.is_open(known):
        body = {"how": "exit", "start": known["started"][0]} | ({"why": why[:100]} if why else {})
        turn.journal.append(turn.actor, [{"type": "session.ended", "body": body}])
    return {}


def _rows(turn: Turn, *argv: str, stdin: bytes = b"") -> list[Json]:
    done = turn.run(*argv, stdin=stdin)
    turn.complain(done)
    return [codec.loads(line) for line in done.stdout.split(b"\n") if line]


def _lines(rows: list[Json], field: str) -> bytes:
    return b"".join(codec.dumps({field: row[field]}) + b"\n" for row in rows)


def _is_held(turn: Turn, row: Json, field: str) -> bool:
    """Does this session hold it? What another session of the agent holds is not touched."""
    return (row.get(field), row.get("session") or "") == (turn.agent, turn.session)


def _release(turn: Turn, tool: str, reason: str, lines: bytes) -> None:
    if lines:
        turn.complain(turn.run(tool, "release", reason, stdin=lines))
