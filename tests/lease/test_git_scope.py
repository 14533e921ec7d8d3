"""lease --scope git: one holder among all stores that sync with one remote, by wall clocks that differ."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import BIN, Done, Json, Shell, check_invariants, git, open_store

from coord_envelope import world

NOON = world.parse_ts("2026-01-17T12:00:00Z")
ACQUIRE = "lease acquire --scope git"


class Clone:
    """A clone with a store, whose clock is set and goes wrong by `off` seconds."""

    def __init__(self, path: Path, off: int = 0) -> None:
        self.shell, self.off = Shell(path), off
        self.shell.env["COORD_AGENT"] = path.name

    def env(self, at: float) -> dict[str, str]:
        return {"COORD_NOW": world.format_ts(NOON + int((at + self.off) * 1000))}

    def __call__(self, line: str, at: float = 0, expect: int | None = 0) -> Done:
        """Run it so many seconds after noon."""
        return self.shell(line, expect=expect, **self.env(at))


def clone(root: Path, name: str, off: int = 0) -> Clone:
    git("clone", "-q", "hub.git", name, cwd=root)
    made = Clone(root / name, off)
    made("ev init && ev sync --remote origin")
    return made


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("COORD_DIR", "COORD_SESSION", "COORD_NOW"):
        monkeypatch.delenv(name, raising=False)
    git("init", "-q", "--bare", "hub.git", cwd=tmp_path)
    return tmp_path


@pytest.fixture
def pair(root: Path) -> tuple[Clone, Clone]:
    return clone(root, "ada"), clone(root, "bob")


def confirmations(one: Clone) -> list[Json]:
    """What the arbiter says, in its order."""
    one("ev sync")
    return [line["body"] for line in one("ev replay --type lease.confirmed").lines]


def test_who_holds_is_known_to_the_other_clone(pair: tuple[Clone, Clone]) -> None:
    ada, bob = pair
    made = ada(f"{ACQUIRE} 'file:src/**' env:db --ttl 20m --require git").one
    assert (made["$level"], made["$token"], made["body"]["scope"]) == ("confirmed", 1, "git")
    done = bob(f"{ACQUIRE} file:src/a.py", at=60, expect=1)
    short = f"ls-{made['event_id'][-8:].lower()}"
    todo = "wait with --wait, or `lease steal --scope remote --reason WHY`"
    assert (
        done.err
        == f"lease: file:src/a.py: is held by agent:ada for 1200 s more ({short}); {todo}\n"
    )
    assert done.out == ""
    assert bob("ev replay --agent bob").out == ""
    assert bob(f"{ACQUIRE} env:other", at=60).one["$token"] > made["$token"]
    rows = bob("lease ls file:src/x", at=60).lines
    assert [(row["holder"], row["scope"], row["status"], row["left_ms"]) for row in rows] == [
        ("agent:ada", "remote", "held", 1_200_000)
    ]
    assert ada(f"lease show {short}", at=60).one["left_ms"] == 1_080_000
    assert bob("env -u COORD_AGENT lease ls -o id", at=60).out.split()[0] == made["event_id"]
    for one in pair:
        check_invariants(open_store(one.shell.cwd))


def test_those_who_share_hold_it_together(pair: tuple[Clone, Clone]) -> None:
    ada, bob = pair
    ada(f"{ACQUIRE} env:db --shared")
    bob(f"{ACQUIRE} env:db --shared")
    bob(f"{ACQUIRE} env:db", expect=1)
    assert len(bob("lease ls").lines) == 2


@pytest.mark.parametrize(("off_a", "off_b"), [(0, 0), (50, 0), (0, 50)])
def test_the_holder_stops_before_the_end_and_others_begin_after_it(
    root: Path, off_a: int, off_b: int
) -> None:
    """By each one's own clock; so they never overlap while the clocks differ by less than two minutes."""
    ada, bob = clone(root, "ada", off_a), clone(root, "bob", off_b)
    made = ada(f"{ACQUIRE} env:db -o id").out.strip()
    stop, start = 600 - 60, 600 + 60 + off_a - off_b
    assert ada("lease ls", at=stop - 1).one["left_ms"] == 1_000
    assert ada("lease ls", at=stop).out == ""
    assert ada(f"lease show {made}", at=stop).one["status"] == "expired"
    assert "is expired" in ada(f"lease renew {made}", at=stop, expect=1).err
    assert "is expired" in ada(f"lease release {made}", at=stop, expect=1).err
    assert bob("ev sync && lease ls", at=start - 1).lines[-1]["left_ms"] == 1_000
    bob(f"{ACQUIRE} env:db", at=start - 1, expect=1)
    ada(f"{ACQUIRE} env:db", at=600 + 59, expect=1)
    assert start > stop
    assert bob(f"{ACQUIRE} env:db", at=start).one["$token"] > 1


