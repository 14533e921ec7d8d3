"""A view at an earlier time says what a fold of all events up to then says."""

from __future__ import annotations

import random

import pytest
from histories import BEGIN, History
from support import Shell, open_journal

from coord_envelope import codec, event, world
from coord_kernel import Journal
from coord_kernel.views import fill
from coord_kernel.views.past import Past, Snapshot
from coord_kernel.views.view import View
from coord_wk import fold

NAMES = ("end", "open", "has", "last", "free", "key", "child", "part", "alias", "count", "linked")
ODD = ("", "2026", "2026-01-01T00:00:00Z", "~", "é" * 40, "2026-01-01T00:00:00.030Z\0later")
"""Times that no writer of ours writes."""
MOMENTS = 40


class Timed(History):
    """A history whose clocks stand still, go on and are set back; and some foreign times."""

    def write(self, writer: str, event_id: str, new: bool) -> None:
        super().write(writer, event_id, new)
        lines = self.streams[writer]
        stored = dict(event.parse(lines[-1][:-1]))
        stored["ts"] = world.format_ts(BEGIN + self.chance.randrange(-5, 40) + len(self.known))
        if self.chance.random() < 0.05:
            stored["ts"] = self.chance.choice(ODD)
        if self.chance.random() < 0.2:
            stored["idempotency_key"] = self.chance.choice("kl")
        lines[-1] = codec.dumps(stored) + b"\n"


def check_moment(view: View, journal: Journal, then: str) -> None:
    past, whole = Past(view, fold, then), Snapshot(fold, journal.replay(until=then))
    entities = list(whole.entities())
    assert list(past.entities()) == entities
    for one in [*entities, "nowhere"]:  # alone: nothing else is folded
        assert Past(view, fold, then).get(one) == whole.get(one)
    assert past.many(entities) == whole.many(entities)
    for name in NAMES:
        everything = list(whole.find(name))
        assert list(past.find(name)) == everything
        assert list(past.newest(name, "", "~")) == list(whole.newest(name, "", "~"))
        for value, _ in everything[:5]:
            about = name, value, f"{value}\0"
            assert list(Past(view, fold, then).find(*about)) == list(whole.find(*about))
            assert past.count(*about, 9) == whole.count(*about, 9)
    assert past.tally() == whole.tally()
    assert list(past.shared_keys()) == sorted(whole.shared_keys())


@pytest.mark.parametrize("seed", range(5))
def test_any_moment_is_what_a_fold_up_to_it_says(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """With late arrivals, forks, clocks that were set back, and times that are none: 200 moments."""
    chance = random.Random(seed)
    monkeypatch.setattr(fill, "BATCH", chance.choice([1, 3, 5_000]))
    journal, history = open_journal(shell.cwd), Timed(chance, 80, items=8)
    view = View(journal.store, fold)
    moments = 0
    while history.waiting() or moments < MOMENTS:
        if history.waiting():
            history.arrive(journal.store)
        view.refresh()
        for _ in range(4):
            then = world.format_ts(BEGIN + chance.randrange(-10, 130))
            check_moment(view, journal, then)
            moments += 1
    check_moment(view, journal, "9999-12-31T23:59:59.999Z")


def test_a_moment_is_asked_of_a_file_that_cannot_be_written(shell: Shell) -> None:
    journal, history = open_journal(shell.cwd), Timed(random.Random(9), 60)
    history.arrive(journal.store)
    View(journal.store, fold).refresh().close()
    history.all(journal.store)
    view = View(journal.store, fold)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(View, "_mended", lambda _: False)
        view.refresh()
    assert len(view._layers) == 2
    for step in range(0, 100, 9):
        check_moment(view, journal, world.format_ts(BEGIN + step))


def test_a_redacted_event_is_a_tombstone_at_every_moment(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    me = {"agent_id": "agent:a"}
    (made,) = journal.append(
        me, [{"type": "work.created", "refs": {"work_id": event.SELF}, "body": {"title": "secret"}}]
    )
    then = made["ts"]
    journal.append(me, [{"type": "work.commented", "refs": {"work_id": made.id}, "body": {}}])
    shell(f"ev redact {made.id} --reason x --as a")
    view = View(journal.store, fold).refresh()
    assert b"secret" not in codec.dumps(Past(view, fold, then).get(made.id))
    check_moment(view, journal, then)
