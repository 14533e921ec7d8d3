"""ev sync: what each accident, and each thing that a stranger may push, ends in. With real git, and no network."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import BIN, Done, Shell, git, open_store

from coord_kernel import Store
from coord_kernel.sync.held import Held

NS = "refs/coord"

Files = dict[str, tuple[int, bytes | str]]
"""Of a tree: path → mode, and the bytes or the object's id."""


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """The shared remote, bare."""
    path = tmp_path / "hub.git"
    git("init", "-q", "--bare", str(path), cwd=tmp_path)
    return path


def clone(hub: Path, name: str) -> Shell:
    """A clone of the hub with a store; the agent is called as it is."""
    git("clone", "-q", str(hub), name, cwd=hub.parent)
    return store(hub.parent / name)


def store(path: Path) -> Shell:
    found = Shell(path)
    found.env |= {"COORD_AGENT": path.name}
    for name in ("COORD_DIR", "COORD_NOW", "COORD_SESSION"):
        found.env.pop(name, None)
    found("ev init")
    return found


@pytest.fixture
def one(hub: Path) -> Shell:
    return clone(hub, "one")


@pytest.fixture
def two(hub: Path) -> Shell:
    return clone(hub, "two")


def sync(*shells: Shell) -> list[Done]:
    return [shell("ev sync --remote origin") for shell in shells]


def emit(shell: Shell, n: int, expect: int = 0) -> None:
    shell(f"ev emit a.b --body '{{\"n\":{n}}}'", expect=expect)


def seen(shell: Shell) -> list[int]:
    """What a replay has, in numbers."""
    return sorted(event["body"]["n"] for event in shell("ev replay --type a.b").lines)


def alike(*shells: Shell) -> bool:
    return len({shell("ev replay").out for shell in shells}) == 1


def refs(hub: Path) -> dict[str, str]:
    out = git("for-each-ref", "--format=%(refname) %(objectname)", NS, cwd=hub)
    return dict(line.split(" ") for line in out.splitlines())


def replica(shell: Shell) -> str:
    (file,) = (shell.cwd / ".coord/local/replica").iterdir()
    return file.read_text().split()[-1]


def own(shell: Shell) -> str:
    return f"{NS}/replica/{replica(shell)}"


def claimed(shell: Shell) -> tuple[str, str]:
    """An item made and claimed, and the claim confirmed: their ids."""
    item = shell("wk new x -o id").out.strip()
    claim = shell(f"wk claim {item}").one
    assert claim["$level"] == "confirmed"
    return item, claim["event_id"]


# ---- refs that are gone, or were put back by hand


@pytest.mark.parametrize("whose", ["one", "two"])
def test_a_replica_ref_that_was_deleted_is_made_again_and_nothing_is_lost(
    hub: Path, one: Shell, two: Shell, whose: str
) -> None:
    emit(one, 1)
    emit(two, 2)
    sync(one, two)
    git("update-ref", "-d", own(one if whose == "one" else two), cwd=hub)
    sync(one, two, one)
    three = clone(hub, "three")
    sync(three)
    assert seen(three) == [1, 2]
    assert alike(one, two, three)


def test_what_only_a_deleted_ref_of_another_held_is_given_by_who_has_it(
    hub: Path, one: Shell, two: Shell
) -> None:
    emit(one, 1)
    sync(one, two)
    git("update-ref", "-d", own(one), cwd=hub)
    sync(two)
    three = clone(hub, "three")
    sync(three)
    assert seen(three) == [1]
    sync(two, three)
    before = refs(hub)
    sync(two, three, two)
    assert refs(hub) == before  # and then it is quiet


def test_a_replica_ref_put_back_by_hand_is_brought_on_without_force(
    hub: Path, one: Shell, two: Shell
) -> None:
    emit(one, 1)
    sync(one)
    old = refs(hub)[own(one)]
    emit(one, 2)
    sync(one)
    git("update-ref", own(one), old, cwd=hub)
    sync(one, two)
    assert seen(two) == [1, 2]
    assert git("merge-base", old, refs(hub)[own(one)], cwd=hub).strip() == old


def test_an_own_ref_that_is_no_commit_is_left_and_another_one_taken(
    hub: Path, one: Shell, two: Shell
) -> None:
    emit(one, 1)
    sync(one)
    old, before = own(one), replica(one)
    blob = put(hub, "blob", b"x")
    git("update-ref", old, blob, cwd=hub)
    done = one("ev sync")
    assert done.err == f"ev: {before}: its tip: not a commit with a tree; ignored\n"
    assert refs(hub)[old] == blob
    assert replica(one) != before
    sync(two)
    assert seen(two) == [1]


@pytest.mark.parametrize("how", ["deleted", "put back"])
def test_an_arbiter_that_is_gone_or_put_back_is_given_what_was_confirmed(
    hub: Path, one: Shell, two: Shell, how: str
) -> None:
    sync(one, two)
    claimed(one)
    old = refs(hub)[f"{NS}/arbiter"]
    if how == "put back":
        claimed(one)
    last = refs(hub)[f"{NS}/arbiter"]
    git(
        "update-ref",
        *(["-d", f"{NS}/arbiter"] if how == "deleted" else [f"{NS}/arbiter", old]),
        cwd=hub,
    )
    done = one("ev sync")
    assert done.err == "ev: the arbiter was gone or put back; its confirmations are restored\n"
    assert refs(hub)[f"{NS}/arbiter"] == last
    _, claim = claimed(one)
    sync(two)
    assert claim in two("ev replay --type work.confirmed").out


