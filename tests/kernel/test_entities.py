"""The entities of a fold: those that stores made with one key are one, and each is found by its end."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from support import ME, Json, Shell, open_journal

from coord_envelope import SELF, Event, Usage
from coord_kernel import Journal
from coord_kernel.views import resolve
from coord_kernel.views.entities import Entities
from coord_kernel.views.past import Snapshot
from coord_kernel.views.view import View


def entities(event: Event) -> list[str]:
    return [event["refs"]["thing"]] if event["type"].startswith("thing.") else []


def step(state: Json | None, event: Event) -> Json:
    new = dict(state or {"names": []})
    if event["type"] == "thing.made":
        new |= {"id": event.id, "key": event.get("idempotency_key")}
    return new | {"names": [*new["names"], event["body"]["name"]]}


def indexed(state: Json) -> list[tuple[str, str]]:
    if "id" not in state:
        return []
    keyed = [("key", state["key"])] if state["key"] else []
    return [("named", f"{name} {state['id']}") for name in state["names"]] + [
        ("end", state["id"][::-1]),
        *keyed,
    ]


def united(states: list[Json]) -> Json:
    return {**states[0], "names": [name for state in states for name in state["names"]]}


class Things(Entities):
    fold = SimpleNamespace(
        name="things",
        version="1",
        entities=entities,
        step=step,
        indexed=indexed,
        united=united,
        made=lambda state: "id" in state,
        key=lambda state: state.get("key"),
    )


def made(journal: Journal, name: str, key: str | None = None) -> str:
    draft: Json = {"type": "thing.made", "refs": {"thing": SELF}, "body": {"name": name}}
    keyed = {"idempotency_key": key} if key else {}
    (event,) = journal.append(ME, [draft | keyed])
    return event.id


@pytest.fixture
def twice(shell: Shell) -> tuple[Journal, list[str]]:
    """A store with two things that were made with one key, where neither store knew the other."""
    ids, parts = [], []
    for name in ("old", "new"):
        shell(f"git init -q ../{name}; cd ../{name}; ev init")
        ids.append(made(open_journal(shell.cwd.parent / name), name, "k"))
        parts.append(shell.cwd.parent / name / ".coord/journal")
    for part in parts:
        shell(f"cp -r {part}/* .coord/journal")
    return open_journal(shell.cwd), ids


def looks(journal: Journal) -> list[Things]:
    view = View(journal.store, Things.fold)
    return [
        Things.current(view),
        Things.at(journal.replay(), "2999-01-01T00:00:00Z"),
    ]


def test_things_made_with_one_key_are_one_named_by_the_oldest(
    twice: tuple[Journal, list[str]],
) -> None:
    journal, ids = twice
    for things in looks(journal):
        for thing in ids:
            assert things.name(thing) == ids[0]
            assert things.state(thing) == things.state(ids[0])
        assert things.state(ids[0])["names"] == ["old", "new"]


def test_what_is_one_is_listed_once(twice: tuple[Journal, list[str]]) -> None:
    journal, ids = twice
    alone = made(journal, "new")
    for things in looks(journal):
        source = things._source
        listed = [state["id"] for state in things.each(source.find("named"))]
        assert sorted(listed) == [ids[0], alone]
        assert [state["id"] for state in things.having("named", "old")] == [ids[0]]


def test_a_thing_that_was_never_made_is_not_there(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    draft = {"type": "thing.named", "refs": {"thing": "X"}, "body": {"name": "x"}}
    journal.append(ME, [draft])
    for things in looks(journal):
        assert things.state("X") is None and things.name("X") == "X"
        assert things.state("nowhere") is None and things.name("nowhere") == "nowhere"


def test_an_ending_finds_the_same_in_a_view_and_in_a_snapshot(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    ids = [made(journal, "x") for _ in range(5)]
    sources = (
        View(journal.store, Things.fold).refresh(),
        Snapshot(Things.fold, journal.replay()),
    )
    for source in sources:
        for thing in ids:
            for text in (thing, thing.lower(), thing[-6:], f"wk-{thing[-8:].lower()}"):
                assert resolve.candidates(source, text, ("wk",)) == [thing]
            assert resolve.candidates(source, f"msg-{thing[-8:]}", ("wk",)) == []
        assert resolve.candidates(source, "abc") == []
        assert resolve.candidates(source, "ß" * 4) == []


def test_several_candidates_are_never_a_guess() -> None:
    assert resolve.only("abcd", []) is None
    assert resolve.only("abcd", ["X", "X"]) == "X"
    with pytest.raises(Usage, match="ambiguous: X Y"):
        resolve.only("abcd", ["Y", "X"])


def test_a_view_forgets_entities_and_gives_many_at_once(shell: Shell) -> None:
    journal = open_journal(shell.cwd)
    ids = [made(journal, name) for name in "abc"]
    view = View(journal.store, Things.fold).refresh()
    assert [state["id"] for state in view.states([ids[2], "nowhere", ids[0]])] == [ids[2], ids[0]]
    assert view.last("named") == (f"c {ids[2]}", ids[2])
    view.forget([ids[2]])
    for source in (view, View(journal.store, Things.fold).refresh()):
        assert source.get(ids[2]) is None
        assert list(source.entities()) == ids[:2]
        assert source.last("named") == (f"b {ids[1]}", ids[1])
        assert source.last("unnamed") is None
