"""lease release --all, --reason of what is held, and the filters of lease watch."""

from __future__ import annotations

from proof.witness import Watched
from support import Shell


def names(shell: Shell, options: str = "") -> list[str]:
    return [name for row in shell(f"lease ls {options}").lines for name in row["resources"]]


def test_release_all_frees_what_the_caller_holds_and_nothing_else(shell: Shell) -> None:
    for name, agent in (("env:a", "ada"), ("env:b", "ada"), ("env:c", "bob")):
        shell(f"lease acquire {name} --ttl 1h --as {agent}")
    released = shell("lease release --all --reason 'end of the day' --as ada").lines
    assert [event["body"]["reason"] for event in released] == ["end of the day"] * 2
    assert names(shell) == ["env:c"]


def test_release_all_of_nothing_says_so_and_is_done(shell: Shell) -> None:
    shell("lease acquire env:c --ttl 1h --as bob")
    done = shell("lease release --all --as ada")
    assert (done.out, done.err) == ("", "lease: nothing to do: you hold no lease\n")
    assert names(shell) == ["env:c"]


def test_release_all_takes_no_ids(shell: Shell) -> None:
    assert "leave out either" in shell("lease release --all ls-k3f9x2ab", expect=2).err


def test_release_all_is_of_this_session_and_with_resume_of_all(shell: Shell) -> None:
    shell("lease acquire env:a --ttl 1h --as ada", COORD_SESSION="s1")
    shell("lease acquire env:b --ttl 1h --as ada", COORD_SESSION="s2")
    shell("lease release --all --as ada", COORD_SESSION="s2")
    assert names(shell) == ["env:a"]
    shell("lease release --all --resume --as ada", COORD_SESSION="s2")
    assert names(shell) == []


def test_who_is_kept_waiting_is_told_what_for(shell: Shell) -> None:
    shell("lease acquire env:db --ttl 1h --reason 'the migration of users' --as ada")
    assert "by agent:ada for" in (refusal := shell("lease acquire env:db --as bob", expect=1).err)
    assert ": the migration of users; wait with --wait" in refusal
    (row,) = shell("lease ls").lines
    assert row["reason"] == "the migration of users"
    assert "reason" not in shell("lease acquire env:x --as ada").one["body"]
    assert "--reason" in shell(f"lease acquire env:y --reason {'x' * 501}", expect=65).err


def test_a_command_and_a_theft_have_a_reason_too(shell: Shell) -> None:
    held = shell("lease with env:db --reason deploy -- lease ls").one
    assert held["reason"] == "deploy"
    shell("lease acquire env:db --ttl 1h --as bob")
    stolen = shell("lease steal env:db --reason 'it is on fire' --as ada").one
    assert stolen["body"]["reason"] == "it is on fire"


def test_watch_prints_what_passes_the_filters(shell: Shell) -> None:
    with Watched(shell, "lease watch --agent bob --not-type lease.renewed") as watch:
        for agent in ("ada", "bob"):
            lease = shell(f"lease acquire env:{agent} --as {agent} -o id").out.strip()
            shell(f"lease renew {lease} --as {agent}")
        shell("lease release --all --as bob")
        assert b'"lease.acquired"' in (first := watch.line())
        assert b"env:bob" in first
        assert b'"lease.released"' in watch.line()


def test_an_expiry_that_is_no_event_passes_the_filters_of_its_holder(shell: Shell) -> None:
    with Watched(shell, "lease watch --agent bob --type lease.expired") as watch:
        for agent in ("ada", "bob"):
            shell(f"lease acquire env:{agent} --ttl 1ms --as {agent}")
        line = watch.line()
        assert b'"$stored":false' in line
        assert b"env:bob" in line