def another_arbiter(hub: Path, one: Shell) -> None:
    """The hub's arbiter is of another history than the one that `one` saw."""
    other = clone(hub, "other")
    git("update-ref", "-d", f"{NS}/arbiter", cwd=hub)
    sync(other)
    claimed(other)


def test_of_an_arbiter_with_another_history_nothing_is_confirmed_until_it_is_mended(
    hub: Path, one: Shell
) -> None:
    sync(one)
    claimed(one)
    another_arbiter(hub, one)
    theirs = refs(hub)[f"{NS}/arbiter"]
    item = one("wk new y -o id").out.strip()
    claim = one(f"wk claim {item}")
    assert claim.one["$level"] == "tentative"
    assert "two histories" in claim.err
    done = one("ev sync", expect=69)
    what = "the arbiter has two histories, so nothing is confirmed; `ev sync --repair-arbiter`"
    assert done.err == f"ev: origin: {what}\n"
    assert refs(hub)[f"{NS}/arbiter"] == theirs
    three = clone(hub, "three")
    sync(three)
    assert item in three("wk ls --all -o id").out  # its events are given all the same
    assert one("ev sync --repair-arbiter").one == {"remote": "origin", "repaired": True}
    assert one("ev sync").one["confirmed"] == [claim.one["event_id"]]
    assert one("ev sync --repair-arbiter").one["repaired"] is False
    sync(three)
    one("ev sync")
    assert alike(one, three)


def test_an_arbiter_that_holds_no_commit_confirms_nothing_and_is_mended(
    hub: Path, one: Shell
) -> None:
    sync(one)
    claimed(one)
    last = refs(hub)[f"{NS}/arbiter"]
    git("update-ref", f"{NS}/arbiter", put(hub, "blob", b"x"), cwd=hub)
    assert "two histories" in one("ev sync", expect=69).err
    assert one("ev sync --repair-arbiter").one["repaired"] is True
    assert refs(hub)[f"{NS}/arbiter"] == last
    one("ev sync")


def test_an_arbiter_of_garbage_stops_no_event(hub: Path, one: Shell, two: Shell) -> None:
    name = "journal/arbiter.main~aaaaaaaa/000000000001.jsonl"
    git("update-ref", f"{NS}/arbiter", commit(hub, {name: (0o100644, b"garbage\n")}), cwd=hub)
    one("wk new x -o id | wk claim")
    emit(one, 1)
    assert "the arbiter cannot be read" in one("ev sync --remote origin", expect=69).err
    sync(two)
    assert seen(two) == [1]


def test_confirmed_was_asked_for_and_cannot_be_so_the_claim_is_released(
    hub: Path, one: Shell
) -> None:
    sync(one)
    claimed(one)
    another_arbiter(hub, one)
    item = one("wk new y -o id").out.strip()
    said = one(f"wk claim --require confirmed {item}", expect=69).err
    assert (
        "it was released" in said and said.count("\n") == 1
    )  # once the reason was a line of its own before
    assert one(f"wk show {item}").one["status"] == "ready"


# ---- stores that were copied, or are older than what they gave


def test_a_copied_store_writes_streams_of_its_own(hub: Path, one: Shell, two: Shell) -> None:
    emit(one, 1)
    sync(one)
    shutil.copytree(one.cwd, hub.parent / "copy", symlinks=True)
    copy = Shell(hub.parent / "copy")
    copy.env |= {"COORD_AGENT": "one"}
    emit(copy, 2)
    emit(one, 3)
    sync(copy, one, copy, two)
    assert seen(two) == [1, 2, 3]
    assert alike(one, two, copy)
    assert two("ev verify").out == ""


@pytest.mark.parametrize(
    ("what", "wrote"), [("all", 0), ("all", 1), ("all but .git", 0), ("the journal", 3)]
)
def test_an_old_disk_takes_in_what_it_gave_and_goes_on_under_a_new_name(
    hub: Path, one: Shell, two: Shell, what: str, wrote: int
) -> None:
    """With 3 lines written before it synced, the file has the size it had, and other lines.

    History: the tips that were taken in were believed, and the size of a file, though the journal was an older one;
    so what the store had given was lost to it, and its own ref went back.
    """
    home = one.cwd / ".coord"

    def files() -> list[Path]:
        top = {"all": "*", "all but .git": "[!.]*", "the journal": "journal"}[what]
        return [path for found in home.glob(top) for path in found.rglob("*") if path.is_file()]

    emit(one, 1)
    emit(two, 0)
    sync(one)
    old = {path: path.read_bytes() for path in files()}
    for n in (2, 3, 4):
        emit(one, n)
    sync(one, two, one)
    for path in files():
        if path in old:
            os.chmod(path, 0o600)
            path.write_bytes(old[path])
        else:
            path.unlink()
    before = replica(one)
    for n in range(wrote):
        emit(one, 5 + n)
    sync(one)
    assert replica(one) != before
    assert seen(one) == list(range(5 + wrote))
    emit(one, 9)
    sync(one, two, one)
    three = clone(hub, "three")
    sync(three)
    assert seen(two) == [*range(5 + wrote), 9]
    assert alike(one, two, three)
    sync(one, two, three)
    sync(one, two, three)
    after = refs(hub)
    sync(one, two, three)
    assert refs(hub) == after


def test_half_a_line_that_a_killed_sync_left_does_not_fork_the_copy(one: Shell, two: Shell) -> None:
    """History: the rest was appended behind a newline, so that the copy differed from its author's for ever."""
    emit(one, 1)
    sync(one, two)
    (copy,) = (two.cwd / ".coord/journal").glob("agent.one~*/*.jsonl")
    emit(one, 2)
    emit(one, 3)
    (author,) = (one.cwd / ".coord/journal").glob("agent.one~*/*.jsonl")
    done = copy.stat().st_size
    for torn in (author.read_bytes()[done : done + 40], b"\0" * 40):
        with copy.open("ab") as file:
            file.write(torn)
        sync(one, two)
        assert copy.read_bytes() == author.read_bytes()
        done = copy.stat().st_size
        emit(one, 4)
    sync(one, two)
    assert two("ev verify").out == ""
    assert alike(one, two)


