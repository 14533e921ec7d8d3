"""lease with: the command runs only while the lease is held, whatever happens to either."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator

import pytest
from proof.witness import PATIENCE_S, Watched
from support import Json, Shell, check_invariants, open_store

LINES = "sh -c 'sleep 1000 & echo $!; wait'"
"""A command that says the process id of its own child, and waits for it."""


@contextlib.contextmanager
def holder(shell: Shell, line: str) -> Iterator[tuple[Watched, int]]:
    """A running `lease with`, and a descriptor that is ready when the process it printed has ended."""
    with Watched(shell, f"lease with {line}") as held:
        watched = os.pidfd_open(int(held.line()))
        try:
            yield held, watched
        finally:
            os.close(watched)


def ended(pidfd: int) -> bool:
    return bool(select.select([pidfd], [], [], PATIENCE_S)[0])


def types(shell: Shell) -> list[str]:
    return [one["type"] for one in shell("ev tail -n 99 --type 'lease.*'").lines]


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("true", 0),
        ("sh -c 'exit 3'", 3),
        ("sh -c 'kill -9 $$'", 137),
        ("sh -c 'kill $$'", 143),
        ("./no-such-command", 127),
        ("/", 126),
    ],
)
def test_the_status_of_the_command_passes_through(shell: Shell, command: str, status: int) -> None:
    shell(f"lease with env:a -- {command}", expect=status)
    assert shell("lease ls").out == ""
    assert types(shell) == ["lease.acquired", "lease.released"]
    assert list((shell.cwd / ".coord/local/pins").iterdir()) == []


def test_a_caller_who_ignores_its_children_gets_the_status_too(shell: Shell) -> None:
    """History: with SIGCHLD ignored the kernel keeps no status, and the wait for it failed."""
    shell("trap '' CHLD; exec lease with env:a -- sh -c 'exit 3'", expect=3)


def test_a_release_that_fails_leaves_it_to_the_pin(shell: Shell) -> None:
    """The command's status passes through all the same."""
    done = shell(
        "lease with env:a --ttl 1h -- sh -c 'cd .coord/local; rm lock; mkdir lock; exit 3'",
        expect=3,
    )
    assert re.fullmatch(
        r"lease: not released: .*/lock: not a regular file.*; it is free as soon as .*\n", done.err
    )
    shell("rmdir .coord/local/lock")
    assert shell("lease acquire env:a").one["body"]["token"] == 2


def test_pins_of_long_ago_are_swept_but_for_those_that_are_held(shell: Shell) -> None:
    with Watched(shell, "lease with env:a -- sh -c 'echo; sleep 1000'") as held:
        held.line()
        pins = shell.cwd / ".coord/local/pins"
        (pins / "0123456789abcdef").touch()
        (recent := pins / "fedcba9876543210").touch()
        for pin in pins.iterdir():
            if pin != recent:
                os.utime(pin, (0, 0))
        shell("lease with env:b -- true")
        assert len(list(pins.iterdir())) == 2
        shell("lease acquire env:a", expect=1)


def test_the_command_knows_its_lease_and_has_all_of_its_words(shell: Shell) -> None:
    done = shell(
        "lease with env:a port:80 --ttl 5s -- sh -c 'echo $LEASE_ID $LEASE_TOKEN \"$@\"' -- --ttl x -- y"
    )
    (made,) = shell("ev tail --type lease.acquired").lines
    assert done.out.split() == [
        made["event_id"],
        str(made["body"]["token"]),
        "--ttl",
        "x",
        "--",
        "y",
    ]
    assert made["body"]["resources"] == ["env:a", "port:80"]


def test_what_is_not_acquired_is_75_and_the_command_never_ran(shell: Shell) -> None:
    shell("lease acquire env:a")
    done = shell("lease with env:a -- touch ran", expect=75)
    assert "is held by you" in done.err
    shell("lease with env:a --wait 1ms -- touch ran", expect=75)
    assert not (shell.cwd / "ran").exists()
    assert list((shell.cwd / ".coord/local/pins").iterdir()) == []


