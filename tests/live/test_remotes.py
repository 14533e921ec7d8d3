"""Several remotes of a store: named, looked at, forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from live.engines import Server, serving
from live.test_mirror import Watch, clone, watched
from support import BIN, Shell, git

__all__ = ["watched"]


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Server]:
    with serving("fake", tmp_path / "server") as started:
        yield started


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--remote ''", "--remote: no remote is named; give a name or URL"),
        ("--watch --remote ''", "--remote: no remote is named"),
        ("--move-arbiter ''", "--move-arbiter: no remote is named"),
        ("--take-arbiter ''", "--take-arbiter: no remote is named"),
        ("--forget ''", "--forget: no remote is named"),
        ("--forget origin", "origin: not a remote of this store"),
        ("--forget a --status", "--status and --forget cannot be used together"),
        ("--forget a --remote b", "--remote cannot be used with --forget"),
    ],
)
def test_options_that_name_nothing_are_one_clear_error(
    shell: Shell, options: str, said: str
) -> None:
    done = shell(f"ev sync {options}", expect=2)
    assert said in done.err
    assert done.err.count("\n") == 1


def test_a_remote_is_forgotten_and_nothing_goes_there_any_more(
    fake: Server, tmp_path: Path
) -> None:
    git("init", "-q", "--bare", "hub.git", cwd=tmp_path)
    one = clone(tmp_path, "one", fake)
    one("ev sync --remote ../hub.git; ev emit a.b; ev sync")
    entries = fake.data / "acme/entries"
    before = entries.read_bytes()
    done = one(f"ev sync --forget {fake.url}")
    assert (done.one, done.err) == ({"remote": fake.url, "forgotten": True}, "")
    one("ev emit a.c; ev sync")
    assert entries.read_bytes() == before
    hub = str(tmp_path / "hub.git")
    assert [row["remote"] for row in one("ev sync --status").lines] == [hub]
    assert fake.url not in one("ev trust --show").out
    assert one("ev sync --forget ../hub.git").one["remote"] == hub
    assert "no remote is configured" in one("ev sync", expect=69).err
    # Named again, it gets what it lacks, and nothing twice.
    assert one(f"ev sync --remote {fake.url}").one["sent"] == 1
    assert one("ev sync").one["received"] == 0


def test_to_forget_the_home_of_the_arbiter_is_said(fake: Server, tmp_path: Path) -> None:
    one = clone(tmp_path, "one", fake)
    one("wk claim --require confirmed $(wk new x -o id)")
    done = one(f"ev sync --forget {fake.url}")
    assert "the arbiter lives there, so claims stay tentative" in done.err
    git("init", "-q", "--bare", "hub.git", cwd=tmp_path)
    one("ev sync --remote ../hub.git", expect=None)
    assert one("wk claim $(wk new y -o id)").one["$level"] == "tentative"


def test_a_remote_of_coord_toml_that_was_forgotten_is_not_trusted(
    fake: Server, tmp_path: Path
) -> None:
    one = clone(tmp_path, "one", None)
    (one.cwd / "coord.toml").write_text(f'project = "acme"\n[sync]\nremote = "{fake.url}"\n')
    one("ev trust; ev sync")
    one(f"ev sync --forget {fake.url}")
    assert "not trusted" in one("ev sync", expect=77).err


def test_doctor_and_status_know_every_remote(fake: Server, tmp_path: Path, watched: Watch) -> None:
    git("init", "-q", "--bare", "hub.git", cwd=tmp_path)
    one = clone(tmp_path, "one", fake)

    def remotes() -> dict[str, str]:
        rows = one(f"{BIN}/coord doctor", expect=None).lines
        return {row["what"]: row["status"] for row in rows if row["check"] == "remote"}

    ((what, status),) = remotes().items()
    assert status == "ok"
    assert what.startswith(f"{fake.url} answers, synced ")
    assert what.endswith("no mirror runs, so commands connect by themselves")
    one("ev sync --remote ../hub.git")
    mirror = watched(one)
    assert all(" answers, synced " in what and "mirror" not in what for what in remotes())
    assert len(remotes()) == 2
    mirror.end()
    fake.kill()
    assert [status for what, status in remotes().items() if "connection refused" in what] == [
        "problem"
    ]
    one.env["COORD_NOW"] = "2099-01-01T00:00:00Z"
    assert "not synced with" in one(f"{BIN}/coord status", expect=None).out