# ---- the places a store can be at


def test_a_shallow_clone_and_worktrees_give_and_take(hub: Path, one: Shell) -> None:
    for n in range(3):
        git("commit", "-q", "--allow-empty", "-m", str(n), cwd=one.cwd)
    git("push", "-q", "origin", "HEAD:main", cwd=one.cwd)
    git("clone", "-q", "--depth=1", "-b", "main", f"file://{hub}", "thin", cwd=hub.parent)
    thin = store(hub.parent / "thin")
    git("worktree", "add", "-q", str(hub.parent / "tree"), cwd=thin.cwd)
    tree = Shell(hub.parent / "tree")
    emit(one, 1)
    emit(thin, 2)
    emit(tree, 3)
    sync(one, tree, one)
    assert seen(one) == seen(tree) == seen(thin) == [1, 2, 3]
    assert alike(one, thin)


def test_two_bare_repositories_side_by_side_with_worktrees(
    hub: Path, one: Shell, tmp_path: Path
) -> None:
    git("commit", "-q", "--allow-empty", "-m", "x", cwd=one.cwd)
    git("push", "-q", "origin", "HEAD:main", cwd=one.cwd)
    git("symbolic-ref", "HEAD", "refs/heads/main", cwd=hub)
    trees = []
    for name in ("left", "right"):
        git("clone", "-q", "--bare", str(hub), f"{name}.git", cwd=tmp_path)
        git("worktree", "add", "-q", "-f", str(tmp_path / name), cwd=tmp_path / f"{name}.git")
        trees.append(store(tmp_path / name))
    for n, shell in enumerate(trees):
        emit(shell, n)
    sync(*trees, *trees)
    assert [seen(shell) for shell in trees] == [[0, 1], [0, 1]]
    assert (tmp_path / "left.git/.coord").is_dir()
    assert not (tmp_path / ".coord").exists()


def test_a_submodule_has_a_store_of_its_own(hub: Path, one: Shell, two: Shell) -> None:
    git("commit", "-q", "--allow-empty", "-m", "x", cwd=one.cwd)
    git("push", "-q", "origin", "HEAD:main", cwd=one.cwd)
    git("symbolic-ref", "HEAD", "refs/heads/main", cwd=hub)
    git("submodule", "--quiet", "add", str(hub), "part", cwd=two.cwd)
    part = store(two.cwd / "part")
    emit(part, 1)
    emit(one, 2)
    sync(part, one, part)
    assert seen(part) == seen(one) == [1, 2]
    assert seen(two) == []


def test_a_store_seen_under_two_inodes_writes_two_streams(
    hub: Path, one: Shell, two: Shell
) -> None:
    emit(one, 1)
    local = one.cwd / ".coord/local"
    local.rename(local.with_name("aside"))
    shutil.copytree(local.with_name("aside"), local)
    shutil.rmtree(local.with_name("aside"))
    emit(one, 2)
    sync(one, two)
    assert seen(two) == [1, 2]
    assert len(list((two.cwd / ".coord/journal").iterdir())) == 2


def test_called_from_a_hook_it_touches_nothing_of_the_repository(
    hub: Path, one: Shell, two: Shell
) -> None:
    """History: an object database that heeds GIT_OBJECT_DIRECTORY put the store's objects into the user's."""
    hook = one.cwd / ".git/hooks/pre-commit"
    hook.write_text(
        f"#!/bin/sh\nPATH={BIN}:$PATH\nexport GIT_OBJECT_DIRECTORY=$PWD/.git/objects GIT_DIR=$PWD/.git\n"
        'test -n "$GIT_INDEX_FILE" || exit 9\nev emit a.b --body \'{"n":1}\' && ev sync --remote origin\n'
    )
    hook.chmod(0o755)
    (one.cwd / "file").write_text("x")
    git("add", "file", cwd=one.cwd)
    before = listing(one.cwd / ".git")
    done = one("git -c user.name=A -c user.email=a@b commit -qm x")
    made = listing(one.cwd / ".git").keys() - before.keys()
    objects = {
        path
        for path in made
        if path.startswith("objects/") and os.path.isfile(one.cwd / ".git" / path)
    }
    assert len(objects) == 2, done.err  # the user's tree and commit
    assert made - objects <= {
        "logs/HEAD",
        "refs/heads/main",
        "refs/heads/master",
        "COMMIT_EDITMSG",
    } | {path for path in made if path.startswith("logs")}
    sync(two)
    assert seen(two) == [1]


def listing(path: Path) -> dict[str, bytes]:
    return {
        str(one.relative_to(path)): one.read_bytes()
        for one in sorted(path.rglob("*"))
        if one.is_file()
    }


def test_hooks_config_and_fetch_head_of_the_user_stay_as_they_are(
    hub: Path, one: Shell, two: Shell
) -> None:
    for name in ("pre-push", "reference-transaction", "post-update", "pre-auto-gc", "post-rewrite"):
        (one.cwd / ".git/hooks" / name).write_text(f"#!/bin/sh\ntouch {hub.parent}/ran\n")
        (one.cwd / ".git/hooks" / name).chmod(0o755)
    (one.cwd / ".git/FETCH_HEAD").write_text("mine\n")
    git("config", "core.hooksPath", str(one.cwd / ".git/hooks"), cwd=one.cwd)
    emit(two, 1)
    emit(one, 2)
    before = listing(one.cwd / ".git")
    sync(two, one, two, one)
    assert listing(one.cwd / ".git") == before
    assert not (hub.parent / "ran").exists()
    assert seen(one) == [1, 2]


