"""`coord-agent start`, killed at any step: no claim without its agent, no agent without its claim, no work tree lost."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import BIN, Shell, git, open_store

from coord_kernel.rules import claims
from coord_kernel.store import pins
from coord_kernel.views.view import View

SHORT, LONG = 5, 37
ORPHANS = ("git", "wk", "run")
"""Tools that outlive a start that is killed while it waits for them."""
STUB = """#!/bin/sh
echo "work of $COORD_AGENT" >work.txt
echo $$ >"$PIDS/$COORD_SESSION"
echo ready
exec sleep 600
"""
DRIVER = """
import os, signal, sys
left = int(sys.argv.pop(1))
WATCHED = ("subprocess.Popen", "fcntl.flock", "os.mkdir", "os.rename", "sqlite3.connect")
def hook(name, arguments):
    global left
    written = name == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if name in WATCHED or written:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
from coord_agents.cli import main
bin = sys.argv.pop(1)
sys.executable = bin + "/python"
sys.addaudithook(hook)
try:
    main()
finally:
    print(-left, file=sys.stderr)
"""
ORPHAN = """#!/bin/sh
[ "$1" = {verb} ] || exec {real} "$@"
kill -9 $PPID
{real} "$@" >/dev/null 2>&1
touch "$PIDS/done"
"""
VERB = {"git": "checkout", "wk": "claim", "run": "exec"}


@pytest.fixture
def town(shell: Shell, tmp_path: Path) -> Iterator[Shell]:
    bin_, pids, conf = (tmp_path / name for name in ("bin", "pids", "conf"))
    for path in (bin_, pids, conf / "coord"):
        path.mkdir(parents=True)
    (bin_ / "stub").write_text(STUB)
    (bin_ / "stub").chmod(0o755)
    preset = '[stub]\npass = ["PIDS"]\n[stub.headless]\nstart = ["{prompt}"]\n'
    (conf / "coord/presets.toml").write_text(preset)
    (shell.cwd / "coord.toml").write_text("[agents]\nworktrees = 3\n")
    git("add", "coord.toml", cwd=shell.cwd)
    git("commit", "-q", "-m", "settings", cwd=shell.cwd)
    shell.env |= {
        "PATH": f"{bin_}:{shell.env['PATH']}",
        "XDG_CONFIG_HOME": str(conf),
        "PIDS": str(pids),
    }
    yield shell
    for path in pids.iterdir():
        end(path)


def end(path: Path) -> None:
    """Kill the agent that wrote this file."""
    with contextlib.suppress(ValueError, ProcessLookupError):
        os.kill(int(path.read_text()), signal.SIGKILL)


def start(
    town: Shell, name: str, work: str, left: int, bin_: str = BIN
) -> subprocess.CompletedProcess[str]:
    words = f"start {name} --preset stub --worktree --work {work}"
    argv = [f"{BIN}/python", "-c", DRIVER, str(left), bin_, *shlex.split(words)]
    return subprocess.run(
        argv, cwd=town.cwd, env=town.env, capture_output=True, text=True, timeout=120
    )


class Check:
    """What must be so after a patrol, whatever was killed before it."""

    def __init__(self, town: Shell) -> None:
        self.town, self.store = town, open_store(town.cwd)
        self.came = self.undone = 0

    def settled(self) -> None:
        """Wait for the job of a start that is gone, if it has begun one: it writes its start, or is over."""
        self.town(
            "for run in $(run ls -o id); do"
            ' timeout 60 sh -c "until run show $run | grep -q -e running -e completed; do sleep 0.05; done"; done'
        )

    def __call__(self, work: str) -> None:
        self.settled()
        self.town("coord-patrol --once")
        owner = claims.owner(
            View(self.store, claims).refresh().get(f"work {work}") or claims.nothing()
        )
        alive = {path.name for path in Path(self.town.env["PIDS"]).iterdir() if lives(path)}
        if owner is None:
            assert not alive, "an agent without its claim"
            self.undone += 1
        else:
            session = str(owner["session"])
            assert not pins.dropped(self.store, "local", "agents", session), (
                "a claim without an agent"
            )
            assert alive <= {session}
            self.came += 1
        self.trees()
        for path in Path(self.town.env["PIDS"]).iterdir():
            end(path)
            path.unlink()
        if owner:
            gone(self.store, str(owner["session"]))
            self.town("coord-patrol --once")
        kept = list(Path(self.store.path).glob("local/worktrees/*/work.txt"))
        assert len(kept) == bool(owner), "what the agent had written is kept"
        for path in kept:
            path.unlink()

    def trees(self) -> None:
        """Each tree of the pool is one that git knows, and there are no more than allowed."""
        known = git("worktree", "list", "--porcelain", cwd=self.town.cwd)
        made = [
            path.with_suffix("") for path in Path(self.store.path).glob("local/worktrees/*.made")
        ]
        assert len(made) <= 3
        assert all(
            f"worktree {path}\n" in known and (path / "coord.toml").exists() for path in made
        )


def lives(path: Path) -> bool:
    try:
        os.kill(int(path.read_text()), 0)
    except (ValueError, ProcessLookupError):
        return False
    return True


def gone(store: object, session: str) -> None:
    """Wait until nobody holds the lock of a session."""
    fd = os.open(f"{store.path}/local/agents/{session}", os.O_RDWR)  # type: ignore[attr-defined]
    fcntl.flock(fd, fcntl.LOCK_EX)
    os.close(fd)


def test_a_start_that_is_killed_at_any_step(
    town: Shell, long: bool, say: Callable[..., None]
) -> None:
    count, check = LONG if long else SHORT, Check(town)

    def item() -> str:
        return town("wk new 'Do it' --as boss -o id").out.strip()

    work = item()
    steps = int(start(town, "first", work, 0).stderr.strip().split("\n")[-1])
    steps = steps * 8 // 10  # the first start fills views, too
    check(work)
    for number in range(count):
        work = item()
        left = 1 + number * steps // count
        assert start(town, f"a{number}", work, left).returncode == -signal.SIGKILL
        check(work)
    for tool in ORPHANS:
        work = item()
        orphaned(town, tool, work)
        check(work)
    assert min(check.came, check.undone) > 0
    work = item()
    assert start(town, "last", work, 0).returncode == 0, "the pool has room"
    say(
        f"agents: a start of {steps} steps killed {count + len(ORPHANS)} times: {check.came - 1} went on,"
        f" {check.undone} were undone by one patrol"
    )


def orphaned(town: Shell, tool: str, work: str) -> None:
    """Kill the start while it waits for a tool, which goes on."""
    bin_ = Path(town.env["PIDS"]).parent / f"bin-{tool}"
    bin_.mkdir()
    real = town(f"command -v {tool}").out.strip()
    (bin_ / tool).write_text(ORPHAN.format(verb=VERB[tool], real=real))
    (bin_ / tool).chmod(0o755)
    for name in {"wk", "run", "msg"} - {tool}:
        (bin_ / name).symlink_to(f"{BIN}/{name}")
    done = Path(town.env["PIDS"]) / "done"
    assert start(town, f"orphan-{tool}", work, 0, str(bin_)).returncode == -signal.SIGKILL
    town(f"timeout 60 sh -c 'until [ -e {done} ]; do sleep 0.05; done'")
    done.unlink()


TALKS = """#!/bin/sh
while read -r line; do
    echo '{"type":"system","subtype":"init","session_id":"own"}'
    echo '{"type":"result","session_id":"own"}'
