"""Mail and sudden death: what the table in msg(1) says, row by row, of a process that is killed at that very point."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from proof.witness import Watched, bad_lines, bytes_of, replayed
from support import Done, Json, Shell, check_invariants, open_journal, open_store

DEATH = """
import os, signal
moment, point, left = (os.environ.pop("DIE") + " 1").split()[:3]
write, rename, left = os.write, os.rename, int(left)

def at(here, act, half=None):
    global left
    left -= here == point
    if here != point or left:
        return act()
    if moment == "midway":
        half()
    if moment == "after":
        act()
    os.kill(os.getpid(), signal.SIGKILL)

def writes(fd, data):
    here = "print" if fd == 1 else "append" if bytes(data[:2]) == b'{"' else ""
    return at(here, lambda: write(fd, data), lambda: write(fd, data[: len(data) // 2]))

def renames(*args, **more):
    return at("cursor" if args[1].endswith(".json") else "", lambda: rename(*args, **more))

os.write, os.rename = writes, renames
"""
"""A sitecustomize: SIGKILL before, midway in or after the first (or that many) print, append or saving of a cursor."""
NOON, LATER = "2026-01-02T12:00:00Z", "2026-01-02T12:10:00Z"
"""Between them the visibility of a message from a queue is over."""


@pytest.fixture
def shell(shell: Shell, tmp_path: Path) -> Shell:
    """A store, and what makes a process die."""
    (tmp_path / "death").mkdir()
    (tmp_path / "death/sitecustomize.py").write_text(DEATH)
    return shell


def dies(shell: Shell, death: str, line: str, stdin: str = "", when: str = NOON) -> Done:
    """Run one tool that is killed at that point: what it printed until then."""
    where = str(shell.cwd.parent / "death")
    done = shell(line, stdin, expect=None, DIE=death, PYTHONPATH=where, COORD_NOW=when)
    assert done.status in (-signal.SIGKILL, 128 + signal.SIGKILL), (
        f"{line}: did not die {death}: {done.err}"
    )
    return done


def sends(shell: Shell, to: str, subject: str = "one") -> str:
    return shell(f"msg send --to {to} --subject {subject} -o id", COORD_NOW=NOON).out.strip()


def found(shell: Shell, line: str, when: str = NOON) -> list[str]:
    return [one["event_id"] for one in shell(line, COORD_NOW=when).lines]


def fits(death: str, out: str, message: str) -> bool:
    """Is this what a reader has of the message, if the writer died then?"""
    if death == "before print":
        return out == ""
    whole = out.endswith("\n") and json.loads(out)["event_id"] == message
    return whole if death != "midway print" else message in out and "\n" not in out


PRINTING = ("before print", "midway print", "after print")


def test_your_own_mail_is_printed_again_wherever_its_reader_died(shell: Shell) -> None:
    message = sends(shell, "tester")
    for death in PRINTING:
        for command in ("msg recv", "msg recv -f"):
            assert fits(death, dies(shell, death, command).out, message)
            assert found(shell, "msg recv") == [message], death


def test_what_a_dead_consumer_took_from_a_queue_comes_back_when_its_visibility_is_over(
    shell: Shell,
) -> None:
    for number, death in enumerate(("before append", "midway append", *PRINTING), 1):
        message = sends(shell, f"queue:q{number}")
        out = dies(shell, death, f"msg recv queue:q{number} -f").out
        assert not out if "append" in death else fits(death, out, message)
        taken = death in PRINTING
        assert found(shell, f"msg recv queue:q{number}") == ([] if taken else [message]), death
        (again,) = shell(f"msg recv queue:q{number} --visibility 1h", COORD_NOW=LATER).lines
        assert (again["event_id"], again["$n"]) == (message, 2), death
    assert len(bad_lines(shell)) == 1, "the claim that was torn"


def test_a_message_whose_consumers_die_one_after_the_other_is_dead_with_the_fifth(
    shell: Shell,
) -> None:
    """Four deaths are bad luck, and the fifth delivery is one as any; after five somebody has to look."""
    times = [f"2026-01-02T12:{10 * n:02d}:00Z" for n in range(6)]
    lucky, unlucky = sends(shell, "queue:lucky"), sends(shell, "queue:unlucky")
    for n, when in enumerate(times[:5]):
        if n < 4:
            dies(shell, "after append", "msg recv queue:lucky", when=when)
        dies(shell, "after append", "msg recv queue:unlucky", when=when)
        assert shell("msg dead", COORD_NOW=when).out == ""
    last = shell("msg recv queue:lucky", COORD_NOW=times[4]).one
    assert (last["event_id"], last["$n"]) == (lucky, 5)
    shell("msg ack", json.dumps(last))
    assert [row["msg_id"] for row in shell("msg dead", COORD_NOW=times[5]).lines] == [unlucky]
    assert found(shell, "msg recv queue:unlucky", times[5]) == []
    shell("msg dead | msg requeue", COORD_NOW=times[5])
    assert shell("msg recv queue:unlucky", COORD_NOW=times[5]).one["$n"] == 1


@pytest.mark.parametrize("acks", [False, True], ids=["", "ack-fd"])
def test_a_channel_goes_on_where_its_cursor_is(shell: Shell, acks: bool) -> None:
    """A cursor moves after the print; with --ack-fd, when the consumer says so."""
    message = sends(shell, "chan:c")
    (shell.cwd / "acks").write_text(f"{message}\n")
    option = " --ack-fd 3 3<acks" if acks else ""
    for death in (*PRINTING, "before cursor"):
        assert fits(death, dies(shell, death, f"msg recv chan:c -f{option}").out, message)
        assert found(shell, "msg recv chan:c --ack-fd 3 3</dev/null") == [message], death
    assert fits("", dies(shell, "after cursor", f"msg recv chan:c -f{option}").out, message)
    assert found(shell, "msg recv chan:c") == [], (
        "what the consumer had not processed is lost to it"
    )
    assert [row["msg_id"] for row in shell("msg ls chan:c").lines] == [message]


def test_a_consumer_that_dies_before_it_writes_back_reads_a_channel_again(shell: Shell) -> None:
    one, two = sends(shell, "chan:c"), sends(shell, "chan:c", "two")
    for said, left in (
        ("", [one, two]),
        (one[:20], [one, two]),
        (f"{two}\n", [one, two]),
        (f"{one}\n{two}", [two]),
    ):
        (shell.cwd / "acks").write_text(said)
        shell("msg recv chan:c -f --ack-fd 3 3<acks", COORD_NOW=NOON)  # its end is the consumer's
        assert found(shell, "msg recv chan:c --ack-fd 3 3</dev/null") == left, said


ACKING = (*PRINTING, "before ack", "midway ack", "after ack")


def test_recv_with_ack_acks_what_it_printed(shell: Shell) -> None:
    for number, death in enumerate(ACKING, 1):
        message = sends(shell, "tester")
        assert fits(
            death, dies(shell, death.replace("ack", "append"), "msg recv -f --ack").out, message
        )
        left = [] if death == "after ack" else [message]
        assert found(shell, "msg recv --ack") == left, (
            f"{death}: lost to the consumer, or printed again"
        )
        assert len(shell("msg ls --all").lines) == number
    assert len(bad_lines(shell)) == 1, "the ack that was torn"


def test_recv_with_ack_from_a_queue_acks_what_it_printed(shell: Shell) -> None:
    for number, death in enumerate(ACKING, 1):
        message, command = sends(shell, f"queue:q{number}"), f"msg recv queue:q{number} --ack"
        point = death.replace("ack", "append 2")  # the first is the claim
        assert fits(death, dies(shell, point, command).out, message)
        assert found(shell, command) == [], death
        assert found(shell, command, LATER) == ([] if death == "after ack" else [message]), death


def test_an_ack_is_there_or_not_and_is_printed_when_it_is(shell: Shell) -> None:
    for death in ("before append", "midway append", "after append", "before print", "after print"):
        message = sends(shell, "tester")
        out = dies(shell, death, "msg ack", f"{message}\n").out
        assert bool(out) == (death == "after print")
        left = [message] if death in ("before append", "midway append") else []
        assert found(shell, "msg recv --ack") == left, death
    assert len(bad_lines(shell)) == 1


def test_what_a_sender_did_not_print_is_sent_or_not_and_a_key_makes_it_once(shell: Shell) -> None:
    for death in ("before append", "midway append", "after append", "before print", "after print"):
        line = f"msg send --to tester --subject '{death}' --key '{death}'"
        out = dies(shell, death, line).out
        sent = [] if death in ("before append", "midway append") else ["msg.sent"]
        assert [one["type"] for one in shell("msg recv", COORD_NOW=NOON).lines] == sent, death
        again = shell(line, COORD_NOW=NOON).one
        assert ("$dup" in again) == bool(sent)
        assert not out or json.loads(out)["event_id"] == again["event_id"]
        assert found(shell, "msg recv --ack") == [again["event_id"]], death
    assert len(bad_lines(shell)) == 1


EVENTS = 120
PIPES = {
    "messages": "jq --unbuffered -c '{to: \"agent:reader\", text: .body.text, idempotency_key: .event_id}' | msg send",
    "events": "msg send --to agent:reader",
}


@pytest.mark.parametrize("kind", PIPES)
def test_a_pipe_that_is_begun_again_sends_nothing_twice(
    shell: Shell, kind: str, say: Callable[[str], None]
) -> None:
    """The same input from its beginning each time, after it was killed in the middle twice: no cursor, only keys."""
    if kind == "messages" and not shutil.which("jq"):
        pytest.skip("jq is not installed")
    bytes_of(shell, "msg join --as reader")
    journal = open_journal(shell.cwd)
    for one in ("one", "two", "three"):
        journal.append({"agent_id": f"agent:{one}"}, [PADDED] * (EVENTS // 3))
    parts = list[int]()
    for stop in (1, EVENTS // 2):
        with running(shell, f"ev tail -n {EVENTS} -f --type proof.made", PIPES[kind]) as piped:
            for _ in range(stop):
                piped.line()
        parts.append(len(sent(shell)))
    with running(shell, f"ev tail -n {EVENTS} --type proof.made", PIPES[kind]) as piped:
        said = Counter("$dup" in json.loads(line) for line in piped.rest())
    causes = Counter(key(one) for one in sent(shell))
    events = {
        one["event_id"] for one in map(json.loads, replayed(shell)) if one["type"] == "proof.made"
    }
    assert causes == dict.fromkeys(events, 1), "lost, or sent twice"
    assert 0 < parts[0] < parts[1] < EVENTS, f"it was not stopped in the middle: {parts}"
    assert (said[True], said[False]) == (parts[1], EVENTS - parts[1])
    check_invariants(open_store(shell.cwd))
    say(
        f"pipe, {kind}: {EVENTS} events, killed with {parts[0]} and {parts[1]} sent, begun again: each sent once"
    )


PADDED = {"type": "proof.made", "body": {"text": "x" * 30_000}}
"""So long that a sender, which reads up to 1 MiB at once, is always in the middle when its reader stops."""


@contextlib.contextmanager
def running(shell: Shell, source: str, pipe: str) -> Iterator[Watched]:
    """The pipeline, in a process group that is killed on leaving."""
    (shell.cwd / "pipeline").write_text(f"{source} | {pipe}")
    with Watched(shell, "bash pipeline", start_new_session=True) as piped:
        try:
            yield piped
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(piped.child.pid, signal.SIGKILL)


def sent(shell: Shell) -> list[Json]:
    return [one for one in map(json.loads, replayed(shell)) if one["type"] == "msg.sent"]


def key(message: Json) -> str:
    """The event that a message was made of, as its key says."""
    return str(message["idempotency_key"]).removeprefix("forward:").partition(":")[0]