# ---- remotes


def test_a_read_only_remote_gives_and_says_that_it_takes_nothing(
    hub: Path, one: Shell, two: Shell
) -> None:
    emit(one, 1)
    sync(one)
    (hub / "hooks/pre-receive").write_text("#!/bin/sh\nexit 1\n")
    (hub / "hooks/pre-receive").chmod(0o755)
    emit(two, 2)
    done = two("ev sync --remote origin", expect=69)
    why = "[remote rejected] (pre-receive hook declined)"
    todo = "check that you may push there; what the remote has was taken in"
    assert done.err == f"ev: origin: the remote refuses {own(two)} ({why}); {todo}\n"
    assert seen(two) == [1, 2]
    assert two("ev sync --status").one["unpushed"] == 1
    (hub / "hooks/pre-receive").unlink()
    sync(two, one)
    assert alike(one, two)


def test_an_unreachable_remote_is_69_and_costs_nothing_and_an_empty_one_is_done(
    hub: Path, one: Shell
) -> None:
    emit(one, 1)
    hub.rename(hub.with_name("away"))
    done = one("ev sync --remote origin", expect=69)
    assert (done.out, done.err.count("\n")) == ("", 1)
    hub.with_name("away").rename(hub)
    assert one("ev sync --remote origin").one == {"remote": "origin", "received": 0, "sent": 1}


def test_a_remote_may_be_a_path_or_a_url_and_its_name_have_blanks(
    hub: Path, one: Shell, tmp_path: Path
) -> None:
    """History: a relative path was remembered as it was given, and was another one from another directory."""
    os.rename(hub, tmp_path / "the hub.git")
    (one.cwd / "sub").mkdir()
    for number, name in enumerate(
        ("../the hub.git", f"file://{tmp_path}/the%20hub.git", f"{tmp_path}/the hub.git")
    ):
        emit(one, number)
        assert one(f"ev sync --remote '{name}'").one["sent"] == 1
        assert one("cd sub && ev sync").one["sent"] == 0
    assert list(refs(tmp_path / "the hub.git")) == [own(one)]
    git("remote", "set-url", "origin", "../the hub.git", cwd=one.cwd)
    assert one("cd sub && ev sync --remote origin").one["sent"] == 0
    assert "no such remote: 'gone'" in one("ev sync --remote gone", expect=69).err


def test_the_settings_of_sync_in_coord_toml(hub: Path, one: Shell, two: Shell) -> None:
    for shell in (one, two):
        (shell.cwd / "coord.toml").write_text(
            '[sync]\nremote = "../hub.git"\nnamespace = "refs/heads/coord"\n'
        )
    emit(one, 1)
    (one.cwd / "sub").mkdir()
    one("cd sub && ev trust && ev sync")
    assert two("ev trust; ev sync").lines[-1]["received"] == 1
    names = git("for-each-ref", "--format=%(refname)", cwd=hub).split()
    assert names == [f"refs/heads/coord/replica/{replica(one)}"]
    with (two.cwd / "coord.toml").open("a") as file:
        file.write('push = "refs/for/two"\nfetch = ["refs/mirror/*"]\n')
    tip = git("rev-parse", names[0], cwd=hub).strip()
    git("update-ref", "-d", names[0], cwd=hub)
    emit(two, 2)
    assert "[sync] push: not trusted" in two("ev sync", expect=77).err
    two("ev trust")
    for _ in range(2):
        two("ev sync")
        emit(two, 3)
    git("update-ref", "refs/mirror/x", tip, cwd=hub)
    names = git("for-each-ref", "--format=%(refname)", cwd=hub).split()
    assert names == ["refs/for/two", "refs/mirror/x"]
    (two.cwd / "coord.toml").write_text('[sync]\nremote = "../hub.git"\nnamespace = "coord"\n')
    assert "[sync] namespace is not a ref" in two("ev sync", expect=65).err


def test_two_stores_that_push_to_one_ref_lose_nothing(hub: Path, one: Shell, two: Shell) -> None:
    for shell in (one, two):
        (shell.cwd / "coord.toml").write_text(
            '[sync]\nremote = "origin"\npush = "refs/coord/all"\n'
        )
        shell("ev trust")
    for n, shell in enumerate((one, two, one, two)):
        emit(shell, n)
        shell("ev sync")
    one("ev sync")
    assert seen(one) == seen(two) == [0, 1, 2, 3]


# ---- a tree that a stranger made


def put(hub: Path, kind: str, data: bytes) -> str:
    argv = ["git", "hash-object", "-t", kind, "-w", "--literally", "--stdin"]
    return (
        subprocess.run(argv, cwd=hub, input=data, check=True, capture_output=True)
        .stdout.decode()
        .strip()
    )


def tree(hub: Path, rows: list[tuple[int, str, str]]) -> str:
    data = b"".join(
        b"%o %s\0" % (mode, name.encode()) + bytes.fromhex(oid) for mode, name, oid in rows
    )
    return put(hub, "tree", data)