done
"""
IDLE = (
    "timeout 60 sh -c 'until ev replay --live --type agent.seen | grep {} | tail -1 | grep -q idle;"
    " do sleep 0.05; done'"
)


def test_a_finish_that_is_killed_at_any_step(
    town: Shell, long: bool, say: Callable[..., None]
) -> None:
    """The session is over then, or goes on as before, and the next finish ends it."""
    program = Path(town.env["PIDS"]).parent / "bin/talks"
    program.write_text(TALKS)
    program.chmod(0o755)
    with open(f"{town.env['XDG_CONFIG_HOME']}/coord/presets.toml", "a") as presets:
        presets.write("[talks.stream-json]\nstart = []\n")
    count, over, steps = 10 if long else 1, 0, 0
    for number in range(count + 1):
        work = town("wk new 'Do it' --as boss -o id").out.strip()
        row = town(f"coord-agent start a{number} --preset talks --work {work} --prompt x").one
        town(f"wk close {work} --as a{number}", COORD_SESSION=row["session_id"])
        town(IDLE.format(row["session_id"]))
        left = 1 + (number - 1) * steps // count if number else 0
        argv = [f"{BIN}/python", "-c", DRIVER, str(left), BIN, "finish", row["session_id"]]
        done = subprocess.run(
            argv, cwd=town.cwd, env=town.env, capture_output=True, text=True, timeout=120
        )
        if number:
            assert done.returncode == -signal.SIGKILL
        else:
            steps = int(done.stderr.strip().split("\n")[-1])
        ends = town(f"coord-agent finish {row['session_id']}").lines
        shown = town(f"coord-agent show {row['session_id']}").one
        town(f"timeout 60 run attach {shown['run']} >/dev/null", expect=None)
        shown = town(f"coord-agent show {row['session_id']}").one
        assert (shown["status"], shown["how"], shown["code"]) == ("ended", "exit", 0)
        assert town("coord-patrol --once").lines == []
        over += not ends
    say(
        f"agents: a finish of {steps} steps killed {count} times: {over - 1} had ended all the same"
    )
