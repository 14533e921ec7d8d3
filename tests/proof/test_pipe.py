"""`ev tail -f | jq | msg send` as a shell pipeline: one message an event, and an end of its own."""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from proof.witness import PATIENCE_S, Watched, bytes_of, journal_size, replayed
from support import Shell, open_journal

from coord_kernel import Journal

EVENTS = 50
SOON_S = 4.0
"""Soon enough to be woken by what happened, and not by a follower's slow sweep of 5 s."""
MESSAGE = (
    r'{to: "agent:reader", subject: .type, text: "\(.body.n)\(.body.pad // "")", cause: .event_id,'
    ' idempotency_key: ("pipe:" + .event_id)}'
)
pytestmark = pytest.mark.skipif(not shutil.which("jq"), reason="jq is not installed")


def pipeline(options: str) -> str:
    """The pipeline: each stage leaves its pid in a file, and in the end stdout has their statuses."""
    stages = {
        "tail": f"ev tail {options} --type proof.made",
        "jq": f"jq --unbuffered -c '{MESSAGE}'",
        "send": "msg send --as bridge:pipe >>sent",
    }
    marked = [f"(echo $BASHPID >{name}.pid; exec {stage})" for name, stage in stages.items()]
    return f"{' | '.join(marked)}; echo ${{PIPESTATUS[@]}}"


@contextmanager
def running(shell: Shell, options: str) -> Iterator[Watched]:
    """The pipeline in a process group of its own, which is ended on leaving if it has not by itself."""
    for old in shell.cwd.glob("*.pid"):
        old.unlink()
    (shell.cwd / "pipeline").write_text(pipeline(options))
    with Watched(shell, "bash pipeline", start_new_session=True) as piped:
        try:
            yield piped
        finally:
            if piped.child.poll() is None:
                os.killpg(piped.child.pid, signal.SIGKILL)


def end(shell: Shell, stage: str, how: signal.Signals) -> None:
    os.kill(int((shell.cwd / f"{stage}.pid").read_text()), how)


def made(*numbers: int) -> bytes:
    return b"".join(
        json.dumps({"type": "proof.made", "body": {"n": n}}).encode() + b"\n" for n in numbers
    )


def read_mail(shell: Shell) -> Watched:
    bytes_of(shell, "msg join --as reader")
    return Watched(shell, "msg recv --follow --as reader")


@contextmanager
def flowing(shell: Shell) -> Iterator[tuple[Watched, Watched]]:
    """The pipeline and its reader, when the first event has come through: everything is in place."""
    bytes_of(shell, "ev emit proof.made --body '{\"n\":0}'")
    with read_mail(shell) as inbox, running(shell, "-f") as piped:
        assert json.loads(inbox.line())["body"]["text"] == "0"
        yield inbox, piped


