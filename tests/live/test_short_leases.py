"""Leases whose end the clock of the arbiter's server judges, whatever the clocks of the stores say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from live.engines import SERVERS, Server, serving
from live.test_mirror import Watch, clone, watched
from support import Json, Shell, git

__all__ = ["watched"]
ACQUIRE = "lease acquire env:db --scope remote --ttl 5s"
T = 1_800_000_000_000


class World:
    """Two stores, whose clocks are 10 years apart, and a server with a clock of its own."""

    def __init__(self, root: Path, server: Server) -> None:
        self._clock = server.data / "acme/clock"
        self.ada, self.bob = clone(root, "ada", server), clone(root, "bob", server)
        self.ada.env |= {"COORD_NOW": "2036-01-01T00:00:00Z"}
        self.bob.env |= {"COORD_NOW": "2026-01-01T00:00:00Z"}
        self.at(0)

    def at(self, ms: int) -> None:
        """The server's clock shows so many ms more than at the beginning; the boot clocks, too."""
        self._clock.write_text(str(T + ms))
        for shell in (self.ada, self.bob):
            shell.env["COORD_BOOT"] = f"boot-{shell.cwd.name}:{1_000_000 + ms}"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with serving("fake", tmp_path / "server") as server:
        yield World(tmp_path, server)


@pytest.fixture(params=["alone", "mirror"])
def each_way(request: pytest.FixtureRequest, world: World, watched: Watch) -> World:
    """Commands that connect by themselves, and commands that ask a mirror."""
    if request.param == "mirror":
        watched(world.ada)
        watched(world.bob)
    return world


def types(shell: Shell) -> list[str]:
    shell("ev sync")
    return [
        line["type"].partition(".")[2]
        for line in shell("ev replay --type 'lease.*'").lines
        if line["writer"].startswith("arbiter.")
    ]


def test_it_is_held_for_its_time_by_the_servers_clock_and_no_longer(each_way: World) -> None:
    ada, bob = each_way.ada, each_way.bob
    held = ada(ACQUIRE).one
    assert (held["$level"], held["$token"]) == ("confirmed", 1)
    each_way.at(5_000)
    done = bob(ACQUIRE, expect=1)
    assert "is held by agent:ada for 0 s more" in done.err
    each_way.at(5_002)
    won = bob(ACQUIRE).one
    assert won["$token"] > held["$token"]
    assert types(ada) == ["confirmed", "expired", "confirmed"]
    lost = ada(f"lease renew {held['event_id']}", expect=1)
    assert "is expired: its time was over" in lost.err
    rows = bob("lease ls").lines
    assert [(row["holder"], row["scope"]) for row in rows] == [("agent:bob", "remote")]


def test_a_renewal_counts_from_when_the_server_has_it(each_way: World) -> None:
    ada, bob = each_way.ada, each_way.bob
    lease = ada(ACQUIRE).one["event_id"]
    each_way.at(4_000)
    ada(f"lease renew {lease}")
    each_way.at(8_900)
    assert "is held by agent:ada" in bob(ACQUIRE, expect=1).err
    each_way.at(9_100)
    bob(ACQUIRE)
    assert "is expired" in ada(f"lease renew {lease}", expect=1).err


def test_who_is_late_may_renew_as_long_as_nobody_took_it(world: World) -> None:
    lease = world.ada(ACQUIRE).one["event_id"]
    world.at(60_000)
    assert world.ada("lease ls").out == ""  # by its own clock it must have stopped
    assert world.ada(f"lease show {lease}").one["status"] == "expired"
    assert world.ada(f"lease renew {lease}").one["$level"] == "confirmed"
    assert world.ada("lease ls").one["left_ms"] == 4_950
    assert "is held by agent:ada" in world.bob(ACQUIRE, expect=1).err


def test_the_holder_stops_a_hundredth_early_and_after_a_reboot_at_once(world: World) -> None:
    world.ada(ACQUIRE)
    world.at(4_949)
    assert world.ada("lease ls --mine").one["left_ms"] == 1
    world.at(4_950)
    assert world.ada("lease ls --mine").out == ""
    world.at(1_000)
    assert world.ada("lease ls --mine").one["left_ms"] == 3_950
    world.ada.env["COORD_BOOT"] = "another:5"
    assert world.ada("lease ls --mine").out == ""


def test_leases_that_nobody_wanted_are_ended_by_the_next_acquisition(world: World) -> None:
    for name in "abc":
        world.ada(f"lease acquire env:{name} --scope remote --ttl 5s")
    world.at(10_000)
    world.bob("lease acquire env:other --scope remote --ttl 5s")
    assert types(world.ada)[-4:] == ["expired", "expired", "expired", "confirmed"]


def test_what_the_server_confirmed_twice_counts_from_the_last_time(
    world: World, tmp_path: Path
) -> None:
    """A log that was wiped gets the confirmation again, later: nobody is early for that."""
    world.ada(ACQUIRE)
    world.bob("ev sync")
    log = tmp_path / "server/acme"
    for name in ("entries", "birth"):
        (log / name).unlink()
    world.at(4_000)
    world.ada("ev emit a.b; ev sync")
    world.at(8_000)
    assert "is held by agent:ada" in world.bob(ACQUIRE, expect=1).err
    world.at(9_500)
    assert world.bob(ACQUIRE).one["$token"]


def test_the_least_time_depends_on_where_the_arbiter_lives(world: World, tmp_path: Path) -> None:
    ada, bob = world.ada, world.bob
    short = "lease acquire env:x --scope remote --ttl"
    assert "lasts at least 5s; --ttl 5s" in ada(f"{short} 4999ms", expect=2).err
    held = ada(ACQUIRE).one
    git("init", "-q", "--bare", "hub.git", cwd=tmp_path)
    for shell in (ada, bob):
        del shell.env["COORD_NOW"]
        shell("ev sync --remote ../hub.git")
    ada("ev sync --move-arbiter ../hub.git")
    for shell in (ada, bob):
        shell("ev sync")
    assert "lasts at least 10m, as clocks differ" in bob(f"{short} 5s", expect=2).err
    # The wall clocks judge now: the end that the confirmation has, and a minute more.
    bob.env["COORD_NOW"] = "2036-01-01T00:01:04Z"
    assert "is held by agent:ada" in bob("lease acquire env:db --scope git", expect=1).err
    bob.env["COORD_NOW"] = "2036-01-01T00:01:06Z"
    assert bob("lease acquire env:db --scope git").one["$token"] > held["$token"]
    assert "is expired" in ada(f"lease renew {held['event_id']}", expect=1).err


@pytest.mark.parametrize("engine", [name for name in SERVERS if name != "fake"])
def test_each_engines_clock_decides(engine: str, tmp_path: Path) -> None:
    with serving(engine, tmp_path / "server") as server:
        ada, bob = clone(tmp_path, "ada", server), clone(tmp_path, "bob", server)
        held = ada(ACQUIRE).one
        bob.env["COORD_NOW"] = "2099-01-01T00:00:00Z"
        assert "is held by agent:ada for" in bob(ACQUIRE, expect=1).err
        del bob.env["COORD_NOW"]
        won: Json = bob(f"{ACQUIRE} --wait 60s").one
        assert won["$token"] > held["$token"]
