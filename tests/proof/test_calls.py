"""A death or a failure at every call that changes something, for each kind of command, by strace.

Tried: SIGKILL in place of the nth call of a kind, for each kind and n that a run has, one after the other in one
store; then ENOSPC and EIO as the call's answer, and EIO where the store is read. The short form takes a sample.

A failure would mean that there is a moment in which a crash, or a disk that refuses, loses what was acked, makes
something twice, leaves a lock or a line behind that is in the way, or is passed over in silence.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from proof.scenes import SCENES, Scene, withstood
from proof.strace import Call, Point, Strace
from support import Shell

KILLS, FAILURES, MOST = 4, 1, 40
"""Of each command, in the short form; and how many places may fail in the long one."""
ROUNDS = 600
"""More than any of them has points."""
ERRORS = ("ENOSPC", "EIO")
ENDING = ("flock", "unlink", "unlinkat", "rmdir")
"""They do not fail for want of room, nor of a disk."""


def sample(points: list[Point], count: int) -> list[Point]:
    """So many, of as many kinds as there are: each kind is as likely, however often it is called."""
    chance, found = random.Random(17), list[Point]()
    by_kind = {
        kind: [one for one in points if one.kind == kind] for kind in {one.kind for one in points}
    }
    while len(found) < min(count, len(points)):
        kind = chance.choice(sorted(by_kind))
        found.append(by_kind[kind].pop(chance.randrange(len(by_kind[kind]))))
        by_kind = {kind: left for kind, left in by_kind.items() if left}
    return found


def calls_of(scene: Scene, strace: Strace) -> list[Call]:
    """What it calls when it runs the second time: the first makes what all later ones find."""
    for n in range(2):
        scene.ready(n)
        done, calls = strace.calls(scene.line(n))
        assert done.status == 0, done.err
        withstood(scene, n, done)
    return calls


@pytest.fixture
def strace(shell: Shell, tmp_path: Path) -> Strace:
    return Strace(shell, tmp_path / "strace")


def struck(
    strace: Strace, kind: type[Scene], most: int | None = None
) -> tuple[Scene, int, int, int]:
    """Kill it at so many points, or at all; how many there are, how many were tried, and how many killed."""
    scene = kind(strace.shell, ROUNDS)
    points = sorted({one.point for one in calls_of(scene, strace) if one.changes})
    chosen, kills = sample(points, most) if most else points, 0
    for n, point in enumerate(chosen, 2):
        scene.ready(n)
        done, killed = strace.dies(point, scene.line(n))
        try:
            withstood(scene, n, done)
        except AssertionError as error:
            raise AssertionError(
                f"killed at {point.kind} {point.nth} of `{scene.line(n)}`: {error}"
            ) from error
        kills += killed
    return scene, len(points), len(chosen), kills


@pytest.mark.parametrize("kind", SCENES, ids=lambda kind: kind.__name__.lower())
def test_a_death_at_any_call_loses_and_doubles_nothing(
    strace: Strace, kind: type[Scene], long: bool, say: Callable[[str], None]
) -> None:
    scene, points, chosen, kills = struck(strace, kind, None if long else KILLS)
    say(f"killed in {scene.name}: {kills} of {points} calls that change something, all withstood")
    assert kills >= chosen / 2 or not long, "the kills did not hit"


@pytest.mark.parametrize("kind", SCENES, ids=lambda kind: kind.__name__.lower())
def test_a_call_that_fails_is_told_in_one_line_and_nothing_is_acked_that_is_not_there(
    strace: Strace, kind: type[Scene], long: bool, say: Callable[[str], None]
) -> None:
    scene, ends = kind(strace.shell, ROUNDS), Counter[int]()
    calls = [one for one in calls_of(scene, strace) if one.point.kind not in ENDING]
    written = sorted({one.point for one in calls if one.changes})
    read = sorted({one.point for one in calls if one.of_store}.difference(written))
    chosen = [
        (one, error) for one in sample(written, MOST if long else FAILURES) for error in ERRORS
    ]
    chosen += [(one, "EIO") for one in sample(read, MOST if long else FAILURES)]
    for n, (point, error) in enumerate(chosen, 2):
        scene.ready(n)
        done, failed = strace.fails(point, error, scene.line(n))
        try:
            if failed:
                said = len(done.err.splitlines())
                assert "Traceback" not in done.err and done.status in (0, *scene.failed), (
                    f"exit {done.status}: {done.err}"
                )
                assert bool(done.status) <= said <= scene.told, (
                    f"exit {done.status}, and said: {done.err!r}"
                )
                ends[done.status] += 1
            withstood(scene, n, done)
        except AssertionError as reason:
            raise AssertionError(
                f"{error} at {point.kind} {point.nth} of `{scene.line(n)}`: {reason}"
            ) from reason
    told = ", ".join(f"{count} with {status}" for status, count in sorted(ends.items()))
    most = len(written) * len(ERRORS) + len(read)
    say(
        f"failures in {scene.name}: {ends.total()} of {most} ended {told}; nothing was acked in vain"
    )
    assert ends.total() >= len(chosen) / 4 or not long, "the failures did not hit"