def test_when_the_wrapper_is_killed_the_command_dies_and_the_lease_is_free(shell: Shell) -> None:
    with holder(shell, f"'file:src/**' --ttl 1h -- {LINES}") as (held, child):
        shell("lease acquire file:src/a --as bob", expect=1)
        held.child.kill()
        assert ended(child)  # and with it its whole group
        made = shell("lease acquire file:src/a --wait 10s --as bob").one
        assert made["body"]["token"] == 2
    assert types(shell) == ["lease.acquired", "lease.expired", "lease.acquired"]
    (expired,) = shell("ev tail --type lease.expired").lines
    assert expired["body"]["reason"] == "its holder died"
    check_invariants(open_store(shell.cwd))


def test_a_dead_holder_is_not_listed(shell: Shell) -> None:
    with holder(shell, f"env:a --ttl 1h -- {LINES}") as (held, child):
        assert len(shell("lease ls").lines) == 1
        held.child.kill()
        assert ended(child)
        held.child.wait()
        shell("lease acquire env:b --wait 10s")
    assert [row["resources"] for row in shell("lease ls").lines] == [["env:b"]]


def test_when_the_wrapper_is_stopped_the_command_is_killed_before_the_lease_is_lost(
    shell: Shell,
) -> None:
    with holder(shell, f"env:a --ttl 1s -- {LINES}") as (held, child):
        held.child.send_signal(signal.SIGSTOP)
        assert ended(child)
        shell("lease acquire env:a --as bob --wait 60s")
        held.child.send_signal(signal.SIGCONT)
        assert held.child.wait(PATIENCE_S) == 75
    assert "lease.lost" in types(shell)
    check_invariants(open_store(shell.cwd))


def test_it_renews_while_the_command_runs(shell: Shell) -> None:
    """The command ends when it has seen two renewals."""
    done = shell(
        "lease with env:a --ttl 1s -- sh -c 'ev tail -n 0 -f --type lease.renewed | head -n 2'"
    )
    assert [one["type"] for one in done.lines] == ["lease.renewed"] * 2
    assert types(shell)[-1] == "lease.released"


