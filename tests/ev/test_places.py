"""ev sync: one place where the arbiter is compared and swapped, however git is configured."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support import Shell, git

from coord_kernel.sync.git import reason

NS = "refs/coord"

Configure = Callable[[Shell, str, str], None]
"""Makes a clone that fetches at a URL push to another one."""


def config(shell: Shell, *words: str) -> None:
    git("config", *words, cwd=shell.cwd)


def pushurl(shell: Shell, _: str, fork: str) -> None:
    config(shell, "remote.origin.pushurl", fork)


def two_pushurls(shell: Shell, _: str, fork: str) -> None:
    config(shell, "--add", "remote.origin.pushurl", fork)
    config(shell, "--add", "remote.origin.pushurl", f"{fork}.too")


def push_instead_of(shell: Shell, url: str, fork: str) -> None:
    config(shell, f"url.{fork}.pushInsteadOf", url)


def short_push_instead_of(shell: Shell, url: str, fork: str) -> None:
    config(shell, "remote.origin.url", "hub:")
    config(shell, f"url.{url}.insteadOf", "hub:")
    config(shell, f"url.{fork}.pushInsteadOf", "hub:")


def of_the_user(shell: Shell, url: str, fork: str) -> None:
    home = shell.cwd.parent / f"home-{shell.cwd.name}"
    home.mkdir()
    (home / ".gitconfig").write_text(f'[url "{fork}"]\n\tpushInsteadOf = {url}\n')
    shell.env |= {"HOME": str(home)}
    shell.env.pop("GIT_CONFIG_GLOBAL", None)


def of_the_environment(shell: Shell, _: str, fork: str) -> None:
    shell.env |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "remote.origin.pushurl"}
    shell.env |= {"GIT_CONFIG_VALUE_0": fork}


def of_an_include(shell: Shell, url: str, fork: str) -> None:
    path = shell.cwd / ".git/more"
    path.write_text(f'[remote "origin"]\n\tpushurl = {fork}\n')
    config(shell, f"includeIf.gitdir:{shell.cwd}/.path", str(path))


def of_the_work_tree(shell: Shell, _: str, fork: str) -> None:
    config(shell, "extensions.worktreeConfig", "true")
    config(shell, "--worktree", "remote.origin.pushurl", fork)


FORMS: list[Configure] = [
    pushurl,
    two_pushurls,
    push_instead_of,
    short_push_instead_of,
    of_the_user,
    of_the_environment,
    of_an_include,
    of_the_work_tree,
]


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    path = tmp_path / "hub.git"
    git("init", "-q", "--bare", str(path), cwd=tmp_path)
    return path


def clone(hub: Path, name: str) -> Shell:
    git("clone", "-q", str(hub), name, cwd=hub.parent)
    shell = Shell(hub.parent / name)
    shell.env |= {"COORD_AGENT": name}
    for variable in ("COORD_DIR", "COORD_NOW", "COORD_SESSION"):
        shell.env.pop(variable, None)
    shell("ev init")
    return shell


def fork(hub: Path, name: str) -> Path:
    git("clone", "-q", "--mirror", str(hub), f"{name}.git", cwd=hub.parent)
    return hub.parent / f"{name}.git"


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_of_two_clones_that_push_elsewhere_none_is_told_confirmed(
    hub: Path, form: Configure, known: bool
) -> None:
    one, two, other = clone(hub, "one"), clone(hub, "two"), clone(hub, "other")
    if known:  # the hub has an arbiter already
        item = other("wk new x -o id").out.strip()
        other("ev sync --remote origin")
        other(f"wk claim {item} --require confirmed")
    for shell in (one, two):
        form(shell, str(hub), str(fork(hub, f"fork-{shell.cwd.name}")))
    before = git("for-each-ref", cwd=hub)
    for _ in range(2):
        for shell in (one, two):
            shell("ev sync --remote origin", expect=None)
            item = shell("wk new Deploy --key deploy -o id").out.strip()
            done = shell(f"wk claim {item} --require confirmed", expect=69)
            assert "nothing is confirmed" in done.err
            assert f"fork-{shell.cwd.name}.git" in done.err or "hub:" in done.err
            assert shell(f"wk show {item}").one.get("level") != "confirmed"
    assert git("for-each-ref", cwd=hub) == before


def test_a_url_that_is_fetched_and_pushed_among_others_is_the_place(hub: Path) -> None:
    one, two = clone(hub, "one"), clone(hub, "two")
    for shell in (one, two):
        elsewhere = str(fork(hub, f"fork-{shell.cwd.name}"))
        config(shell, "--add", "remote.origin.pushurl", elsewhere)
        config(shell, "--add", "remote.origin.pushurl", str(hub))
        shell("ev sync --remote origin")
    item = one("wk new x -o id").out.strip()
    assert one(f"wk claim {item}").one["$level"] == "confirmed"
    two("ev sync")
    two(f"wk claim {item}", expect=1)


def test_a_mirror_that_lags_behind_confirms_when_it_has_caught_up(hub: Path) -> None:
    mirror = fork(hub, "mirror")
    one, two = clone(hub, "one"), clone(hub, "two")
    for shell in (one, two):
        config(shell, "remote.origin.url", str(mirror))
        config(shell, "remote.origin.pushurl", str(hub))
        shell("ev sync --remote origin")
    item = one("wk new x -o id").out.strip()
    other = one("wk new y -o id").out.strip()
    assert one(f"wk claim {item}").one["$level"] == "tentative"
    done = one(f"wk claim {other} --require confirmed", expect=69)
    assert "nothing is confirmed" in done.err
    one("ev emit a.b", expect=0)
    for shell in (one, two):
        shell("ev sync", expect=None)
    git("fetch", "-q", "origin", "+refs/*:refs/*", cwd=mirror)
    for shell in (one, two, one):
        shell("ev sync", expect=None)
        git("fetch", "-q", "origin", "+refs/*:refs/*", cwd=mirror)
    two("ev sync")
    assert two(f"wk show {item}").one["level"] == "confirmed"
    assert one("ev replay").out == two("ev replay").out


def test_refs_that_the_remote_hides_are_not_confirmed(hub: Path) -> None:
    one = clone(hub, "one")
    git("config", "uploadpack.hideRefs", NS, cwd=hub)
    one("ev sync --remote origin")
    item = one("wk new x -o id").out.strip()
    for _ in range(2):
        done = one(f"wk claim {item} --require confirmed", expect=69)
        assert "mirror" in done.err or "URL" in done.err
    one("ev emit a.b")
    done = one("ev sync", expect=69)
    assert "does not show" in done.err
    assert "hideRefs" in done.err


# ---- what else of git's configuration reaches a sync


def test_rewrites_reach_it_from_wherever_git_reads_them(hub: Path) -> None:
    one = clone(hub, "one")
    config(one, "remote.origin.url", "short:hub.git")
    home = hub.parent / "home"
    home.mkdir()
    (home / "more").write_text(f'[url "{hub.parent}/"]\n\tinsteadOf = short:\n')
    (home / ".gitconfig").write_text(
        f'[includeIf "hasconfig:remote.*.url:short:**"]\n\tpath = {home}/more\n'
    )
    one.env |= {"HOME": str(home)}
    one.env.pop("GIT_CONFIG_GLOBAL", None)
    one("ev emit a.b")
    one("ev sync --remote origin")
    assert git("for-each-ref", NS, cwd=hub)
    (home / ".gitconfig").unlink()
    one("ev emit a.b")
    one.env |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{hub.parent}/.insteadOf"}
    one.env |= {"GIT_CONFIG_VALUE_0": "short:"}
    assert one("ev sync --remote short:hub.git").one["sent"] == 1


def test_nothing_else_of_it_does(hub: Path, tmp_path: Path) -> None:
    one = clone(hub, "one")
    home, ran = tmp_path / "home", tmp_path / "ran"
    (home / "hooks").mkdir(parents=True)
    script = home / "hooks" / "pre-push"
    script.write_text(f"#!/bin/sh\necho $0 $* >>{ran}\n")
    script.chmod(0o755)
    for name in ("post-update", "reference-transaction", "post-commit"):
        shutil.copy(script, home / "hooks" / name)
    (home / ".gitconfig").write_text(
        f"[core]\n\thooksPath = {home}/hooks\n\tfsmonitor = {script}\n"
        f'[alias]\n\tls-remote = !{script}\n[filter "x"]\n\tclean = {script}\n'
        "[push]\n\tgpgSign = true\n\tfollowTags = true\n[transfer]\n\tfsckObjects = true\n"
    )
    one.env |= {"HOME": str(home), "GIT_DIR": "/nowhere", "GIT_INDEX_FILE": "/nowhere"}
    one.env.pop("GIT_CONFIG_GLOBAL", None)
    one("ev emit a.b")
    assert one("ev sync --remote origin").one["sent"] == 1
    assert not ran.exists()


def test_how_to_reach_it_is_passed_on(hub: Path, tmp_path: Path) -> None:
    one = clone(hub, "one")
    script = tmp_path / "ssh"
    script.write_text(
        '#!/bin/sh\necho "$GIT_SSL_CAINFO" >&2\necho "Host key verification failed."'
        " >&2\nexit 255\n"
    )
    script.chmod(0o755)
    config(one, "remote.origin.url", "ssh://host/hub.git")
    for variable in ({"GIT_SSH": str(script)}, {"GIT_SSH_COMMAND": str(script)}):
        one.env |= variable
        done = one("ev sync --remote origin", expect=69)
        assert "origin: Host key verification failed." in done.err
        assert "git ls-remote origin" in done.err
        assert "try again" not in done.err
        for name in variable:
            one.env.pop(name)
    config(one, "core.sshCommand", f"{script}")
    assert "Host key" in one("ev sync --remote origin", expect=69).err


def test_a_program_that_serves_the_remote(hub: Path, tmp_path: Path) -> None:
    one = clone(hub, "one")
    for name in ("upload-pack", "receive-pack"):
        script = tmp_path / name
        script.write_text(f'#!/bin/sh\necho {name} >>{tmp_path}/ran\nexec git-{name} "$@"\n')
        script.chmod(0o755)
        config(one, f"remote.origin.{name.replace('-', '')}", str(script))
    one("ev emit a.b")
    one("ev sync --remote origin")
    assert set((tmp_path / "ran").read_text().split()) == {"upload-pack", "receive-pack"}


def test_a_sha256_remote_is_refused_by_name(hub: Path, tmp_path: Path) -> None:
    one = clone(hub, "one")
    path = tmp_path / "s.git"
    git("init", "-q", "--bare", "--object-format=sha256", str(path), cwd=tmp_path)
    one("ev emit a.b")
    for full in (False, True):
        if full:
            tree = git("mktree", cwd=path).strip()
            commit = git("commit-tree", "-m", "x", tree, cwd=path).strip()
            git("update-ref", f"{NS}/replica/00000000", commit, cwd=path)
        done = one(f"ev sync --remote {path}", expect=69)
        assert "SHA-256" in done.err
        assert "again" not in done.err


def test_a_broken_ref_on_the_remote_is_named_and_the_others_go_on(hub: Path) -> None:
    one, two = clone(hub, "one"), clone(hub, "two")
    for shell in (one, two):
        shell("ev emit a.b")
        shell("ev sync --remote origin")
    rows = git("for-each-ref", "--format=%(refname) %(objectname)", NS, cwd=hub).splitlines()
    ref, oid = rows[0].split(" ")
    (hub / "objects" / oid[:2] / oid[2:]).unlink()
    three = clone(hub, "three")
    three("ev emit a.b")
    done = three("ev sync --remote origin", expect=None)
    assert len(three("ev replay --type a.b").lines) == 2  # its own, and that of the sound ref
    if done.status:  # this git refuses every push to such a repository
        assert done.status == 69
        assert "missing necessary objects" in done.err
        assert f"delete {ref}" in done.err
        assert "may push" not in done.err
        git("push", "-q", str(hub), f":{ref}", cwd=three.cwd)  # the cure
        three("ev sync --remote origin")


def test_the_line_of_ssh_is_the_reason() -> None:
    error = (
        b"Warning: Permanently added 'h' (ED25519) to the list of known hosts.\r\n"
        b"git@h: Permission denied (publickey).\r\n"
        b"fatal: Could not read from remote repository.\n\n"
        b"Please make sure you have the correct access rights\nand the repository exists.\n"
    )
    assert reason(error) == "git@h: Permission denied (publickey)."
    assert reason(b"fatal: Could not read from remote repository.\n")
    assert reason(b"warning: x\nfatal: y\n") == "y"
    assert reason(b"") == ""


def test_a_repository_on_this_disk_is_packed_as_we_pack(hub: Path) -> None:
    """git looked for deltas among full segments: a clone of 300,000 events took 19 s, of which 17."""
    one = clone(hub, "one")
    seen = hub.parent / "seen"
    for end in ("upload", "receive"):
        program = hub.parent / end
        asked = f"git config pack.window >>{seen}; git config core.bigFileThreshold >>{seen}"
        program.write_text(f'#!/bin/sh\n{asked}\nexec git-{end}-pack "$@"\n')
        program.chmod(0o755)
        config(one, f"remote.origin.{end}pack", str(program))
    one("ev emit a.b")
    one("ev sync --remote origin")
    assert set(seen.read_text().split()) == {"1", "1m"}
    assert len(seen.read_text().split()) >= 4  # both programs were asked