def commit(hub: Path, files: Files) -> str:
    """A commit of path → (mode, bytes or object id). The paths are taken as they are."""

    def made(level: Files) -> str:
        rows, below = list[tuple[int, str, str]](), dict[str, dict[str, tuple[int, bytes | str]]]()
        for path, (mode, what) in level.items():
            name, slash, rest = path.partition("/")
            if slash:
                below.setdefault(name, {})[rest] = (mode, what)
            else:
                rows.append((mode, name, what if isinstance(what, str) else put(hub, "blob", what)))
        rows += [(0o40000, name, made(inside)) for name, inside in below.items()]
        return tree(hub, sorted(rows, key=lambda row: row[1] + "/" * (row[0] == 0o40000)))

    return committed(hub, made(files))


def committed(hub: Path, root: str) -> str:
    who = "A <a@b> 1 +0000"
    return put(hub, "commit", f"tree {root}\nauthor {who}\ncommitter {who}\n\nx\n".encode())


STREAM = "journal/agent.x~aaaaaaaa"
EVIL = f"{NS}/replica/aaaaaaaa"
BLOB = (
    "blobs/sha256/"
    + hashlib.sha256(b"x").hexdigest()[:2]
    + "/"
    + hashlib.sha256(b"x").hexdigest()[2:]
)


@pytest.mark.parametrize(
    ("path", "mode", "what", "says"),
    [
        (f"{STREAM}/000000000001.jsonl", 0o120000, b"/etc/passwd", "mode 120000; ignored"),
        (f"{STREAM}/000000000001.jsonl", 0o160000, "1" * 40, "mode 160000; ignored"),
        (f"{STREAM}/000000000001.jsonl", 0o100755, b"{}\n", "mode 100755; ignored"),
        (f"{STREAM}/000000000001.jsonl", 0o100664, b"{}\n", "mode 100664; ignored"),
        (STREAM, 0o120000, b"/tmp", "not a path of a store; ignored"),
        ("journal", 0o120000, b"/tmp", ""),
        ("journal/../../x.jsonl", 0o100644, b"{}\n", "journal/..: not a path"),
        ("../x", 0o100644, b"{}\n", "..: not a path of a store"),
        (".git/config", 0o100644, b"{}\n", ".git: not a path of a store"),
        (
            "journal/Agent.x~aaaaaaaa/000000000001.jsonl",
            0o100644,
            b"{}\n",
            "not a path of a store",
        ),
        (
            "journal/agent.x~aaaaaaaa\n/000000000001.jsonl",
            0o100644,
            b"{}\n",
            "aaaaaaaa\\u{a}: not a path of a store",
        ),
        ("journal/agent.\u202ex~aaaaaaaa/0.jsonl", 0o100644, b"{}\n", "\\u{202e}"),
        (f"{STREAM}/1.jsonl", 0o100644, b"{}\n", "not a path of a store"),
        ("/".join(["journal"] * 400), 0o100644, b"{}\n", "not a path of a store"),
        (BLOB, 0o100644, b"y", "its bytes do not have the hash in its name; ignored"),
        ("tool/later", 0o100644, b"y", ""),
    ],
    ids=lambda value: str(value)[:40].encode("ascii", "replace").decode(),
)
def test_a_hostile_path_is_named_in_one_line_and_nothing_is_written(
    hub: Path, one: Shell, path: str, mode: int, what: bytes | str, says: str
) -> None:
    """History: GitPython refused a whole tree for a name like `..`, with a traceback in every store."""
    good = (
        {f"{STREAM}/000000000001.jsonl": (0o100644, b"")} if not path.startswith("journal") else {}
    )
    git("update-ref", EVIL, commit(hub, {path: (mode, what), **good}), cwd=hub)
    before = listing(hub.parent).keys()
    emit(one, 1)
    done = one("ev sync --remote origin")
    assert done.err.count("\n") == bool(says)
    assert says in done.err
    new = {
        name
        for name in listing(hub.parent).keys() - before
        if not name.startswith(("hub.git/", "one/.coord/"))
    }
    assert new == set()
    assert not (one.cwd / ".coord/journal/agent.x~aaaaaaaa").exists() or says == ""
    assert own(one) in refs(hub)
    assert one("ev sync").err == ""  # said once


def test_a_tip_that_is_no_commit_and_a_segment_too_early_cost_only_themselves(
    hub: Path, one: Shell, two: Shell
) -> None:
    git("update-ref", f"{NS}/replica/bbbbbbbb", put(hub, "blob", b"x"), cwd=hub)
    early = commit(hub, {f"{STREAM}/000000000009.jsonl": (0o100644, b"x\n")})
    git("update-ref", EVIL, early, cwd=hub)
    git("update-ref", f"{NS}/unknown/dddddddd", early, cwd=hub)
    emit(one, 1)
    assert sorted(one("ev sync --remote origin").err.splitlines()) == [
        f"ev: aaaaaaaa: {STREAM}/000000000009.jsonl: waits, an earlier segment is missing",
        "ev: bbbbbbbb: its tip: not a commit with a tree; ignored",
    ]
    sync(two)
    assert seen(two) == [1]


def test_a_segment_follows_what_another_ref_holds_whichever_is_looked_at_first(
    hub: Path, one: Shell
) -> None:
    """History: what came early was never looked at again unless its ref moved."""

    def line(n: int) -> bytes:
        head = f'{{"event_id":"01KAJ3Q8ZK000{n}V7M2C4D9T6RX","type":"a.b","ts":"2026-01-17T00:58:12.345Z",'
        tail = (
            f'"project":"x","writer":"agent.x~aaaaaaaa","seq":{n},"actor":{{"agent_id":"agent:x"}},'
        )
        return f'{head}{tail}"body":{{"n":{n}}}}}\n'.encode()

    def give(ref: str, n: int) -> None:
        file = f"{STREAM}/{n:012d}.jsonl"
        git("update-ref", f"{NS}/replica/{ref}", commit(hub, {file: (0o100644, line(n))}), cwd=hub)

    give("bbbbbbbb", 4)
    give("cccccccc", 2)
    give("dddddddd", 1)
    assert (
        "000000000004.jsonl: waits, an earlier segment is missing"
        in one("ev sync --remote origin").err
    )
    assert seen(one) == [1, 2]
    give("eeeeeeee", 3)
    assert one("ev sync").err == ""
    assert seen(one) == [1, 2, 3, 4]


