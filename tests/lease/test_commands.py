"""lease acquire, renew, release, ls, show, steal: who holds what, by a boot clock that the tests set."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from support import ME, Done, Shell, check_invariants, drafts, git, open_journal, open_store

from coord_envelope import ids
from coord_kernel.store import machine

BOOT = "b"


class Clock:
    """Commands at a time of the boot clock, in seconds."""

    def __init__(self, shell: Shell) -> None:
        self.shell, self.cwd = shell, shell.cwd

    def __call__(
        self, line: str, at: float = 0, expect: int | None = 0, boot: str = BOOT, **env: str
    ) -> Done:
        return self.shell(line, expect=expect, COORD_BOOT=f"{boot}:{int(at * 1000)}", **env)


@pytest.fixture
def lease(shell: Shell) -> Clock:
    return Clock(shell)


def tokens(repo: Path) -> list[int]:
    """The tokens of all leases, in order."""
    found = re.compile(r'"type":"lease.acquired".*"token":(\d+)')
    lines = (
        line
        for path in sorted((repo / ".coord/live").glob("*/*"))
        for line in path.read_text().splitlines()
    )
    return [int(match[1]) for match in map(found.search, sorted(lines)) if match]


def test_a_lease_is_held_until_its_time_is_over(lease: Clock) -> None:
    made = lease("lease acquire 'file:src/**' port:80 --ttl 60s", at=10).one
    assert (made["type"], made["$level"], made["refs"]["lease_id"]) == (
        "lease.acquired",
        "local",
        made["event_id"],
    )
    assert made["body"]["resources"] == ["file:src/**", "port:80"]
    assert made["body"]["token"] == 1
    done = lease("lease acquire file:SRC/a.py --as bob", at=69.999, expect=1)
    short = f"ls-{made['event_id'][-8:].lower()}"
    todo = "wait with --wait, or `lease steal --reason WHY`"
    assert (
        done.err
        == f"lease: file:src/a.py: is held by agent:tester for 0 s more ({short}); {todo}\n"
    )
    taken = lease("lease acquire file:src/a.py --as bob", at=70).one
    assert taken["body"]["token"] == 2
    (expired,) = lease("ev tail --type lease.expired").lines
    assert expired["refs"] == {"lease_id": made["event_id"]}
    check_invariants(open_store(lease.cwd))


def test_leases_are_live_events_and_no_durable_ones(lease: Clock) -> None:
    made = lease("lease acquire env:a").one
    assert made["writer"].endswith("+live")
    assert [path.parent.name for path in lease.cwd.glob(".coord/live/*/*")] == [made["writer"]]
    assert lease("ev replay").out == ""


@pytest.mark.parametrize(
    "wall", ["2026-01-17T11:00:00Z", "2026-01-17T13:00:00Z", "2036-01-17T12:00:00Z"]
)
def test_the_wall_clock_set_back_or_forward_changes_nothing(lease: Clock, wall: str) -> None:
    lease("lease acquire env:a --ttl 60s", at=0, COORD_NOW="2026-01-17T12:00:00Z")
    lease("lease acquire env:a --as bob", at=59, expect=1, COORD_NOW=wall)
    assert len(lease("lease ls", at=59, COORD_NOW=wall).lines) == 1
    assert (
        lease("lease acquire env:a --as bob --ttl 10s", at=60, COORD_NOW=wall).one["body"]["token"]
        == 2
    )
    lease("lease renew bob --as bob", at=61, expect=1)
    lease("lease acquire env:a", at=69, expect=1, COORD_NOW="2026-01-17T12:00:00Z")
    (lease.cwd / ".coord/local/leases.sqlite").unlink()
    lease("lease acquire env:a", at=69, expect=1, COORD_NOW="2026-01-17T12:00:00Z")
    again = lease("lease acquire env:a", at=70, COORD_NOW="2026-01-17T12:00:00Z").one
    assert again["body"]["token"] >= 3, "it jumps where a corrected clock made a new replica"


@pytest.mark.parametrize("pinned", ["soon", "b:", "b:1.5", "b:-1"])
def test_a_boot_clock_that_is_none_is_said(shell: Shell, pinned: str) -> None:
    assert "COORD_BOOT" in shell("lease acquire env:a", expect=2, COORD_BOOT=pinned).err


def test_a_reboot_frees_everything_and_tokens_go_on(lease: Clock) -> None:
    first = lease("lease acquire env:a --ttl 1h", at=100).one["body"]["token"]
    assert lease("lease ls", at=1, boot="next").out == ""
    second = lease("lease acquire env:a", at=1, boot="next").one["body"]["token"]
    assert second > first
    assert lease("lease acquire env:b", at=1, boot="next").one["body"]["token"] == second + 1


def test_a_power_loss_that_took_lines_gives_no_token_twice(lease: Clock) -> None:
    given = [lease(f"lease acquire env:{n}").one["body"]["token"] for n in range(3)]
    (path,) = lease.cwd.glob(".coord/live/*/*")
    path.write_bytes(path.read_bytes().split(b"\n")[0] + b"\n")
    (lease.cwd / ".coord/local/leases.sqlite").unlink()
    assert lease("lease acquire env:9", boot="next").one["body"]["token"] > max(given)


@pytest.mark.parametrize("lost", ["live", "local/lease-token", "local/leases.sqlite"])
def test_tokens_rise_whatever_one_thing_is_lost(lease: Clock, lost: str) -> None:
    given = [lease(f"lease acquire env:{n}").one["body"]["token"] for n in range(3)]
    lease(f"rm -r .coord/{lost}")
    given += [lease(f"lease acquire env:{n}").one["body"]["token"] for n in range(3, 6)]
    assert given == sorted(set(given))
    assert lost == "live" or given == [1, 2, 3, 4, 5, 6]


def test_shared_leases_go_together_and_with_no_exclusive_one(lease: Clock) -> None:
    lease("lease acquire env:a --shared")
    lease("lease acquire env:a --shared --as bob")
    lease("lease acquire env:a --as eve", expect=1)
    lease("lease acquire env:b --as eve")
    lease("lease acquire env:b --shared", expect=1)


def test_your_own_lease_is_in_your_own_way(lease: Clock) -> None:
    lease("lease acquire 'file:src/**'")
    lease("lease acquire file:src/a.py", expect=1)


def test_several_resources_are_taken_all_or_none(lease: Clock) -> None:
    lease("lease acquire env:b")
    lease("lease acquire env:a env:b env:c --as bob", expect=1)
    assert [row["resources"] for row in lease("lease ls").lines] == [["env:b"]]
    lease("lease acquire env:a env:c --as eve")


def test_renewing_begins_the_time_anew(lease: Clock) -> None:
    made = lease("lease acquire env:a --ttl 10s -o id").out.strip()
    renewed = lease(f"lease renew {made}", at=9).one
    assert renewed["body"]["ttl_ms"] == 10_000
    assert lease("lease ls", at=18.5).one["left_ms"] == 500
    lease(f"lease renew ls-{made[-8:].lower()} --ttl 1s", at=18.5)
    assert lease("lease ls", at=19.5).out == ""
    lost = lease(f"lease renew {made}", at=19.5, expect=1)
    assert "is lost" not in lost.err and "is expired; acquire it again" in lost.err


def test_releasing_twice_is_releasing_once(lease: Clock) -> None:
    made = lease("lease acquire env:a -o id").out.strip()
    assert (
        lease(f"lease release {made} --reason 'done with it'").one["body"]["reason"]
        == "done with it"
    )
    assert lease(f"lease release {made}").one["type"] == "lease.released"
    assert lease("lease ls").out == ""
    lease(f"lease renew {made}", expect=1)
    assert lease(f"lease show {made}").one["why"] == "done with it"


def test_what_is_anothers_is_not_renewed_or_released(lease: Clock) -> None:
    made = lease("lease acquire env:a -o id", COORD_SESSION="s1").out.strip()
    for who, session, words in (
        ("--as bob", "", "is held by agent:tester (session s1), not by you"),
        ("--as bob --resume", "", "is held by agent:tester (session s1), not by you"),
        ("", "s2", "is held by your session s1; --resume takes it over"),
    ):
        for verb in ("renew", "release"):
            line = f"lease {verb} {made} {who}"
            assert words in lease(line, expect=1, COORD_SESSION=session).err
    lease(f"lease renew {made}")
    assert lease(f"lease release {made}", COORD_SESSION="s1").one["refs"]["lease_id"] == made


def test_another_session_takes_a_lease_over(lease: Clock) -> None:
    made = lease("lease acquire env:a -o id", COORD_SESSION="s1").out.strip()
    taken = lease("lease acquire env:a", expect=1, COORD_SESSION="s2").err
    assert "is held by your session s1 for" in taken
    assert "`lease renew --resume" in taken
    assert "steal" not in taken
    assert lease("lease ls --mine", COORD_SESSION="s2").out == ""
    lease(f"lease renew --resume {made}", COORD_SESSION="s2")
    assert lease("lease ls --mine", COORD_SESSION="s2").one["session"] == "s2"
    assert "your session s2" in lease(f"lease renew {made}", expect=1, COORD_SESSION="s1").err
    lease(f"lease release --resume {made}", COORD_SESSION="s1")
    assert lease("lease ls").out == ""


def test_what_one_holds_oneself_is_said_so_and_how_to_keep_it(lease: Clock) -> None:
    made = lease("lease acquire env:a").one["event_id"]
    err = lease("lease acquire env:a --ttl 1h", expect=1).err
    assert "is held by you for" in err
    assert f"`lease renew ls-{made[-8:].lower()}`" in err
    assert "steal" not in err


def test_leases_are_listed_by_how_their_resources_begin(lease: Clock) -> None:
    lease("lease acquire x-session:ada x-session:bob; lease acquire x-other:a; lease acquire env:s")
    assert len(lease("lease ls --prefix x-session:").lines) == 1
    assert len(lease("lease ls --prefix x-").lines) == 2
    assert lease("lease ls --prefix session").out == ""


def test_who_loses_a_lease_to_a_thief_is_told(lease: Clock) -> None:
    made = lease("lease acquire 'file:src/**' env:a -o id").out.strip()
    lease("lease steal file:src/a.py --as bob", expect=2)
    stolen = lease("lease steal file:src/a.py --as bob --reason 'it hangs'").one
    assert (stolen["type"], stolen["body"]["token"]) == ("lease.acquired", 2)
    for command in ("renew", "release"):
        assert (
            "is lost: stolen by agent:bob: it hangs"
            in lease(f"lease {command} {made}", expect=1).err
        )
    lease("lease acquire env:a --as eve")  # all that it held is free
    shown = lease(f"lease show {made}").one
    assert (shown["status"], shown["why"]) == ("lost", "stolen by agent:bob: it hangs")


def test_ids_come_from_a_pipe_and_short(lease: Clock) -> None:
    lease("lease acquire env:a; lease acquire env:b")
    assert len(lease("lease ls | lease renew").lines) == 2
    assert len(lease("lease ls -o id | lease release -o id").out.split()) == 2
    done = lease("lease show 0000 zz", expect=1)
    assert done.err.count("no such lease") == 2


def test_an_ambiguous_short_id_names_who_could_be_meant(lease: Clock) -> None:
    made = lease("lease acquire env:a -o id").out.strip()
    db = sqlite3.connect(lease.cwd / ".coord/local/leases.sqlite")
    lease("lease ls | lease renew")
    twin = "0" * 16 + made[16:]
    db.execute("INSERT INTO secondary VALUES ('end', ?, ?)", (twin[::-1], twin))
    db.commit()
    assert lease(f"lease show ls-{made[-8:]}", expect=2).err.count(made[-8:]) == 3


def test_ls_says_who_is_in_the_way_of_a_file(lease: Clock) -> None:
    lease("lease acquire 'file:src/**'; lease acquire file:docs/x; lease acquire env:a")
    assert [row["resources"] for row in lease("lease ls file:src/a/b.py env:b").lines] == [
        ["file:src/**"]
    ]


@pytest.mark.parametrize(
    ("argv", "status"),
    [
        ("acquire gpu:0", 65),
        ("acquire", 2),
        ("acquire env:a --ttl 0s", 2),
        ("acquire env:a --ttl 8d", 2),
        ("acquire env:a --ttl soon", 2),
        ("acquire env:a --wait ²s", 2),
        ("acquire env:a --scope git", 69),
        ("acquire env:a --scope redis", 2),
        ("acquire env:a --scope moon", 2),
        ("acquire env:a --require git", 77),
        ("acquire env:a --require moon", 2),
        ("acquire env:a --scope git --require local", 69),
        ("with env:a", 2),
        ("with env:a --", 2),
        ("with -- true", 2),
        ("with env:a --ttl 900ms -- true", 2),
        ("with env:a --require git -- true", 77),
        (f"steal env:a --reason {'x' * 501}", 65),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(lease: Clock, argv: str, status: int) -> None:
    done = lease(f"lease {argv}", expect=status)
    assert re.fullmatch(r"lease: [^\n]+\n", done.err)
    assert done.out == ""
    assert lease("lease ls").out == ""


def test_scope_git_needs_a_remote(lease: Clock) -> None:
    said = (
        "lease: no remote is configured; `ev sync --remote NAME`, or [sync] remote in coord.toml\n"
    )
    assert lease("lease acquire env:a --scope git", expect=69).err == said


def test_require_local_is_always_met(lease: Clock) -> None:
    assert lease("lease acquire env:a --require local").one["body"]["scope"] == "local"


@pytest.mark.parametrize("glob", ["lease.*", "lease.acquired"])
def test_what_coord_toml_mirrors_is_kept_in_the_journal(lease: Clock, glob: str) -> None:
    (lease.cwd / "coord.toml").write_text(f'mirror = ["{glob}"]\n')
    made = lease("lease acquire env:a --ttl 10s").one
    assert not made["writer"].endswith("+live")
    assert lease("ev replay -o id").out.strip() == made["event_id"]
    lease("lease acquire env:a --as bob", expect=1, at=9)
    lease("ev emit note.made --as bob", at=9)
    assert lease("lease acquire env:a --as bob", at=10).one["body"]["token"] == 2
    check_invariants(open_store(lease.cwd))


@pytest.mark.parametrize("first", [True, False])
def test_a_lease_holds_when_coord_toml_begins_or_ends_to_mirror(lease: Clock, first: bool) -> None:
    config = lease.cwd / "coord.toml"

    def mirrors(yes: bool) -> None:
        config.write_text('mirror = ["lease.*"]\n' if yes else "")
        for path in (lease.cwd / ".coord/local").glob("*.sqlite*"):
            path.unlink()  # the view is disposable

    mirrors(first)
    held = lease("lease acquire env:a --ttl 10s").one
    mirrors(not first)
    lease("lease acquire env:a --as bob", expect=1, at=5)
    lease(f"lease renew {held['event_id']}", at=5)
    mirrors(first)
    lease("lease acquire env:a --as bob", expect=1, at=12)
    lease(f"lease release {held['event_id']}", at=12)
    mirrors(not first)
    assert lease("lease acquire env:a --as bob", at=12).one["body"]["token"] == 2


def test_the_leases_of_another_store_that_came_by_a_copy_do_not_count(lease: Clock) -> None:
    (lease.cwd / "coord.toml").write_text('mirror = ["lease.*"]\n')
    lease("lease acquire env:a")
    other = lease.cwd.parent / "other"
    other.mkdir()
    git("init", "-q", cwd=other)
    (other / "coord.toml").write_text('mirror = ["lease.*"]\n')
    lease("cd ../other; ev init; cp -r ../acme/.coord/journal .coord; lease acquire env:a")


@pytest.mark.parametrize("text", ['mirror = "lease.*"', "mirror = [7]", "mirror = ["])
def test_a_bad_mirror_is_said(lease: Clock, text: str) -> None:
    (lease.cwd / "coord.toml").write_text(text)
    assert "coord.toml" in lease("lease ls", expect=65).err


def linked(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


HARMS: dict[str, Callable[[Path], object]] = {
    "deleted": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "no database": lambda path: path.write_bytes(b"x" * 9000),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "a link": linked,
    "of another version": lambda path: (
        sqlite3.connect(path).execute("UPDATE meta SET version = 0").connection.commit()
    ),
    "behind": lambda path: (
        sqlite3.connect(path).execute("DELETE FROM position").connection.commit()
    ),
}


@pytest.mark.parametrize("harm", HARMS)
def test_the_table_may_be_harmed_at_any_time(lease: Clock, harm: str) -> None:
    """It is worked out from the events; it changes no answer."""
    held = lease("lease acquire 'file:src/**' --ttl 60s -o id").out.strip()
    gone = lease("lease acquire env:b -o id").out.strip()
    lease(f"lease release {gone}; lease renew {held}", at=1)
    before = lease("lease ls", at=2).out
    path = lease.cwd / ".coord/local/leases.sqlite"
    HARMS[harm](path)
    assert lease("lease ls", at=2).out == before
    lease("lease acquire file:src/a", at=2, expect=1)
    HARMS[harm](path)
    lease("lease acquire file:src/a", at=60.999, expect=1)
    assert lease("lease acquire env:b", at=2).one["body"]["token"] == 3


def test_a_table_that_another_keeps_locked_changes_no_answer(lease: Clock) -> None:
    """A process that was stopped in the middle of reading it must be in nobody's way."""
    lease("lease acquire env:a")
    for how in ("SHARED", "EXCLUSIVE"):
        other = sqlite3.connect(lease.cwd / ".coord/local/leases.sqlite", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE" if how == "EXCLUSIVE" else "BEGIN")
        other.execute("SELECT * FROM meta").fetchall()
        lease("lease acquire env:a", expect=1)
        lease(f"lease acquire env:{how}")
        assert f"env:{how}" in lease("lease ls").out
        other.close()
    assert [row["token"] for row in lease("lease ls").lines] == [1, 2, 3]


def test_streams_that_are_cut_back_are_read_again(lease: Clock) -> None:
    """A restored backup: what the table remembers beyond it is no more."""
    lease("lease acquire env:a")
    (path,) = lease.cwd.glob(".coord/live/*/*")
    before = path.read_bytes()
    lease("lease acquire env:b")
    path.write_bytes(before)
    assert [row["resources"] for row in lease("lease ls").lines] == [["env:a"]]
    assert lease("lease acquire env:b").one["seq"] == 2


def test_old_segments_are_pruned_but_for_what_is_held_and_tokens_rise(lease: Clock) -> None:
    held = lease("lease acquire env:held --ttl 7d -o id").out.strip()
    (first,) = lease.cwd.glob(".coord/live/*/*")
    with open_journal(lease.cwd).transaction(ME, live=True) as t:
        for draft in drafts(20, body={"filler": "x" * 60_000}):
            t.add(draft)
    os.utime(first, (0, 0))
    token = lease("lease acquire env:a").one["body"]["token"]
    assert first.exists()
    lease(f"lease release {held}")
    lease("lease acquire env:b")
    assert not first.exists()
    lease("rm .coord/local/leases.sqlite .coord/local/lease-token")
    assert lease("lease acquire env:c").one["body"]["token"] == token + 2
    assert len(lease("lease ls").lines) == 3
    assert lease("ev verify").out == ""


def test_the_events_of_leases_are_found_by_ev(lease: Clock) -> None:
    lease("lease acquire env:a | lease release")
    assert [one["type"] for one in lease("ev tail --type 'lease.*'").lines] == [
        "lease.acquired",
        "lease.released",
    ]
    assert lease("ev verify").out == ""


def test_a_table_on_a_terminal_names_the_holder(lease: Clock) -> None:
    lease("lease acquire env:a")
    assert re.search(r"held +tester .* env:a", lease("lease ls -o table").out)


def test_what_is_listed_is_named_in_short_and_in_full(lease: Clock) -> None:
    """History: `lease ls` alone among the tools' lists had no short id, and tables had both."""
    held = lease("lease acquire env:a -o id").out.strip()
    row = lease("lease ls").one
    assert (row["id"], row["lease_id"]) == (ids.short("ls", held), held)
    assert row["id"] in (table := lease("lease ls -o table").out) and held not in table
    lease(f"lease release {row['id']}")


def test_a_boot_that_cannot_be_read_now_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """History: the lease was acked as one of a boot without a name, and another could acquire it too."""

    def fail(*_: object, **named: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("builtins.open", fail)
    with pytest.raises(OSError, match="Too many open files"):
        machine.boot_id()


@pytest.mark.parametrize("table", ["secondary", "state", "position", "segment", "meta"])
def test_a_table_damaged_anywhere_is_made_anew(shell: Shell, table: str) -> None:
    """History: a page that only the question itself reads ended it with a traceback, each time."""
    lease_id = shell("lease acquire env:a").one["event_id"]
    path = shell.cwd / ".coord/local/leases.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as db:
        ((page,),) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,))
        ((size,),) = db.execute("PRAGMA page_size")
    data = bytearray(path.read_bytes())
    data[(page - 1) * size : page * size] = b"\xff" * size
    path.write_bytes(data)
    assert [one["lease_id"] for one in shell("lease ls").lines] == [lease_id]
    shell("lease acquire env:a --as other", expect=1)
    shell("lease acquire env:b --as other")
    assert len(shell("lease ls").lines) == 2
    with contextlib.closing(sqlite3.connect(path)) as db:
        keys = db.execute("SELECT value FROM secondary WHERE name = 'key'").fetchall()
        assert sorted(keys) == [("env:a",), ("env:b",)]