def test_a_stolen_lease_ends_the_command_and_is_said(shell: Shell) -> None:
    with Watched(shell, f"lease with env:a --ttl 1s -- {LINES}", stderr=subprocess.PIPE) as held:
        child = os.pidfd_open(int(held.line()))
        shell("lease steal env:a --as bob --reason 'it hangs'")
        assert ended(child)
        os.close(child)
        assert held.child.wait(PATIENCE_S) == 75
        assert held.child.stderr
        said = held.child.stderr.read().decode()
    assert re.fullmatch(
        r"lease: ls-\w{8}: was lost while .*: is lost: stolen by agent:bob: it hangs; .*\n", said
    )
    assert types(shell).count("lease.lost") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signals_are_passed_on(shell: Shell, number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    line = f"lease with env:a -- sh -c 'trap \"echo heard; exit 7\" {name}; echo $$; read x'"
    with Watched(shell, line, stdin=subprocess.PIPE) as held:
        held.line()
        held.child.send_signal(number)
        assert held.line() == b"heard"
        assert held.child.wait(PATIENCE_S) == 7
    assert types(shell)[-1] == "lease.released"


def test_a_background_child_does_not_keep_the_lease(shell: Shell) -> None:
    """The command has ended, so the lease has, whoever inherited its pin."""
    shell("lease with env:a -- sh -c 'sleep 3 >/dev/null 2>&1 & true'")
    shell("lease acquire env:a")


def test_who_waits_is_given_what_is_released(shell: Shell) -> None:
    made = shell("lease acquire env:a --ttl 1h -o id").out.strip()
    with Watched(shell, "lease acquire env:a --as bob --wait 10m -o id") as waiter:
        shell("lease acquire env:b; lease ls")  # what does not concern it
        shell(f"lease release {made}")
        assert shell("lease ls env:a -o id").out.encode() in (b"", waiter.line() + b"\n")
        assert waiter.child.wait(PATIENCE_S) == 0


def test_who_waits_is_given_what_expires_without_a_word(shell: Shell) -> None:
    shell("lease acquire env:a --ttl 200ms")
    assert shell("lease acquire env:a --as bob --wait 10m").one["body"]["token"] == 2


def test_who_waited_too_long_is_told_who_holds_it(shell: Shell) -> None:
    shell("lease acquire env:a")
    assert (
        "is held by agent:tester" in shell("lease acquire env:a --as bob --wait 1ms", expect=1).err
    )


def test_two_who_take_the_same_in_another_order_do_not_wait_for_each_other(shell: Shell) -> None:
    """History: the pin was dropped before the release, and who waited took that for a death: 75, now and then."""
    once = "lease with {} {} --wait 60s -- true || exit"
    loops = [
        f"for n in 1 2 3 4 5; do {once.format(*pair)}; done"
        for pair in (("env:a", "env:b"), ("env:b", "env:a"))
    ]
    shell(f"({loops[0]}) & ({loops[1]}) & wait -n && wait -n")
    assert Counter(types(shell)) == {"lease.acquired": 10, "lease.released": 10}


def test_watch_prints_an_expiry_when_it_happens_and_once(shell: Shell) -> None:
    with Watched(shell, "lease watch") as watch:
        first: Json = {}
        for number in range(100):  # it follows from some time on
            first = shell(f"lease acquire env:{number} --ttl 100ms").one
            if select.select([watch.out], [], [], 0.1)[0]:
                break
        seen = [watch.line()]
        expired = first["event_id"].encode()  # one from before may come first
        while b'"$stored":false' not in seen[-1] or expired not in seen[-1]:
            seen.append(watch.line())
        assert b'"type":"lease.expired"' in seen[-1]
        shell(f"lease acquire {first['body']['resources'][0]} --as bob")
        assert b"agent:bob" in watch.line()


class Terminal:
    """A shell with job control on a terminal of its own."""

    def __init__(self, shell: Shell) -> None:
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.chdir(shell.cwd)
            os.execvpe(
                "bash",
                ["bash", "--norc", "--noprofile", "-i"],
                shell.env | {"PS1": "", "TERM": "dumb"},
            )
        self.seen = b""

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def see(self, text: str) -> None:
        """Wait until it was printed, after what was seen before."""
        while text.encode() not in self.seen:
            assert select.select([self.fd], [], [], PATIENCE_S)[0], self.seen
            self.seen += os.read(self.fd, 4096)
        self.seen = self.seen.partition(text.encode())[2]

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.fixture
def terminal(shell: Shell) -> Iterator[Terminal]:
    found = Terminal(shell)
    yield found
    found.close()


def test_the_command_reads_the_terminal_and_is_interrupted_there(terminal: Terminal) -> None:
    terminal.type(
        "lease with env:a -- sh -c 'echo rea\"\"dy; read x; echo got-$x; exec sleep 1000'; echo ended:$?\n"
    )
    terminal.see("ready")
    terminal.type("words\n")
    terminal.see("got-words")
    terminal.type("\x03")
    terminal.see("ended:130")
    terminal.type("lease ls | wc -l | sed s/^/count:/\n")
    terminal.see("count:0")


def test_the_command_is_stopped_and_goes_on_with_its_job(terminal: Terminal) -> None:
    terminal.type(
        "lease with env:a -- sh -c 'echo rea\"\"dy; read x; echo got-$x'; echo ended:$?\n"
    )
    terminal.see("ready")
    terminal.type("\x1a")
    terminal.see("Stopped")
    terminal.type("fg\n")
    terminal.see("lease with")
    terminal.type("words\n")
    terminal.see("got-words")
