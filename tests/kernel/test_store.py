"""Where the store is, what making one changes, and which stores are refused."""

from __future__ import annotations

import gc
import os
import stat
import subprocess
from pathlib import Path

import pytest
from support import ME, Shell, drafts, git, open_journal, open_store

from coord_envelope import Unreachable
from coord_envelope.errors import Refused
from coord_kernel import find
from coord_kernel.store import config, disk
from coord_kernel.store import directory as store_module
from coord_kernel.store import init as init_module
from coord_kernel.store.init import init


def tree(path: Path) -> dict[str, bytes]:
    """Every file below, with its bytes."""
    return {
        str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()
    }


def commit(repo: Path) -> None:
    (repo / "file").write_text("content\n")
    git("add", "file", cwd=repo)
    git("commit", "-qm", "Add a file", cwd=repo)


def test_init_touches_the_store_and_one_line_of_exclude(repo: Path) -> None:
    commit(repo)
    before = tree(repo)
    init()
    after = {name: data for name, data in tree(repo).items() if not name.startswith(".coord/")}
    assert after.pop(".git/info/exclude") == before.pop(".git/info/exclude") + b"/.coord/\n"
    assert after == before
    assert git("status", "--porcelain", "--untracked-files=all", cwd=repo) == ""


def test_init_twice_changes_nothing(repo: Path) -> None:
    init()
    before = tree(repo)
    init()
    after = tree(repo)
    volatile = ".coord/local/lock"
    assert {**after, volatile: b""} == {**before, volatile: b""}


def test_everything_in_a_store_is_private(shell: Shell) -> None:
    shell("umask 000; ev emit a.b; ev emit a.b --key k; ev tail --cursor c >/dev/null")
    for path in [shell.cwd / ".coord", *(shell.cwd / ".coord").rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), f"{path} is {mode:o}"


def test_clean_and_stash_pass_over_the_store(shell: Shell) -> None:
    commit(shell.cwd)
    shell("ev emit a.b")
    git("clean", "-fdxq", cwd=shell.cwd)
    (shell.cwd / "file").write_text("changed\n")
    git("stash", "-qa", cwd=shell.cwd)
    git("stash", "pop", "-q", cwd=shell.cwd)
    assert len(shell("ev replay").lines) == 1


def test_git_accepts_the_stores_own_repository(shell: Shell) -> None:
    assert (
        git("--git-dir", ".coord/.git", "rev-parse", "--is-bare-repository", cwd=shell.cwd)
        == "true\n"
    )
    assert git("--git-dir", ".coord/.git", "fsck", cwd=shell.cwd) == ""