def test_a_ref_that_cannot_be_fetched_holds_up_no_other(hub: Path, one: Shell, two: Shell) -> None:
    """History: all refs came by one fetch, so one with a malformed tree ended every sync of every store."""
    git("update-ref", EVIL, committed(hub, put(hub, "tree", b"100644 x\0short")), cwd=hub)
    emit(one, 1)
    for shell in (one, two):
        done = shell("ev sync --remote origin")
        assert done.err.startswith("ev: aaaaaaaa: cannot be fetched (")
        assert done.err.count("\n") == 1
    assert seen(two) == [1]


def test_trees_that_stand_for_more_files_than_there_can_be_are_not_walked(
    hub: Path, one: Shell
) -> None:
    """2,048 writers that share a tree of 1,024 segments: 120 KiB to push, and two million files."""
    blob = put(hub, "blob", b"x\n")
    segments = tree(hub, [(0o100644, f"{n:012d}.jsonl", blob) for n in range(1, 1025)])
    writers = tree(hub, [(0o40000, f"agent.x{n:05d}~aaaaaaaa", segments) for n in range(2048)])
    git("update-ref", EVIL, committed(hub, tree(hub, [(0o40000, "journal", writers)])), cwd=hub)
    done = one("ev sync --remote origin")
    assert "more than 262,144 entries; ignored" in done.err
    assert not list((one.cwd / ".coord/journal").glob("agent.x*"))


def test_100_megabytes_in_one_blob_are_not_taken_and_not_held_in_memory(
    hub: Path, one: Shell
) -> None:
    large = bytes(100_000_000)
    files: Files = {
        f"{STREAM}/000000000001.jsonl": (0o100644, put(hub, "blob", large)),
        BLOB: (0o100644, put(hub, "blob", large)),
    }
    git("update-ref", EVIL, commit(hub, files), cwd=hub)
    done = one("ulimit -v 1000000; ev sync --remote origin")
    assert sorted(done.err.splitlines()) == [
        f"ev: aaaaaaaa: {BLOB}: too large, 100,000,000 bytes; ignored",
        f"ev: aaaaaaaa: {STREAM}: too large, 100,000,000 bytes; ignored",
    ]
    assert (
        sum(path.stat().st_size for path in (one.cwd / ".coord").rglob("*") if path.is_file())
        < 5_000_000
    )


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\n" * 1_000,
        b"\0" * 4_096 + b"\n",
        b"x" * 10_000_000 + b"\n",
        b"no newline",
        b"\n" * 20_000,
    ],
    ids=["garbage", "NULs", "a line of 10 MB", "no newline", "empty lines"],
)
def test_a_journal_of_garbage_is_not_taken_in_and_what_is_beside_it_is(
    hub: Path, one: Shell, two: Shell, data: bytes
) -> None:
    writer: Files = {f"{STREAM}/000000000001.jsonl": (0o100644, data), BLOB: (0o100644, b"x")}
    git("update-ref", EVIL, commit(hub, writer), cwd=hub)
    emit(one, 1)
    sync(one, two, one)
    assert seen(one) == seen(two) == [1]
    assert alike(one, two)
    assert (one.cwd / ".coord" / BLOB).read_bytes() == b"x"
    assert not (one.cwd / ".coord" / STREAM).exists()
    assert one("ev verify").out == ""


def test_lines_under_another_writers_name_are_not_taken_in(
    hub: Path, one: Shell, two: Shell
) -> None:
    emit(one, 1)
    sync(one)
    (file,) = (one.cwd / ".coord/journal").glob("agent.one~*/*.jsonl")
    git(
        "update-ref",
        EVIL,
        commit(hub, {f"{STREAM}/{file.name}": (0o100644, file.read_bytes())}),
        cwd=hub,
    )
    sync(two)
    assert seen(two) == [1]
    assert not (two.cwd / ".coord" / STREAM).exists()
    assert two("ev verify").out == ""


def test_a_forged_history_of_a_writer_is_kept_beside_the_true_one(
    hub: Path, one: Shell, two: Shell
) -> None:
    """History: two lines of one id came in the order of their streams, which is not the same in every store."""
    emit(one, 1)
    sync(one)
    (file,) = (one.cwd / ".coord/journal").glob("agent.one~*/*.jsonl")
    name = str(file.relative_to(one.cwd / ".coord"))
    forged = file.read_bytes().replace(b'{"n":1}', b'{"n":7}')
    git("update-ref", EVIL, commit(hub, {name: (0o100644, forged)}), cwd=hub)
    sync(two, one, two)
    assert seen(one) == seen(two) == [1, 7]
    assert alike(one, two)
    emit(one, 2)
    sync(one, two)
    assert alike(one, two)


# ---- two stores on one disk


def test_with_another_store_both_have_what_either_had(one: Shell, two: Shell) -> None:
    emit(one, 1)
    emit(two, 2)
    done = one("ev sync --with ../two").one
    assert (done["received"], done["sent"]) == (1, 1)
    assert alike(one, two)
    assert seen(one) == [1, 2]
    again = two("ev sync --with ../one/.coord").one
    assert (again["received"], again["sent"]) == (0, 0)
    with_itself = one("ev sync --with .").one
    assert (with_itself["received"], with_itself["sent"]) == (0, 0)
    assert "no store here" in one("ev sync --with /tmp/none", expect=69).err


