"""Where the events of a store may go: what the user named, found from where the store lies."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support import Shell, git

from coord_envelope.errors import Refused
from coord_kernel.store import locate
from coord_kernel.sync import transport


def bare(path: Path) -> Path:
    git("init", "-q", "--bare", str(path), cwd=path.parent)
    return path


def clone(hub: Path, name: str) -> Shell:
    git("clone", "-q", str(hub), name, cwd=hub.parent)
    return shell_in(hub.parent / name)


def shell_in(path: Path) -> Shell:
    made = Shell(path)
    for name in ("COORD_DIR", "COORD_NOW", "COORD_SESSION"):
        made.env.pop(name, None)
    made("ev init && ev emit a.b")
    return made


def count(hub: Path) -> int:
    return len(git("for-each-ref", "refs", cwd=hub).splitlines())


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    return bare(tmp_path / "hub.git")


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    return bare(tmp_path / "foreign.git")


# ---- a store is its own place


def test_remote_settings_and_project_are_the_stores_and_not_the_current_directorys(
    hub: Path, foreign: Path
) -> None:
    ours, other = clone(hub, "ours"), clone(foreign, "other")
    (ours.cwd / "coord.toml").write_text('project = "ours-indeed"\nmirror = ["lease.*"]\n')
    (other.cwd / "coord.toml").write_text('project = "theirs"\n[sync]\npush = "refs/heads/x"\n')
    other.env["COORD_DIR"] = str(ours.cwd / ".coord")
    assert other("ev emit a.b").one["project"] == "ours-indeed"
    assert other("lease acquire port:1 --ttl 1h").one["project"] == "ours-indeed"
    assert other("ev sync --remote origin").one["sent"] == 3
    assert (count(hub), count(foreign)) == (1, 0)
    assert "not held by you" not in ours("lease acquire port:1 --as two", expect=1).err
    outside = hub.parent / "outside"
    outside.mkdir()
    shell_in_outside = Shell(outside)
    assert shell_in_outside("ev emit a.b && ev sync", COORD_DIR=str(ours.cwd / ".coord"))
    assert count(foreign) == 0


def test_work_trees_submodules_bare_repositories_and_plain_directories(
    tmp_path: Path, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COORD_DIR", raising=False)
    main = clone(hub, "main").cwd
    git("commit", "-q", "--allow-empty", "-m", "x", cwd=main)
    git("worktree", "add", "-q", str(tmp_path / "linked"), cwd=main)
    git("submodule", "add", "-q", str(main), "sub", cwd=main)
    (tmp_path / "plain").mkdir()
    for place, root in (
        (main, main),
        (tmp_path / "linked", main),
        (main / "sub", main / "sub"),
        (hub, hub),
        (tmp_path / "plain", tmp_path / "plain"),
    ):
        monkeypatch.chdir(place)
        path = locate.place()
        assert locate.root(path) == str(root)
        monkeypatch.chdir("/")
        assert locate.root(path) == str(root)


def test_jobs_run_in_the_stores_tree_or_in_a_linked_one_of_its_repository(
    tmp_path: Path, hub: Path, foreign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, other = clone(hub, "ours").cwd, clone(foreign, "other").cwd
    git("commit", "-q", "--allow-empty", "-m", "x", cwd=ours)
    git("worktree", "add", "-q", str(tmp_path / "linked"), cwd=ours)
    monkeypatch.setenv("COORD_DIR", str(ours / ".coord"))
    for place, tree in ((ours, ours), (tmp_path / "linked", tmp_path / "linked"), (other, ours)):
        monkeypatch.chdir(place)
        assert locate.tree(locate.find()) == str(tree)


def test_a_directory_that_was_removed_is_named_and_not_needed_with_coord_dir(
    hub: Path,
) -> None:
    ours = clone(hub, "ours")
    line = "mkdir x && cd x && rmdir ../x && ev sync --remote origin"
    assert "directory was removed" in ours(line, expect=69).err
    (done,) = ours(line, COORD_DIR=str(ours.cwd / ".coord")).lines
    assert done["sent"] == 1


# ---- consent


@pytest.mark.parametrize("name", ["origin", "{foreign}", "file://{foreign}"])
def test_what_coord_toml_names_is_not_reached_without_consent(
    hub: Path, foreign: Path, name: str
) -> None:
    ours = clone(hub, "ours")
    named = name.format(foreign=foreign)
    (ours.cwd / "coord.toml").write_text(f'[sync]\nremote = "{named}"\n')
    item = ours("wk new x -o id").out.strip()
    claimed = ours(f"wk claim {item}")
    assert claimed.one["$level"] == "tentative"
    assert claimed.err.count("\n") == 1 and "not trusted" in claimed.err
    for line in ("ev sync", "ev sync --watch", "ev sync --archive", "ev sync --repair-arbiter"):
        done = ours(f"timeout 60 {line}", expect=77)
        assert done.err.count("\n") == 1 and f"`ev sync --remote {named}`" in done.err
    ours("lease ls && run ls && ev sync --status")
    assert count(hub) == count(foreign) == 0
    assert not any(row["trusted"] for row in ours("ev trust --show").lines)
    ours("ev sync", expect=77)
    ours("ev trust")
    assert ours("ev sync").one["sent"] == 3  # and the claim is confirmed
    assert count(hub) + count(foreign) == 2
    (ours.cwd / "coord.toml").write_text('[sync]\nremote = "../elsewhere.git"\n')
    bare(ours.cwd.parent / "elsewhere.git")
    ours("ev sync", expect=77)


@pytest.mark.parametrize(
    "setting",
    ['push = "refs/heads/main"', 'namespace = "refs/heads/coord"', 'fetch = ["refs/heads/*"]'],
)
def test_refs_outside_of_refs_coord_need_consent_to_that_very_value(
    hub: Path, setting: str
) -> None:
    ours = clone(hub, "ours")
    (ours.cwd / "coord.toml").write_text(f"[sync]\n{setting}\n")
    for line in ("ev sync --remote origin", "ev sync --remote origin"):
        assert "agree with `ev trust`" in ours(line, expect=77).err
    assert count(hub) == 0
    (row,) = ours("ev trust").lines
    assert row["setting"] == f"[sync] {setting.partition(' ')[0]}"
    ours("ev sync --remote origin")
    other = setting.replace("refs/heads", "refs/tags")
    (ours.cwd / "coord.toml").write_text(f"[sync]\n{other}\n")
    ours("ev sync", expect=77)
    (ours.cwd / "coord.toml").write_text('[sync]\nnamespace = "refs/coord/sub"\n')
    ours("ev sync")  # below refs/coord/ nothing is asked


def test_a_committed_store_brings_no_consent(hub: Path, foreign: Path) -> None:
    """A repository may contain a `.coord`, with a remote in it, but no path with `.git`."""
    author = clone(hub, "author")
    author(f"ev sync --remote {foreign}")
    before = git("for-each-ref", cwd=foreign)
    shutil.rmtree(author.cwd / ".coord/.git")
    shutil.rmtree(author.cwd / ".coord/local/.git")
    git("add", "-f", ".coord", cwd=author.cwd)
    git("commit", "-q", "-m", "x", cwd=author.cwd)
    git("push", "-q", "origin", "HEAD", cwd=author.cwd)
    git("clone", "-q", str(hub), "victim", cwd=hub.parent)
    victim = Shell(hub.parent / "victim")
    for _ in range(2):
        victim("ev emit a.b")
        assert "not trusted" in victim("ev sync", expect=77).err
        victim("ev init")
    assert git("for-each-ref", cwd=foreign) == before


def test_nothing_to_agree_to(hub: Path) -> None:
    assert "nothing to agree to" in clone(hub, "ours")("ev trust", expect=1).err


# ---- a remembered remote


def test_a_remembered_remote_whose_url_changes_is_not_asked_until_confirmed(
    hub: Path, foreign: Path
) -> None:
    ours = clone(hub, "ours")
    ours("ev sync --remote origin")
    git("remote", "set-url", "origin", f"file://u:secret@/{foreign}", cwd=ours.cwd)
    ours("ev emit a.b")
    done = ours("ev sync", expect=77)
    assert done.err.count("\n") == 1 and str(hub) in done.err and str(foreign) in done.err
    assert "secret" not in done.err
    assert count(foreign) == 0
    git("remote", "set-url", "origin", str(foreign), cwd=ours.cwd)
    ours("ev sync --remote origin && ev emit a.b && ev sync")
    assert count(foreign) == 1


def test_the_remote_of_an_older_store_stays_and_its_url_is_kept(hub: Path, foreign: Path) -> None:
    ours = clone(hub, "ours")
    shutil.rmtree(ours.cwd / ".coord/local/.git")
    (ours.cwd / ".coord/local/remote").write_text("origin\n")
    assert ours("ev sync").one["sent"] == 1
    git("remote", "set-url", "origin", str(foreign), cwd=ours.cwd)
    assert "changed" in ours("ev emit a.b && ev sync", expect=77).err


def test_a_damaged_file_of_consents_is_no_consent(hub: Path) -> None:
    ours = clone(hub, "ours")
    ours("ev sync --remote origin")
    path = ours.cwd / ".coord/local/.git/trust"
    for data in (b"", b"[1]", b"\xff", b'{"remote origin": 1}'):
        path.write_bytes(data)
        ours("ev sync", expect=77)
    ours("ev sync --remote origin && ev sync")


# ---- transports


@pytest.mark.parametrize(
    "url",
    [
        *("fd::17", "ext::sh -c true", "git://host/x", "http://host/x", "ftp://host/x"),
        *("http://localhost.evil/x", "http://a@localhost:b@evil/x", "HTTPS://host/x", "x-y::z"),
        "http://evil#@localhost/x",
    ],
)
def test_other_transports_are_refused_by_name(hub: Path, url: str) -> None:
    with pytest.raises(Refused, match="not an allowed transport"):
        transport.check(url)
    ours = clone(hub, "ours")
    name = url.partition(":")[0]
    assert f"ev: {name}: not an" in ours(f"ev sync --remote '{url}'", expect=77).err
    git("remote", "add", "other", url, cwd=ours.cwd)
    assert f"ev: {name}: not an" in ours("ev sync --remote other", expect=77).err


@pytest.mark.parametrize(
    "url",
    [
        *("https://host/x", "ssh://host/x", "file:///x", "/x", "../x", "host:x", "me@host:x/y"),
        *("[::1]:x", "http://localhost:8080/x", "http://127.0.0.1/x", "http://u@[::1]:80/x"),
    ],
)
def test_these_are_allowed(url: str) -> None:
    transport.check(url)


def test_a_rewritten_url_is_checked(hub: Path) -> None:
    ours = clone(hub, "ours")
    git("config", "url.ext::false .insteadOf", "https://host/", cwd=ours.cwd)
    git("config", "protocol.ext.allow", "always", cwd=ours.cwd)
    done = ours("ev sync --remote https://host/x", expect=77)
    assert "ext: not an allowed transport" in done.err