def test_worktrees_share_the_store_beside_the_common_directory(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(repo)
    git("worktree", "add", "-q", "../linked", cwd=repo)
    init()
    (repo.parent / "linked/deep/er").mkdir(parents=True)
    monkeypatch.chdir(repo.parent / "linked/deep/er")
    assert find().path == str(repo / ".coord")
    assert find().project == "acme"


def test_a_bare_repository_has_it_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = tmp_path / "acme.git"
    git("init", "-q", "--bare", str(bare), cwd=tmp_path)
    monkeypatch.chdir(bare)
    monkeypatch.delenv("COORD_DIR", raising=False)
    store, warnings = init()
    assert (store.path, store.project, warnings) == (str(bare / ".coord"), "acme", [])
    monkeypatch.chdir(bare / "refs")
    assert find().path == store.path


def test_two_bare_repositories_side_by_side_and_their_worktrees_keep_apart(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(repo)
    for name in ("one", "two"):
        git("clone", "-q", "--bare", str(repo), f"../{name}.git", cwd=repo)
        git("worktree", "add", "-q", f"../{name}-tree", cwd=repo.parent / f"{name}.git")
        monkeypatch.chdir(repo.parent / f"{name}-tree")
        assert init()[0].path == str(repo.parent / f"{name}.git/.coord")


def test_a_submodule_has_its_own_inside_its_git_directory(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(repo)
    outer = repo.parent / "outer"
    git("init", "-q", str(outer), cwd=repo)
    git("submodule", "add", "-q", str(repo), "inner", cwd=outer)
    monkeypatch.chdir(outer / "inner")
    assert init()[0].path == str(outer / ".git/modules/inner/.coord")
    monkeypatch.chdir(outer)
    with pytest.raises(Unreachable):
        find()


def test_without_a_repository_the_nearest_store_upwards_is_used_but_not_above_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COORD_DIR", raising=False)
    home = tmp_path / "home"
    (home / "a/b").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    init()
    monkeypatch.chdir(home / "a/b")
    with pytest.raises(Unreachable, match="no store") as raised:
        find()
    assert raised.value.todo == "make one with `ev init`"
    monkeypatch.chdir(home / "a")
    init()
    monkeypatch.chdir(home / "a/b")
    assert find().path == str(home / "a/.coord")


def test_a_repository_does_not_look_above_itself(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repo.parent / ".coord").mkdir()
    with pytest.raises(Unreachable):
        find()


def test_coord_dir_wins(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COORD_DIR", str(tmp_path / "chosen"))
    store, _ = init()
    # Its project, too, is that of where it lies, not of where it is used.
    assert (store.path, store.project) == (str(tmp_path / "chosen"), config.slug(tmp_path.name))
    assert not (repo / ".coord").exists()
    assert "/.coord/" not in (repo / ".git/info/exclude").read_text()


def test_a_directory_with_other_files_is_not_taken_for_a_store(shell: Shell) -> None:
    # History: COORD_DIR=. was the repository itself: it got a journal, and sync wrote into its .git.
    (shell.cwd / "file").touch()
    for line in ("ev tail", "ev emit a.b", "wk new x", "lease acquire env:x"):
        assert "no store here; make one with `ev init`" in shell(line, expect=69, COORD_DIR=".").err
    assert (
        "not a store, and not empty; COORD_DIR must name"
        in shell("ev init", expect=77, COORD_DIR=".").err
    )
    assert sorted(path.name for path in shell.cwd.iterdir()) == [".coord", ".git", "file"]


def test_an_empty_directory_becomes_a_store(shell: Shell) -> None:
    (shell.cwd / "empty").mkdir()
    shell("ev emit a.b", expect=69, COORD_DIR="empty")
    shell("ev init && ev init && ev emit a.b", COORD_DIR="empty")


def test_git_variables_of_a_hook_are_ignored(shell: Shell, tmp_path: Path) -> None:
    assert shell("ev emit a.b", GIT_DIR=str(tmp_path), GIT_WORK_TREE=str(tmp_path)).one["seq"] == 1


def test_coord_toml_names_the_project(shell: Shell) -> None:
    (shell.cwd / "coord.toml").write_text('project = "Other Name"\n')
    assert shell("ev emit a.b").one["project"] == "other-name"
    (shell.cwd / "coord.toml").write_text("project = \n")
    assert "coord.toml" in shell("ev emit a.b", expect=65).err


def test_an_exclude_that_cannot_be_written_is_a_warning(repo: Path) -> None:
    exclude = repo / ".git/info/exclude"
    exclude.unlink()
    exclude.mkdir()
    _, warnings = init()
    assert "add the line /.coord/" in warnings[0]
    assert open_journal(repo).append(ME, drafts(1))


def test_a_store_that_is_a_link_or_open_to_all_is_refused(shell: Shell, tmp_path: Path) -> None:
    path = shell.cwd / ".coord"
    path.chmod(0o707)
    with pytest.raises(Refused, match="writable by others"):
        find()
    path.chmod(0o700)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match="not a directory"):
        find()


def test_another_users_store_is_refused(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(Refused, match="another user"):
        find()


def test_a_network_file_system_is_refused_unless_allowed(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "known_local", lambda path: False)
    monkeypatch.setattr(init_module, "known_local", lambda path: False)
    with pytest.raises(Refused, match="network file system"):
        init()
    init(unsafe_fs=True)
    assert open_journal(repo).append(ME, drafts(1))


def test_proc_is_local_according_to_the_mount_table() -> None:
    assert disk.known_local("/proc/self")


def test_the_last_mount_at_a_point_counts_and_blanks_in_its_path_are_decoded(
    tmp_path: Path,
) -> None:
    # History: an NFS home behind an automount, or with a blank in its path, was taken for local.
    table = tmp_path / "mounts"
    table.write_text(
        "/dev/sda / ext4 rw 0 0\n"
        "systemd-1 /net autofs rw 0 0\n"
        "server:/x /net nfs4 rw 0 0\n"
        "server:/y /my\\040share nfs rw 0 0\n"
        "/dev/sdb /net/here xfs rw 0 0\n"
    )
    places = ("/net/web", "/net", "/my share/web", "/net/here/web", "/nets", "/home")
    assert [disk.known_local(place, str(table)) for place in places] == [
        False,
        False,
        False,
        True,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("text", "slug"),
    [("Acme Corp", "acme-corp"), ("__x", "x"), ("日本", "project"), ("a" * 99, "a" * 64)],
)
def test_a_project_is_a_slug(text: str, slug: str) -> None:
    assert config.slug(text) == slug


@pytest.mark.parametrize(
    ("remotes", "project"),
    [
        ({"origin": "https://example.org/team/Web-App.git"}, "web-app"),
        ({"origin": "git@example.org:web.git", "fork": "https://example.org/other.git"}, "web"),
        ({"upstream": "ssh://example.org/~ada/web/"}, "web"),
        ({"upstream": "/srv/web/.git"}, "web"),
        ({"one": "https://example.org/a", "two": "https://example.org/b"}, "acme"),
        ({"origin": "https://example.org/.git"}, "example.org"),
        ({}, "acme"),
    ],
)
def test_a_new_project_has_the_name_of_its_remote(
    repo: Path, remotes: dict[str, str], project: str
) -> None:
    for name, url in remotes.items():
        git("remote", "add", name, url, cwd=repo)
    shell = Shell(repo)
    assert shell("ev init").one["project"] == project
    assert shell("ev emit a.b").one["project"] == project
    shell("git remote add later https://example.org/later.git")
    assert shell("ev init").one["project"] == project
    (repo / "coord.toml").write_text('project = "mine"\n')
    assert shell("ev emit a.b").one["project"] == "mine"


def test_a_store_that_has_events_keeps_its_project(shell: Shell) -> None:
    shell("git remote add origin https://example.org/web.git && ev init")
    assert shell("ev emit a.b").one["project"] == "acme"


def test_what_a_kill_left_of_a_save_is_removed_by_the_next_save_or_init(shell: Shell) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    local, blobs = shell.cwd / ".coord/local", shell.cwd / ".coord/blobs/sha256/ab"
    blobs.mkdir(parents=True)
    left = [local / f"redacted.{gone.pid}.tmp", blobs / f"cd.{gone.pid}.tmp"]
    others = [local / f"plain.{os.getpid()}.tmp", local / "x.tmp", local / f"y.{10**30}.tmp"]
    for path in (*left, *others):
        path.write_text("")
    open_store(shell.cwd).save(b"", "local", "mark")
    assert not left[0].exists()
    shell("ev init")
    assert not left[1].exists()
    assert all(path.exists() for path in others)


def test_a_store_that_is_no_longer_used_is_closed(repo: Path) -> None:
    init()

    def opened() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    before = opened()
    for _ in range(3):
        open_store(repo)
        with pytest.raises(Unreachable):
            store_module.Store(str(repo), "acme")
    assert opened() == before