def test_of_a_disk_that_was_set_back_again_and_again_each_history_comes(
    one: Shell, two: Shell
) -> None:
    """History: what forked off a fork was dropped, and nobody was told; found by `proof/test_replicas`."""

    def kept(name: str) -> None:
        one(f"cp -a .coord ../{name}")

    def set_back(name: str) -> None:  # its directories stay the ones they are: the same store
        one(f"find .coord -mindepth 1 ! -path .coord/local -delete; cp -a ../{name}/. .coord/")

    emit(one, 1)
    kept("first")
    emit(one, 2)
    two("ev sync --with ../one")
    set_back("first")
    emit(one, 3)
    kept("second")
    for n in (4, 5, 6):
        emit(one, n)
        done = two("ev sync --with ../one")
        assert "kept as agent.one~" in done.err
        set_back("second")
    one("ev sync --with ../two")
    assert seen(one) == seen(two) == [1, 2, 3, 4, 5, 6]
    assert alike(one, two)


def test_what_came_with_another_store_is_given_on(hub: Path, one: Shell, two: Shell) -> None:
    emit(one, 1)
    two("ev sync --with ../one")
    sync(two)
    three = clone(hub, "three")
    sync(three)
    assert seen(three) == [1]


# ---- the command


def test_status_says_what_a_sync_would_give_and_what_came(one: Shell, two: Shell) -> None:
    assert one("ev sync --status").one == {"remote": None, "unpushed": 0, "from": {}}
    emit(one, 1)
    emit(two, 2)
    sync(two, one)
    emit(one, 3)
    emit(one, 4)
    said = one("ev sync --status").one
    assert said["unpushed"] == 2
    assert said["from"] == {replica(two): 1}
    assert one("ev sync --status --watch", expect=2).out == ""
    assert (
        "no remote is configured"
        in clone(one.cwd.parent / "hub.git", "four")("ev sync", expect=69).err
    )


