"""Commands to be struck in their midst, what is laid ready for each, and what must hold when they were run again."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from pathlib import Path

from proof.witness import bytes_of
from support import ME, Done, Json, Shell, check_invariants, git, open_store

from coord_envelope import world
from coord_ev.check import check
from coord_kernel import Journal


class Scene:
    """One command, again and again in one store, so that what many crashes leave behind adds up."""

    again: tuple[int, ...] = (0,)
    """The exit statuses of the command when it is run again."""
    failed: tuple[int, ...] = (74, 69)
    told = 1
    """Those of it when a call fails, and in how many lines it may say so."""

    def __init__(self, shell: Shell, rounds: int) -> None:
        """Lay ready what so many rounds need."""
        self.shell, self.rounds = shell, rounds

    @property
    def name(self) -> str:
        """What it is called where it is told of: its command, and which of those."""
        return f"{' '.join(self.line(0).split()[:2])} ({type(self).__name__.lower()})"

    def ready(self, n: int) -> None:
        """Lay ready what this round needs just before it."""

    def line(self, n: int) -> str:
        """The command of this round."""
        raise NotImplementedError

    def holds(self, n: int, first: Done, again: Done) -> None:
        """Its own invariant, after the command was struck and then run again."""


class Emit(Scene):
    """An event with a key: exactly one, the one that was acked."""

    def line(self, n: int) -> str:
        return f"ev emit proof.struck --key k{n}"

    def holds(self, n: int, first: Done, again: Done) -> None:
        stored = [
            one["event_id"] for one in events(self.shell) if one.get("idempotency_key") == f"k{n}"
        ]
        assert stored == [again.one["event_id"]], "the key has no event, or two"
        assert not first.out or first.one["event_id"] == again.one["event_id"], (
            "acked with another event"
        )


class Claim(Scene):
    """A claim: one, and the item is its agent's."""

    def __init__(self, shell: Shell, rounds: int) -> None:
        super().__init__(shell, rounds)
        self.items = shell("wk new -o id", '{"title":"struck"}\n' * rounds).out.split()

    def line(self, n: int) -> str:
        return f"wk claim {self.items[n]}"

    def holds(self, n: int, first: Done, again: Done) -> None:
        claims = [
            one["event_id"]
            for one in of(self.shell, "work.claimed")
            if one["refs"]["work_id"] == self.items[n]
        ]
        assert claims == [again.one["event_id"]], "no claim, or two"
        assert self.shell(f"wk show {self.items[n]}").one["claim"]["id"] == claims[0]


class Acquire(Scene):
    """A lease: whoever has it, it is held once, and by a greater token than before."""

    again = (0, 1)

    def __init__(self, shell: Shell, rounds: int) -> None:
        super().__init__(shell, rounds)
        self.token = 0

    def line(self, n: int) -> str:
        return f"lease acquire env:r{n} --ttl 1h"

    def holds(self, n: int, first: Done, again: Done) -> None:
        (held,) = [one for one in self.shell("lease ls").lines if one["resources"] == [f"env:r{n}"]]
        assert held["token"] > self.token, "the token did not rise"
        self.token = held["token"]
        assert not first.out or first.one["refs"]["lease_id"] == held["lease_id"], (
            "what was acked is not what is held"
        )


class Ack(Scene):
    """An ack: when it was printed, the message does not come again."""

    def __init__(self, shell: Shell, rounds: int) -> None:
        super().__init__(shell, rounds)
        self.mail = shell(
            "msg send --force -o id", '{"to":"agent:tester","text":"struck"}\n' * rounds
        ).out.split()

    def line(self, n: int) -> str:
        return f"msg ack {self.mail[n]}"

    def holds(self, n: int, first: Done, again: Done) -> None:
        waiting = {one["event_id"] for one in self.shell("msg recv").lines}
        assert waiting == set(self.mail[n + 1 :]), "acked and printed again, or lost without an ack"


class Exec(Scene):
    """A job: it ends once, or its attempt lapses; nobody of it is left, and the next one runs."""

    failed = (74, 69, 125)
    told = 3  # its attempt speaks for itself

    def line(self, n: int) -> str:
        return "run exec -- true"

    def holds(self, n: int, first: Done, again: Done) -> None:
        ended = [one["refs"]["run_id"] for one in of(self.shell, "run.completed")]
        assert len(ended) == len(set(ended)), "a job ended twice"
        requests = of(self.shell, "run.requested")
        assert requests and requests[-1]["event_id"] in ended, (
            "the job of the run after is not done"
        )


