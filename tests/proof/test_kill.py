"""kill -9 in the middle of bulk appends: what was acked is there, and the next append is clean."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path

from proof.witness import PATIENCE_S, Watched, bad_lines, bytes_of, is_torn, journal_size, replayed
from support import ME, Shell, drafts, open_journal, segment

LINES, KEYS = 1_200, 1_500
TORN, AGAIN = (1, 2, 1), (4, 1, 1)
"""Weights of the moments: only the second comes in the midst of one write; of what is there, only acks come again."""
Moment = Callable[[int], bool]  # of the bytes acked so far: is it time to kill?


class History:
    """What the store has shown so far, which it may never take back, and what the kills did to it."""

    def __init__(self, shell: Shell) -> None:
        self.shell, self.begin, self.seq, self.bad = shell, bytes_of(shell, "ev replay"), 0, 0
        self.kills, self.hits, self.torn, self.acked, self.lost = 0, 0, 0, 0, 0
        self.last = bytes_of(shell, "ev emit proof.first").strip()

    def killed(self, acks: list[bytes]) -> None:
        """A run of LINES appends was killed after these acks. A hit: it had begun to write, and had more to write."""
        torn = is_torn(self.shell)
        stored = self.shows(acks)
        self.kills, self.acked, self.torn = self.kills + 1, self.acked + len(acks), self.torn + torn
        self.hits += torn or 0 < stored < LINES
        self.appends_cleanly(torn)

    def shows(self, acks: list[bytes]) -> int:
        """The replay is what it was, the append after the last kill, the acks, perhaps more; no number twice.

        Says how many events came since that append.
        """
        now = bytes_of(self.shell, "ev replay")
        assert now.startswith(self.begin), "what was there before has changed"
        fresh = now[len(self.begin) :].split(b"\n")[:-1]
        assert self.last in fresh[:2], (
            "the append after the last kill is gone"
        )  # an unacked line may have survived
        since = fresh[fresh.index(self.last) + 1 :]
        self.lost += len(set(acks).difference(since))
        assert since[: len(acks)] == acks, "an acked event is not there, or not as it was acked"
        for line in fresh:
            seq = json.loads(line)["seq"]
            assert seq > self.seq, f"seq {seq} comes after {self.seq}"
            self.seq = seq
        self.begin = now
        return len(since)

    def appends_cleanly(self, torn: bool) -> None:
        """The next event is acked, the last one, and costs at most the line that was torn."""
        ack = bytes_of(self.shell, "ev emit proof.after")
        with Watched(self.shell, "ev tail -n 1") as tail:
            bad = bad_lines(self.shell)
            assert tail.rest() == [ack.strip()], "the event after the kill is not the last one"
        assert len(bad) - self.bad <= torn, f"more bad lines than torn ones: {bad[self.bad :]}"
        self.bad, self.last = len(bad), ack.strip()


def kill_at(shell: Shell, moment: Moment, command: str) -> list[bytes]:
    """Run a bulk append, kill it at the moment, and give the lines it acked: those that were in the pipe too."""
    with Watched(shell, command, start_new_session=True) as victim:
        end = time.monotonic() + PATIENCE_S
        while not moment(victim.printed):
            assert time.monotonic() < end, "the moment never came"
            if select.select([victim.out], [], [], 0)[0] and not victim.take(0):
                break
        os.killpg(victim.child.pid, signal.SIGKILL)  # its feeder too
        return victim.rest()


class Pace:
    """How long a run takes and how much it writes, measured, so that a random moment is one in the midst of it."""

    def __init__(self, shell: Shell, feed: str) -> None:
        self.shell, self.size, began = shell, journal_size(shell), list[float]()
        self.acks = kill_at(shell, lambda _: self._has_begun(began) and False, feed)
        self.seconds, self.grown = time.monotonic() - began[0], journal_size(shell) - self.size
        self.acked = sum(len(ack) + 1 for ack in self.acks)

    def _has_begun(self, began: list[float]) -> bool:
        if not began and journal_size(self.shell) > self.size:
            began.append(time.monotonic())
        return bool(began)

    def moment(self, chance: random.Random, weights: tuple[int, int, int]) -> Moment:
        """After some acks, at some size of the journal, or some time after it began to grow."""
        part, self.size, began = chance.random(), journal_size(self.shell), list[float]()
        moments: list[Moment] = [
            lambda acked: acked > part * self.acked,
            lambda _: journal_size(self.shell) - self.size > part * self.grown,
            lambda _: self._has_begun(began) and time.monotonic() - began[0] > part * self.seconds,
        ]
        return chance.choices(moments, weights)[0]


def bulk(path: Path, lines: int, **fields: str) -> Path:
    made = (
        {"type": "proof.bulk", "body": {"n": n, "pad": "·" * 60}, **fields} for n in range(lines)
    )
    path.write_text(
        "".join(json.dumps(one).replace("#", str(n)) + "\n" for n, one in enumerate(made))
    )
    return path


def test_no_acked_event_is_lost_to_a_kill(
    shell: Shell, tmp_path: Path, long: bool, say: Callable[..., None]
) -> None:
    chance = random.Random(9)
    path = bulk(tmp_path / "bulk", LINES)
    feeds = [f"bash -c 'cat {path} | ev emit'", f"ev emit <{path}"]  # in many batches, in one
    paces = [Pace(shell, one) for one in feeds]
    history = History(shell)
    for _ in range(200 if long else 25):
        (number,) = chance.choices([0, 1], [3, 1])
        history.killed(kill_at(shell, paces[number].moment(chance, TORN), feeds[number]))
    history.shows([])
    say(
        f"kill -9: {history.kills} kills, {history.hits} while it was writing, {history.torn} tore a line; "
        f"{history.acked:,} acked events and all {history.kills} appends after are there; {history.bad} bad lines",
        acked=history.acked,
        lost=history.lost,
    )
    assert history.hits > history.kills / 10, "the kills did not hit"


def test_a_key_has_one_event_however_often_its_input_was_killed(
    shell: Shell, tmp_path: Path, long: bool, say: Callable[..., None]
) -> None:
    chance, rounds, kills, midway = random.Random(6), 8 if long else 1, 5, 0
    acked: dict[str, str] = {}
    path = tmp_path / "keyed"
    feed = f"bash -c 'cat {path} | ev emit'"
    bulk(path, KEYS, idempotency_key="0-#")
    pace = Pace(shell, feed)
    remember(acked, pace.acks)
    for number in range(1, rounds + 1):
        bulk(path, KEYS, idempotency_key=f"{number}-#")
        for _ in range(kills):
            acks = kill_at(shell, pace.moment(chance, AGAIN), feed)
            midway += len(acks) < KEYS
            remember(acked, acks)
        remember(acked, bytes_of(shell, f"ev emit <{path}").split(b"\n")[:-1])
    stored = [(one["idempotency_key"], one["event_id"]) for one in map(json.loads, replayed(shell))]
    assert len(stored) == (rounds + 1) * KEYS, "a key has no event, or two"
    assert dict(stored) == acked, "a key was acked with another event"
    say(
        f"kill -9, keyed: {rounds * kills} kills, {midway} of them midway, {rounds} reruns of {KEYS:,} keys: "
        "each key has exactly one event"
    )


def remember(acked: dict[str, str], acks: list[bytes]) -> None:
    for ack in map(json.loads, acks):
        first = acked.setdefault(ack["idempotency_key"], ack["event_id"])
        assert first == ack["event_id"], f"{ack['idempotency_key']} was acked with two events"


def test_an_append_after_a_write_cut_at_any_byte_is_stored(
    shell: Shell, say: Callable[..., None]
) -> None:
    journal = open_journal(shell.cwd)
    size, lost = len(journal.append(ME, drafts(1))[0].raw) + 1, list[int]()
    for missing in range(1, size):
        journal.append(ME, drafts(1))
        file = segment(shell.cwd)
        os.truncate(file, file.stat().st_size - missing)  # a kill leaves this if a page ends there
        (after,) = journal.append(ME, drafts(1))
        if [one.raw for one in journal.replay()][-1] != after.raw:
            lost.append(missing)
    say(
        f"torn tails: an event cut at each of its {size} bytes: {len(lost)} of the appends after it were lost"
    )
    assert not lost, f"acked, and not in the replay, when so many bytes were missing: {lost}"