@pytest.fixture
def watching(hub: Path, one: Shell) -> Iterator[subprocess.Popen[bytes]]:
    emit(one, 1)
    child = one.popen(
        "ev sync --remote origin --watch --interval 1h",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    yield child
    child.kill()
    child.communicate()


def test_watch_prints_each_round_and_a_signal_ends_it(
    watching: subprocess.Popen[bytes], hub: Path, one: Shell
) -> None:
    assert watching.stdout
    assert b'"sent":1' in watching.stdout.readline()
    watching.send_signal(signal.SIGTERM)
    assert watching.wait(timeout=20) == -signal.SIGTERM
    assert watching.communicate() == (b"", b"")
    assert one("ev sync").one["sent"] == 0


def test_a_quiet_sync_makes_no_commit_and_no_push(hub: Path, one: Shell, two: Shell) -> None:
    emit(one, 1)
    sync(one, two, one, two)
    (hub / "hooks/pre-receive").write_text(f"#!/bin/sh\ntouch {hub.parent}/pushed\n")
    (hub / "hooks/pre-receive").chmod(0o755)
    before = [listing(shell.cwd / ".coord/.git/objects") for shell in (one, two)]
    sync(one, two)
    assert not (hub.parent / "pushed").exists()
    assert [listing(shell.cwd / ".coord/.git/objects") for shell in (one, two)] == before


def test_a_sync_writes_as_many_objects_with_50_mb_of_history_as_with_none(
    hub: Path, one: Shell
) -> None:
    emit(one, 0)
    sync(one)
    counts = []
    for lines in (0, 75):
        batch = "".join(
            '{"type":"c.d","body":{"x":"%s"}}\n' % (f"{n:05d}" * 8_000) for n in range(lines * 17)
        )
        one("ev emit | tail -n 1", batch)
        emit(one, 1)
        sync(one)
        before = len(listing(one.cwd / ".coord/.git/objects"))
        emit(one, 2)
        sync(one)
        counts.append(len(listing(one.cwd / ".coord/.git/objects")) - before)
    assert (
        sum(path.stat().st_size for path in (one.cwd / ".coord/journal").rglob("*.jsonl"))
        > 50_000_000
    )
    assert counts == [5, 5]  # a segment, three trees, a commit


def test_what_a_later_version_put_into_the_own_ref_is_carried_over(hub: Path, one: Shell) -> None:
    emit(one, 1)
    sync(one)
    later = {"later/thing": (0o100755, b"x"), "journal/service.x~aaaaaaaa/1.log": (0o100644, b"y")}
    (file,) = (one.cwd / ".coord/journal").glob("agent.one~*/*.jsonl")
    mine = {str(file.relative_to(one.cwd / ".coord")): (0o100644, file.read_bytes())}
    git("update-ref", own(one), commit(hub, {**later, **mine}), cwd=hub)
    emit(one, 2)
    sync(one)
    listed = git("ls-tree", "-r", "--format=%(objectmode) %(path)", own(one), cwd=hub).splitlines()
    assert {"100755 later/thing", "100644 journal/service.x~aaaaaaaa/1.log"} <= set(listed)
    assert len(listed) == 3


# ---- the store's own repository


def test_many_refs_are_taken_in_at_once_and_only_their_authors_give_them(
    hub: Path, one: Shell, two: Shell
) -> None:
    """What is known of others' refs may be lost between any two syncs."""
    emit(one, 1)
    emit(two, 2)
    sync(one, two)
    (line,) = (one.cwd / ".coord/journal").glob("agent.one~*/*.jsonl")
    for name in [f"abcdef{number}" for number in range(10, 22)]:
        data = line.read_bytes().replace(line.parent.name.encode(), f"agent.x~{name}".encode())
        file = f"journal/agent.x~{name}/000000000001.jsonl"
        tip = commit(hub, {file: (0o100644, data)})
        git("update-ref", f"{NS}/replica/{name}", tip, cwd=hub)
    sync(one, two)
    assert (one.cwd / ".coord/.git/packed-refs").read_text().count("/replica/abcdef") == 12
    assert len(list((one.cwd / ".coord/journal").iterdir())) == 14
    for step, shell in enumerate((one, two, one)):
        (shell.cwd / ".coord/.git/manifests").write_bytes((b"", b"{}", b"[")[step])
        emit(shell, 3 + step)
        sync(one, two, one)
    assert alike(one, two)
    for shell in (one, two):
        listed = git("ls-tree", "-r", "--name-only", own(shell), cwd=hub).splitlines()
        assert len(listed) == 1
    assert "error" not in one("git --git-dir=.coord/.git fsck 2>&1").out


@pytest.mark.parametrize(
    "how",
    [
        "gone",
        "empty",
        "no HEAD",
        "corrupt",
        "missing",
        "locked",
        "packed-refs cut",
        "packed-refs garbage",
        "packed-refs directory",
    ],
)
def test_the_stores_own_repository_mends_itself(
    hub: Path, one: Shell, two: Shell, how: str
) -> None:
    """History: a lock file that a killed git had left stopped every later sync."""
    sync(one, two)
    item, _ = claimed(one)
    emit(two, 1)
    emit(one, 2)
    sync(two, one)
    home = one.cwd / ".coord/.git"
    files = [path for path in (home / "objects").rglob("*") if path.is_file()]
    if how in ("gone", "empty"):
        shutil.rmtree(home)
    if how == "empty":
        home.mkdir()
    if how == "no HEAD":
        (home / "HEAD").write_text("")
    if how.startswith("packed-refs"):
        git("pack-refs", "--all", cwd=home)
        whole = (home / "packed-refs").read_bytes()
        (home / "packed-refs").unlink()
        (home / "packed-refs.lock").touch()  # of a git that was killed
        if how.endswith("directory"):
            (home / "packed-refs").mkdir()
        else:
            cut = whole[:-20] if how.endswith("cut") else b"\xff\xfe no ref\n"
            (home / "packed-refs").write_bytes(cut)
    for path in files if how in ("corrupt", "missing") else ():
        path.chmod(0o600)
        path.write_bytes(b"x" * 40) if how == "corrupt" else path.unlink()
    if how == "locked":
        for name in ("coord/replica", "coord"):
            for path in (home / "refs/seen" / name).glob("*"):
                path.with_name(f"{path.name}.lock").touch() if path.is_file() else None
    emit(one, 3)
    done = one("ev sync")
    assert done.one["sent"] >= 1
    sync(two)
    assert seen(two) == [1, 2, 3]
    assert alike(one, two)
    assert one(f"wk show {item}").one["status"] == "active"
    assert one("ev sync").err == ""
    assert "error" not in one("git --git-dir=.coord/.git fsck 2>&1").out


def test_loose_objects_are_packed_after_a_push(hub: Path, one: Shell) -> None:
    """History: they piled up for ever, for git's own tidying is off."""
    emit(one, 1)
    sync(one)
    home = one.cwd / ".coord/.git"
    made, n = 0, 0
    while made < 9:  # git guesses from one directory of 256 how many there are
        data = b"%d" % (n := n + 1)
        if hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest().startswith("17"):
            made += bool(put(home, "blob", data))
    sync(one)
    assert not list((home / "objects/pack").glob("*.pack"))  # nothing was pushed
    emit(one, 2)
    assert one("ev sync").err == ""
    assert list((home / "objects/pack").glob("*.pack"))
    emit(one, 3)
    assert one("ev sync").one["sent"] == 1


def test_an_option_that_would_do_nothing_is_refused(one: Shell) -> None:
    # `--with DIR --remote origin` met DIR alone; `--interval 5s` synced once.
    for options in (
        "--with . --remote origin",
        "--status --remote origin",
        "--interval 5s",
        "--with . --status",
    ):
        assert re.match("ev: (--|give only one of --)", one(f"ev sync {options}", expect=2).err)
    one("ev sync --remote origin")
    assert "--budget TIME" in one("ev sync --budget 1ms", expect=69).err


def test_a_segment_that_cannot_be_read_is_not_left_out(
    one: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Found by EIO at each open: its lines were taken out of what is published, exit 0, and the next sync was quiet.
    def fails(*_: object) -> int:
        raise OSError(errno.EIO, "input/output error")

    emit(one, 1)
    held, home = Held(open_store(one.cwd)), one.cwd / ".coord"
    (path,) = home.glob("journal/*/*.jsonl")
    monkeypatch.setattr(Store, "open", fails)
    with pytest.raises(OSError, match="input/output"):
        held.oid(str(path.relative_to(home)))


def test_a_remote_is_remembered_once_it_was_met(one: Shell) -> None:
    # `--remote TYPO` took the place of the one that worked.
    emit(one, 1)
    one("ev sync --remote origin")
    one("ev sync --remote ./nowhere.git", expect=69)
    one("ev sync --remote ext::nothing", expect=77)
    assert one("ev sync --status").one["remote"] == "origin"


def test_a_watch_ends_that_has_nothing_to_sync_with(shell: Shell) -> None:
    # It said so again and again, for ever.
    assert (
        shell("timeout 60 ev sync --watch --interval 50s", expect=69).err.count(
            "no remote is configured"
        )
        == 1
    )