class Tail(Scene):
    """A named cursor: what was not printed before the crash is printed after it."""

    def ready(self, n: int) -> None:
        self.made = {one["event_id"] for one in append(self.shell, TOLD)}

    def line(self, n: int) -> str:
        return "ev tail --cursor c"

    def holds(self, n: int, first: Done, again: Done) -> None:
        told = {one["event_id"] for one in (*first.lines, *again.lines)}
        assert told >= self.made, "neither printed before the crash nor after it"
        assert self.shell("ev tail --cursor c").out == "", (
            "the cursor is not behind what was printed"
        )


class Rebuild(Scene):
    """An index that is made anew: no output depends on it."""

    def __init__(self, shell: Shell, rounds: int) -> None:
        super().__init__(shell, rounds)
        append(shell, *[TOLD] * 300)
        self.made = shell("ev tail -n 300").out.splitlines(keepends=True)[7]

    def ready(self, n: int) -> None:
        for path in (self.shell.cwd / ".coord/local").glob("index.sqlite*"):
            path.unlink()

    def line(self, n: int) -> str:
        return f"ev show {json.loads(self.made)['event_id']}"

    def holds(self, n: int, first: Done, again: Done) -> None:
        assert again.out == self.made
        assert first.out in ("", again.out)


class Init(Scene):
    """A store's making: made again, it takes events."""

    def ready(self, n: int) -> None:
        shutil.rmtree(self.shell.cwd / ".coord")

    def line(self, n: int) -> str:
        return "ev init"

    def holds(self, n: int, first: Done, again: Done) -> None:
        assert self.shell("ev emit proof.first").out == self.shell("ev replay").out


class First(Emit):
    """The first event of a store, whose replica, stream and segment are made with it."""

    def ready(self, n: int) -> None:
        shutil.rmtree(self.shell.cwd / ".coord")
        self.shell("ev init")


class Sync(Scene):
    """A sync: when it was run again, another clone gets the same events."""

    def __init__(self, shell: Shell, rounds: int) -> None:
        super().__init__(shell, rounds)
        hub, there = shell.cwd.parent / "hub.git", shell.cwd.parent / "there" / "acme"
        there.mkdir(parents=True)
        git("init", "-q", "--bare", str(hub), cwd=shell.cwd)
        git("init", "-q", cwd=there)
        self.there = Shell(there)
        self.there("ev init")
        for one in (shell, self.there):
            git("remote", "add", "origin", str(hub), cwd=one.cwd)
            one("ev sync --remote origin")

    def ready(self, n: int) -> None:
        append(self.there, TOLD)
        self.there("ev sync")
        append(self.shell, TOLD)

    def line(self, n: int) -> str:
        return "ev sync"

    def holds(self, n: int, first: Done, again: Done) -> None:
        self.there("ev sync")
        assert bytes_of(self.shell, "ev replay") == bytes_of(self.there, "ev replay"), (
            "two replicas differ"
        )


TOLD: Json = {"type": "proof.told", "body": {"pad": "·" * 60}}
SCENES = (Emit, Claim, Acquire, Ack, Exec, Tail, Rebuild, Init, First, Sync)


def append(shell: Shell, *drafts: Json) -> list[Json]:
    """In this process, which is cheaper than a new one."""
    return [*Journal(open_store(shell.cwd)).append(ME, drafts)]


def events(shell: Shell) -> list[Json]:
    return [*Journal(open_store(shell.cwd)).replay(live=True)]


def of(shell: Shell, kind: str) -> list[Json]:
    return [one for one in events(shell) if one["type"] == kind]


def withstood(scene: Scene, n: int, first: Done) -> None:
    """What must hold of any command that was struck: DESIGN 17, no lock left, and that it completes if run again."""
    store = scene.shell.cwd / ".coord"
    if (store / "journal").exists():  # else it is no store yet
        held = [
            path.name
            for path in (store / "local").rglob("*lock*")
            if path.is_file() and is_held(path)
        ]
        assert held == [], "a dead process still has a lock"
        sound(scene.shell, first)
    again = scene.shell(scene.line(n), expect=None)
    assert again.status in scene.again, f"{scene.line(n)}, again: exit {again.status}: {again.err}"
    scene.holds(n, first, again)
    sound(scene.shell, again)


def sound(shell: Shell, done: Done) -> None:
    """What was printed is there, and every byte of the journal is in an event."""
    store = open_store(shell.cwd)
    check_invariants(store)
    assert list(check(store, world.now_ms())) == [], "verify finds fault"
    assert done.out == "" or done.out.endswith("\n"), "half a line was printed"
    stored = {one["event_id"] for one in events(shell)}
    assert {one["event_id"] for one in done.lines if "event_id" in one} <= stored, (
        "acked, and not there"
    )


def is_held(path: Path) -> bool:
    fd = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