def test_a_renewal_counts_when_the_arbiter_has_it(pair: tuple[Clone, Clone]) -> None:
    ada, bob = pair
    made = ada(f"{ACQUIRE} env:db -o id").out.strip()
    renewed = ada(f"lease renew {made}", at=500).one
    assert (renewed["type"], renewed["$level"], renewed["$token"]) == (
        "lease.renewed",
        "confirmed",
        1,
    )
    bob(f"{ACQUIRE} env:db", at=700, expect=1)
    assert ada("lease ls", at=1039).one["left_ms"] == 1_000
    bob(f"lease renew {made}", at=700, expect=1)
    bob(f"lease release {made}", at=700, expect=1)
    assert bob(f"{ACQUIRE} env:db", at=1160).one["$token"] > 1


def test_a_renewal_that_does_not_arrive_changes_nothing(pair: tuple[Clone, Clone]) -> None:
    ada, bob = pair
    made = ada(f"{ACQUIRE} env:db -o id").out.strip()
    hub = ada.shell.cwd.parent / "hub.git"
    hub.rename(hub.with_suffix(".gone"))
    ada(f"lease renew {made}", at=500, expect=69)
    assert ada("lease ls", at=539).one["left_ms"] == 1_000
    assert ada("lease ls", at=540).out == ""
    hub.with_suffix(".gone").rename(hub)
    ada("ev sync", at=541)
    assert ada("lease ls", at=541).out == ""
    bob(f"{ACQUIRE} env:db", at=660)


def test_a_shorter_renewal_does_not_end_it_sooner(pair: tuple[Clone, Clone]) -> None:
    """The holder may not have heard that it was confirmed, and go on."""
    ada, bob = pair
    made = ada(f"{ACQUIRE} env:db --ttl 1h -o id").out.strip()
    ada(f"lease renew {made} --ttl 10m")
    bob(f"{ACQUIRE} env:db", at=3659, expect=1)


def test_a_release_frees_it_for_others(pair: tuple[Clone, Clone]) -> None:
    ada, bob = pair
    made = ada(f"{ACQUIRE} env:db -o id").out.strip()
    first = ada(f"lease release {made} --reason enough").one
    assert (first["type"], first["body"]["reason"]) == ("lease.released", "enough")
    assert ada(f"lease release {made}").one["event_id"] == first["event_id"]
    taken = bob(f"{ACQUIRE} env:db").one
    assert taken["$token"] > 1
    assert bob(f"lease show {made}").one["status"] == "released"
    assert ada("ev sync && lease ls").lines[-1]["holder"] == "agent:bob"


def test_a_theft_ends_what_was_held(pair: tuple[Clone, Clone]) -> None:
    ada, bob = pair
    made = ada(f"{ACQUIRE} env:db env:web -o id").out.strip()
    stolen = bob("lease steal env:db --scope git --reason 'ada is away'", at=10).one
    assert stolen["$token"] > 1
    said = "is lost: stolen by agent:bob: ada is away; acquire it again"
    assert said in ada(f"lease renew {made}", at=20, expect=1).err
    assert said in ada(f"lease release {made}", at=20, expect=1).err
    assert [row["resources"] for row in ada("lease ls", at=20).lines] == [["env:db"]]
    ada(f"{ACQUIRE} env:web", at=20)


def test_without_the_remote_nothing_is_held(pair: tuple[Clone, Clone]) -> None:
    ada, bob = pair
    hub = ada.shell.cwd.parent / "hub.git"
    hub.rename(hub.with_suffix(".gone"))
    done = ada(f"{ACQUIRE} env:db", expect=69)
    assert re.fullmatch(r"lease: origin: [^\n]+\n", done.err)
    assert ada("lease ls").out == ada("ev replay").out == ""
    ada("lease with env:db --scope git -- touch ran", expect=69)
    assert not (ada.shell.cwd / "ran").exists()
    hub.with_suffix(".gone").rename(hub)
    bob(f"{ACQUIRE} env:db")


