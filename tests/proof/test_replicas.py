"""Replicas, whatever happens to them: a search through what `replicas_model` can do, and what it would notice.

Tried on the true build, and on broken ones. None of these touches a file of the tools.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from proof.replicas_model import Replicas
from proof.replicas_world import SEEN
from support import Json

from coord_envelope import cursor
from coord_kernel.journal import keys, tail
from coord_kernel.rules import claims
from coord_kernel.sync import intake
from coord_kernel.views import view
from coord_wk import fold

ANY = settings(
    deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
FORM = settings(ANY, max_examples=30, stateful_step_count=40)
LONG = settings(ANY, derandomize=False, max_examples=400, stateful_step_count=60)


class Seeded(Replicas):
    """A seed stays with the class it is given to."""


def test_replicas_agree_whatever_happens_to_them(long: bool, say: Callable[[str], None]) -> None:
    number = int.from_bytes(os.urandom(4), "big")
    SEEN.clear()
    try:
        run_state_machine_as_test(
            seed(number)(Seeded) if long else Replicas, settings=LONG if long else FORM
        )
    except BaseException:
        say(f"replicas: {seen()}{f'; seed {number}' if long else ''}: not as it must be")
        raise
    say(f"replicas: {seen()}{f'; seed {number}' if long else ''}: none lost, all equal")


class Signing(Replicas):
    """The same, and they sign what they give, and believe only what is signed."""

    signs = True


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen is not installed")
def test_replicas_that_sign_agree_too(long: bool, say: Callable[[str], None]) -> None:
    SEEN.clear()
    form = settings(ANY, max_examples=60 if long else 2, stateful_step_count=20)
    run_state_machine_as_test(Signing, settings=form)
    say(f"replicas that sign: {seen()}: none lost, all equal")


def seen() -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(SEEN.items()))


def by_the_clock(state: Json, at: str, register: str, value: object, fits: bool = False) -> None:
    values = state["registers"].get(register, {})
    newest = max([at, *values])
    state["registers"][register] = {newest: value if newest == at else values[newest]}


def without_a_steal(state: Json, _claim: str) -> bool:
    return False


def nothing(*_: object) -> None:
    pass


BROKEN: dict[str, tuple[object, str, Any, str]] = {
    "the clock decides": (fold, "write", by_the_clock, "by what each writer knew"),
    "a claim cannot be taken away": (claims, "stolen", without_a_steal, "by what each writer knew"),
    "what comes late is a step more": (view._Entity, "fold", nothing, "another view"),
    "a key is never found": (keys.Keys, "first", nothing, "used twice"),
    "a torn line is written on": (tail.Tail, "_end_torn_line", lambda _: 0, "acked, not there"),
    "a fork is dropped": (intake.Intake, "_fork", nothing, "did not come"),
    "the cursor stands still": (cursor, "save", nothing, "printed twice"),
}
"""What is broken, in place of what, and the words in which it is noticed."""

RARE = ("a claim cannot be taken away", "the cursor stands still")


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_build_is_noticed(
    how: str, monkeypatch: pytest.MonkeyPatch, long: bool, say: Callable[[str], None]
) -> None:
    if how in RARE and not long:
        pytest.skip("takes a quarter of a minute: --long")
    *broken, words = BROKEN[how]
    monkeypatch.setattr(*broken)
    first = settings(FORM, max_examples=40, phases=[Phase.generate], report_multiple_bugs=False)
    with pytest.raises(AssertionError, match=words):
        run_state_machine_as_test(Replicas, settings=first)
    say(f"replicas: a build in which {how}: noticed")
