"""Live events through live remotes: beats and leases of one store, known in another, and forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from live.engines import SERVERS, Server, connected, serving
from live.test_mirror import Watch, clone, wait_for, watched
from support import Shell, git, open_journal, open_store

from coord_envelope import codec
from coord_kernel.journal.beat import beat
from coord_kernel.sync.live import presence

__all__ = ["watched"]


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Server]:
    with serving("fake", tmp_path / "server") as started:
        yield started


def live_lines(shell: Shell) -> list[tuple[str, str]]:
    rows = shell("ev replay --live").lines
    return [(row["type"], row["actor"]["agent_id"]) for row in rows if row["type"] != "a.b"]


@pytest.mark.parametrize("engine", SERVERS)
def test_a_lease_of_one_store_is_known_in_the_other(engine: str, tmp_path: Path) -> None:
    with serving(engine, tmp_path / "server") as server:
        ada, bob = clone(tmp_path, "ada", server), clone(tmp_path, "bob", server)
        held = ada("lease acquire port:8080 --ttl 10m").one
        ada("ev sync")
        bob("ev sync")
        assert live_lines(bob) == [("lease.acquired", "agent:ada")]
        assert live_lines(ada) == live_lines(bob)
        row = bob("lease ls").one
        assert (row["holder"], row["resources"], row["status"]) == (
            "agent:ada",
            ["port:8080"],
            "held",
        )
        # It says so, and decides nothing: each store has its own files and ports.
        assert bob("lease acquire port:8080").one["$level"] == "local"
        ada(f"lease release {held['event_id']}; ev sync")
        bob("ev sync")
        assert [row["holder"] for row in bob("lease ls").lines] == ["agent:bob"]
        # Never through the log, never in git.
        log = connected(server.url)
        log.open()
        assert not any(b"lease." in entry.payload for entry in log.read(""))
        log.close()


def test_never_through_git(fake: Server, tmp_path: Path) -> None:
    git("init", "-q", "--bare", "hub.git", cwd=tmp_path)
    ada, bob = clone(tmp_path, "ada", fake), clone(tmp_path, "bob", None)
    ada("lease acquire port:8080; ev sync --remote ../hub.git; ev sync")
    bob("ev sync --remote ../hub.git")
    assert live_lines(bob) == []


def test_mirrors_pass_on_what_happens(fake: Server, tmp_path: Path, watched: Watch) -> None:
    ada, bob = clone(tmp_path, "ada", fake), clone(tmp_path, "bob", fake)
    watched(ada)
    watched(bob)
    lease = ada("lease acquire env:db").one["event_id"]
    wait_for(bob, lambda: bob("lease ls").lines)
    ada(f"lease release {lease}")
    wait_for(bob, lambda: not bob("lease ls").lines)


def test_what_was_told_is_forgotten_by_itself(fake: Server, tmp_path: Path) -> None:
    ada, bob = clone(tmp_path, "ada", fake), clone(tmp_path, "bob", None)
    clock = fake.data / "acme/clock"
    clock.write_text("1000")
    ada("lease acquire env:db; ev sync")
    clock.write_text("301000")
    bob(f"ev sync --remote {fake.url}")
    assert live_lines(bob) == []


def test_a_lease_of_another_store_ends_with_its_time(fake: Server, tmp_path: Path) -> None:
    ada, bob = clone(tmp_path, "ada", fake), clone(tmp_path, "bob", fake)
    ada("lease acquire env:db --ttl 60s; ev sync")
    bob("ev sync")
    assert bob("lease ls").lines
    bob.env["COORD_NOW"] = "2099-01-01T00:00:00Z"
    assert bob("lease ls").lines == []


def test_who_tells_lines_of_others_is_not_believed(fake: Server, tmp_path: Path) -> None:
    ada, bob = clone(tmp_path, "ada", fake), clone(tmp_path, "bob", fake)
    ada("lease acquire env:a; ev emit --live a.b; ev sync")
    (file,) = (ada.cwd / ".coord/live").glob("*/*.jsonl")
    replica = file.parent.name.rpartition("~")[2].removesuffix("+live")
    line, other = file.read_bytes().split(b"\n")[:2]
    store = open_store(bob.cwd)
    (mine,) = store.replicas()
    cases = {
        "00000000": line,  # another replica's
        mine: line.replace(replica.encode(), mine.encode()),  # of the store that hears it
        replica: other,  # neither a beat nor a lease
    }
    for teller, data in cases.items():
        assert presence.take(store, teller, data + b"\n") == 0
    for data in (b"", b"\n\n", b"{}", b"\xff\n", line.replace(b"agent.ada~", b"../../x~") + b"\n"):
        assert presence.take(store, replica, data) == 0
    assert presence.take(store, replica, line + b"\n") == 1
    assert presence.take(store, replica, line + b"\n") == 0
    bob("ev verify")


def test_what_is_told_has_holes_and_grows_by_seq(fake: Server, tmp_path: Path) -> None:
    ada, bob = clone(tmp_path, "ada", fake), clone(tmp_path, "bob", fake)
    ids = ada("for n in 1 2 3; do lease acquire env:$n -o id; done").out.split()
    ada("ev emit --live a.b; ev emit --live a.b; lease acquire env:4; ev sync")
    bob("ev sync")
    ada(f"lease release {ids[0]}; ev sync")
    bob("ev sync; ev sync; ev verify")
    (file,) = (bob.cwd / ".coord/live").glob("*/*.jsonl")
    taken = [codec.loads(line)["seq"] for line in file.read_bytes().split(b"\n")[:-1]]
    assert taken == [1, 2, 3, 6, 7]
    assert [row["resources"] for row in bob("lease ls").lines] == [["env:2"], ["env:3"], ["env:4"]]


def test_a_session_is_seen_elsewhere(fake: Server, tmp_path: Path) -> None:
    ada, bob = clone(tmp_path, "ada", fake), clone(tmp_path, "bob", fake)
    beat(open_journal(ada.cwd), {"agent_id": "agent:ada", "session_id": "s1"}, "busy")
    ada("ev sync")
    bob("ev sync")
    assert live_lines(bob) == [("agent.seen", "agent:ada")]
    assert "agent:ada" in bob("ev agents --active").out