def test_what_the_remote_does_not_confirm_is_released_again(pair: tuple[Clone, Clone]) -> None:
    """A remote that can be read only: what was written here meanwhile holds nothing, here or elsewhere."""
    ada, bob = pair
    hook = ada.shell.cwd.parent / "hub.git/hooks/pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    ada(f"{ACQUIRE} env:db", expect=69)
    assert [one["type"] for one in ada("ev replay").lines] == ["lease.acquired", "lease.released"]
    assert ada("lease ls").out == ""
    hook.unlink()
    ada("ev sync")
    assert bob(f"{ACQUIRE} env:db").one["$token"] == 1
    assert ada("lease show", expect=0).out == ""


def test_a_release_without_the_remote_is_told_later(pair: tuple[Clone, Clone]) -> None:
    ada, bob = pair
    made = ada(f"{ACQUIRE} env:db -o id").out.strip()
    hub = ada.shell.cwd.parent / "hub.git"
    hub.rename(hub.with_suffix(".gone"))
    assert "others learn of the end with a later sync" in ada(f"lease release {made}").err
    assert ada("lease ls").out == ""
    hub.with_suffix(".gone").rename(hub)
    bob(f"{ACQUIRE} env:db", expect=1)
    ada("ev sync")
    bob(f"{ACQUIRE} env:db")


def test_who_waits_gets_it_when_it_is_over(pair: tuple[Clone, Clone]) -> None:
    ada, bob = pair
    made = ada(f"{ACQUIRE} env:db -o id").out.strip()
    ada(f"{ACQUIRE} env:db --wait 1ms", expect=1)
    bob.shell.env |= bob.env(0)
    waiting = bob.shell.popen(f"{ACQUIRE} env:db --wait 2m", stdout=subprocess.PIPE)
    try:
        bob(
            "until ev replay --type lease.confirmed | grep -q .; do sleep 0.1; done"
        )  # it is blocked, having looked
        ada(f"lease release {made}")
        out, _ = waiting.communicate(timeout=120)
        assert waiting.returncode == 0
        assert json.loads(out)["$token"] > 1
    finally:
        waiting.kill()
        waiting.wait()


@pytest.mark.parametrize("command", ["acquire env:a", "steal env:a --reason x", "with env:a"])
def test_a_short_time_is_refused_with_a_remedy(pair: tuple[Clone, Clone], command: str) -> None:
    tail = " -- true" if command.startswith("with") else ""
    done = pair[0](f"lease {command} --scope git --ttl 599s{tail}", expect=2)
    assert done.err.endswith("at least 10m, as clocks differ; --ttl 10m, or --scope local\n")
    assert pair[0]("ev replay").out == ""


def test_a_session_and_a_store_of_ones_own_are_others(pair: tuple[Clone, Clone]) -> None:
    ada, bob = pair
    made = ada(f"COORD_SESSION=s-1 {ACQUIRE} 'file:src/**' -o id").out.strip()
    bob("ev sync")
    bob("lease guard src/a.py", expect=1)
    elsewhere = "is held by you in another copy of the store"
    assert elsewhere in bob(f"lease renew {made} --as ada --resume", expect=1).err
    assert "held by agent:ada as file:src/**" in bob("lease guard src/a.py --as ada", expect=1).err
    ada("COORD_SESSION=s-2 lease guard src/a.py", expect=1)
    ada("lease guard src/a.py")
    assert "your session s-1" in ada(f"COORD_SESSION=s-2 lease renew {made}", expect=1).err
    ada(f"COORD_SESSION=s-2 lease renew {made} --resume")
    ada("COORD_SESSION=s-2 lease guard src/a.py")
    ada(f"COORD_SESSION=s-1 lease release {made}", expect=1)


def test_ls_and_show_and_release_look_at_both_scopes(pair: tuple[Clone, Clone]) -> None:
    ada, _ = pair
    ada(f"lease acquire env:a; {ACQUIRE} env:a")
    assert [(row["scope"], row["token"]) for row in ada("lease ls").lines] == [
        ("local", 1),
        ("remote", 1),
    ]
    assert ada("lease ls | lease show -o id").out == ada("lease ls -o id").out
    assert (
        len(ada("lease ls | lease renew").lines) == len(ada("lease ls | lease release").lines) == 2
    )
    assert ada("lease ls").out == ""
    assert "no such lease" in ada("lease show 0000", expect=1).err