def test_each_event_becomes_one_message(shell: Shell, say: Callable[[str], None]) -> None:
    with (
        flowing(shell) as (inbox, piped),
        Watched(shell, "ev emit --as maker", stdin=subprocess.PIPE) as maker,
    ):
        for n in range(1, EVENTS // 2):
            maker.tell(made(n))  # one by one, then all the others at once
            maker.line()
        maker.tell(made(*range(EVENTS // 2, EVENTS + 1)))
        mail = [json.loads(inbox.line()) for _ in range(EVENTS)]
        assert [one["body"]["text"] for one in mail] == [str(n) for n in range(1, EVENTS + 1)]
        end(shell, "tail", signal.SIGTERM)
        statuses = piped.line(SOON_S)
    assert statuses == b"143 0 0"
    stored = [line for line in replayed(shell) if b'"type":"msg.sent"' in line]
    assert (shell.cwd / "sent").read_bytes().split(b"\n") == [*stored, b""]
    assert len(stored) == EVENTS + 1
    say(
        f"pipe: {EVENTS} events, {len(stored) - 1} messages, in order; SIGTERM to tail ended it: {statuses.decode()}"
    )


def test_the_pipeline_ends_when_its_last_stage_is_gone(
    shell: Shell, say: Callable[[str], None]
) -> None:
    with flowing(shell) as (_, piped):
        end(shell, "send", signal.SIGKILL)
        began = time.monotonic()
        bytes_of(
            shell, "ev emit proof.made --body '{\"n\":1}'"
        )  # jq learns of it only by writing, ev does not need to
        statuses = piped.line(SOON_S).decode()
        took = time.monotonic() - began
    assert statuses.split()[1:] == ["141", "137"] and statuses.split()[0] in ("0", "141")
    say(
        f"pipe: msg send killed: the pipeline ended with the next event, in {1000 * took:.0f} ms: {statuses}"
    )


@pytest.mark.parametrize(
    "command", ["ev tail -f", "ev watch", "ev tail -f --cursor c", "msg recv -f --as reader"]
)
def test_a_follower_ends_with_its_reader_though_no_event_comes(
    shell: Shell, command: str, say: Callable[[str], None]
) -> None:
    with Watched(shell, command) as follower, Watched(shell, "ev tail -f") as other:
        event = "ev emit proof.made --to agent:reader -o id"
        last = bytes_of(shell, event)
        while not select.select([follower.out], [], [], 0.2)[
            0
        ]:  # who follows does not say from when on
            last = bytes_of(shell, event)
        for one in (follower, other):
            while last.strip() not in one.line():
                pass
        follower.child.stdout.close()  # type: ignore[union-attr]
        began = time.monotonic()
        assert follower.child.wait(SOON_S) == 0
        took = time.monotonic() - began
        assert other.child.poll() is None
    say(f"pipe: {command}: ended {1000 * took:.0f} ms after its reader, with no event")


def test_a_restarted_pipeline_loses_nothing_and_sends_nothing_twice(
    shell: Shell, long: bool, say: Callable[..., None]
) -> None:
    chance, stops = random.Random(3), 60 if long else 8
    bytes_of(shell, "msg join --as reader")
    for number in range(stops):
        fill_pipes(open_journal(shell.cwd))
        how = signal.SIGKILL if number % 4 == 3 else signal.SIGTERM
        statuses = stop_midway(shell, how, chance.random() * 60_000)
        assert statuses == "143 0 0" or how == signal.SIGKILL, (
            statuses
        )  # that may tear a line, and jq says so
    with running(shell, "--cursor c") as piped:  # without -f it ends when all is read
        assert piped.rest() == [b"0 0 0"]
    stored = [json.loads(line) for line in replayed(shell)]
    causes = Counter(one["cause"] for one in stored if one["type"] == "msg.sent")
    events = {one["event_id"] for one in stored if one["type"] == "proof.made"}
    lost, twice = len(events - causes.keys()), sum(number > 1 for number in causes.values())
    say(
        f"pipe: {len(events):,} events, tail ended {stops} times midway: {lost} lost, {twice} sent twice",
        acked=len(events),
        lost=lost,
    )
    assert (lost, twice) == (0, 0)


def fill_pipes(journal: Journal) -> None:
    """With so much that tail has to wait for its reader: it is ended in the midst of a batch of three streams."""
    for agent in ("agent:one", "agent:two", "agent:three"):
        body = {"n": 0, "pad": "x" * 1_000}
        journal.append(
            {"agent_id": agent}, [{"type": "proof.made", "body": body} for _ in range(150)]
        )


def stop_midway(shell: Shell, how: signal.Signals, grown: float) -> str:
    """Run the pipeline until its messages have so many bytes, then end its tail and let the others end."""
    size, deadline = journal_size(shell), time.monotonic() + PATIENCE_S
    with running(shell, "-f --cursor c") as piped:
        while journal_size(shell) - size <= grown:
            assert time.monotonic() < deadline, "the pipeline stands still"
        end(shell, "tail", how)
        (statuses,) = piped.rest()
        return statuses.decode()