def test_what_you_hold_is_released_in_one_pipe(shell: Shell) -> None:
    others = shell("lease acquire env:b --as ada").one["event_id"]
    for resource in ("env:a", "env:c"):
        shell(f"lease acquire {resource}")
    assert len(shell("lease ls --mine -o id").out.split()) == 2
    assert len(shell("lease ls --mine env:c").lines) == 1
    assert len(shell("lease ls --mine -o id | lease release").lines) == 2
    assert [lease["lease_id"] for lease in shell("lease ls").lines] == [others]
    assert "nothing to do" in shell("lease ls --mine -o id | lease release").err


def test_tokens_do_not_repeat_after_a_backup_was_put_back(lease: Clock) -> None:
    given = [lease("lease acquire env:1").one["body"]["token"]]
    lease("cp -a .coord backup")
    given += [lease(f"lease acquire env:{n}").one["body"]["token"] for n in range(2, 500, 99)]
    for n in range(600, 602):
        lease(f"mv .coord lost-{n} && cp -a backup .coord")
        new = lease(f"lease acquire env:{n}").one["body"]["token"]
        assert new > max(given)
        assert lease(f"lease acquire env:{n}a").one["body"]["token"] == new + 1
        given.append(new)
    work = lease("wk new x -o id").out.strip()
    gen = lease(f"wk claim {work}").one["body"]["gen"]
    assert gen > 1  # another claim may have had this since
    lease(f"wk release {work}")
    assert lease(f"wk claim {work}").one["body"]["gen"] > gen