def test_with_runs_its_command_with_the_confirmed_token(pair: tuple[Clone, Clone]) -> None:
    ada, bob = pair
    bob(f"{ACQUIRE} env:other")
    said = ada(
        "lease with env:db --scope git --require git -- sh -c 'echo $LEASE_TOKEN; exit 3'", expect=3
    ).out
    assert int(said) == 2
    bob("lease with env:db --scope git -- true")
    bob(f"{ACQUIRE} env:db")
    done = ada("lease with env:db --scope git -- touch ran", expect=75)
    assert "is held by agent:bob" in done.err
    assert not (ada.shell.cwd / "ran").exists()


FAST = """
import sys
from coord_lease import cli, confirmed, remote
confirmed.MARGIN_MS, remote.SHORTEST_MS = 600, 1
sys.argv = ["lease", *sys.argv[1:]]
cli.main()
"""
"""The tool with a thousandth of the minutes: ten become as many seconds."""


def test_with_renews_and_ends_its_command_before_others_may_begin(
    pair: tuple[Clone, Clone],
) -> None:
    """The hub goes away while the command runs: it does not see the end of the lease."""
    ada, _ = pair
    fast = ada.shell.cwd / "fast.py"
    fast.write_text(FAST)
    line = f"{sys.executable} {fast} with env:db --scope git --ttl 9s -- sh -c 'mv ../hub.git ../gone; exec sleep 1000'"
    done = ada.shell(line, expect=75)
    assert "was lost while the command ran: not renewed in time" in done.err
    made, lost = ada.shell("ev replay --type lease.acquired; ev replay --type lease.lost").lines
    over = world.parse_ts(made["ts"]) + 9_000 - 600
    assert world.parse_ts(lost["ts"]) < over + 600
    (ada.shell.cwd.parent / "gone").rename(ada.shell.cwd.parent / "hub.git")


def test_with_renews_through_the_arbiter(pair: tuple[Clone, Clone]) -> None:
    ada, bob = pair
    fast = ada.shell.cwd / "fast.py"
    fast.write_text(FAST)
    wait = "until ev replay --type lease.renewed | grep -q .; do sleep 0.2; done"
    ada.shell(f"{sys.executable} {fast} with env:db --scope git --ttl 12s -- bash -c '{wait}'")
    found = confirmations(bob)
    assert len(found) >= 2
    assert {one["n"] for one in found} == {1}
    assert len({one["claim"] for one in found}) == len(found)


def race(
    pair: tuple[Clone, Clone], lines: tuple[str, str], at: float
) -> list[tuple[int, str, str]]:
    children = [
        subprocess.Popen(
            ["bash", "-c", line],
            cwd=one.shell.cwd,
            env=one.shell.env | one.env(at),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for one, line in zip(pair, lines, strict=True)
    ]
    return [
        (child.wait(), out, err)
        for child in children
        for out, err in [child.communicate(timeout=120)]
    ]


def test_of_two_clones_that_race_one_wins_and_tokens_rise(pair: tuple[Clone, Clone]) -> None:
    globs, tokens = itertools.cycle(("file:src/**", "file:*/a.py")), list[int]()
    assert BIN in pair[0].shell.env["PATH"]
    for number in range(20):
        lines = (f"{ACQUIRE} '{next(globs)}'", f"{ACQUIRE} '{next(globs)}' env:x")
        ended = race(pair, lines, number)
        assert sorted(status for status, _, _ in ended) == [0, 1], ended
        ((place, made),) = [
            (place, json.loads(out)) for place, (status, out, _) in enumerate(ended) if status == 0
        ]
        (refusal,) = [err for status, _, err in ended if status == 1]
        assert f"is held by {made['actor']['agent_id']} " in refusal
        tokens.append(made["$token"])
        pair[place](f"lease release {made['event_id']}", at=number)
    assert tokens == sorted(set(tokens))
    for one in pair:
        assert [body["n"] for body in confirmations(one)] == tokens
        check_invariants(open_store(one.shell.cwd))
