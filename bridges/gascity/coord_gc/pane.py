"""`python -m coord_gc.pane STORE JOB`: becomes the command of a session; and the pane it runs in.

run(1) gives each attempt a tmux server of its own, `tmux -L run-ID-N`, with one session named job.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

ENTER_S = 0.3
"""Between a text and Enter: a program takes both together for a paste, and does not submit it."""
GATE_S = 130


def label(run: str, attempt: int) -> str:
    """The tmux server of an attempt of a job."""
    return f"run-{run.lower()}-{attempt}"


def command(label: str, *words: str) -> list[str]:
    """A command for a tmux server."""
    return ["tmux", "-L", label, *words]


def _tmux(label: str, *words: str) -> str:
    """What tmux prints; empty if it fails."""
    done = subprocess.run(command(label, *words), capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else ""


def alive(label: str) -> bool:
    """Is its terminal there?"""
    return bool(_tmux(label, "list-sessions"))


def keys(label: str, *names: str) -> None:
    """Press keys, by their names in tmux."""
    _tmux(label, "send-keys", "-t", "job", *names)


def say(label: str, words: str) -> None:
    """Type a text, then Enter."""
    for line in words.rstrip("\n").split("\n"):
        _tmux(label, "send-keys", "-t", "job", "-l", "--", line)
        time.sleep(ENTER_S)
        keys(label, "Enter")


def text(label: str, most: int) -> str:
    """The last lines of what the terminal shows and has scrolled away; 0: what it shows."""
    begin = ("-S", f"-{most}") if most else ()
    lines = _tmux(label, "capture-pane", "-p", *begin, "-t", "job").rstrip("\n").split("\n")
    return "\n".join(lines[-most:] if most else lines)


def activity(label: str) -> int:
    """When there was output last, in seconds since 1970."""
    return int(
        _tmux(label, "display-message", "-p", "-t", "job", "#{window_activity}").strip() or 0
    )


def clear(label: str) -> None:
    """Forget what has scrolled away."""
    _tmux(label, "clear-history", "-t", "job")


def end(label: str) -> None:
    """End the terminal, if it is there."""
    _tmux(label, "kill-server")


def programs(label: str) -> set[str]:
    """The names of the processes in it."""
    top = _tmux(label, "display-message", "-p", "-t", "job", "#{pane_pid}").strip()
    listed = subprocess.run(
        ["ps", "-eo", "pid=,ppid=,comm="], capture_output=True, text=True
    ).stdout
    below: dict[str, list[tuple[str, str]]] = {}
    for line in listed.splitlines():
        pid, parent, name = line.split(None, 2)
        below.setdefault(parent, []).append((pid, name))
    names, todo = set[str](), [top]
    while todo:
        for pid, name in below.get(todo.pop(), ()):
            names.add(os.path.basename(name))
            todo.append(pid)
    return names


def main(store: str, job: str) -> None:
    """Become the command of a session, when what goes before it is done."""
    from coord_envelope import codec

    place = os.path.join(store, "local", "gc")
    gate, run = os.path.join(place, f"{job}.go"), os.environ.get("RUN_ID", "")
    end_ = time.monotonic() + GATE_S
    while not _opened(gate, run):
        if time.monotonic() > end_:
            sys.exit(f"coord-gc: {job}: was not begun")
        time.sleep(0.02)
    path = os.path.join(place, f"{job}.start")
    with open(path, "r+b") as file:
        record = codec.loads(file.read())
        file.seek(0)
        file.truncate()  # what may hold keys does not stay
        file.write(codec.dumps({name: record[name] for name in ("name", "work_dir")}))
    os.chdir(record["work_dir"])
    env = {**os.environ, **{name: str(each) for name, each in (record.get("env") or {}).items()}}
    words = record.get("command") or env.get("SHELL") or "/bin/sh"
    os.execvpe("sh", ["sh", "-c", words], env)


def _opened(gate: str, run: str) -> bool:
    """Was this very job let go?"""
    from coord_envelope import codec

    try:
        with open(gate, "rb") as file:
            return bool(codec.loads(file.read()).get("run") == run)
    except (OSError, ValueError):
        return False


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
