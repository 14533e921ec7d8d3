"""Objects and refs of the store's repository, read and written as git does it."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import pytest
from support import Shell, git, open_store

from coord_kernel.store import init
from coord_kernel.sync import loose, tree
from coord_kernel.sync.git import DamagedError
from coord_kernel.sync.objects import Objects

CONTENTS = (b"", b"x", b"x" * 5_000, bytes(range(256)) * 300)


@pytest.fixture
def repository(shell: Shell) -> Path:
    init.repository(open_store(shell.cwd))
    return shell.cwd / ".coord/.git"


def test_git_and_we_read_what_the_other_wrote(repository: Path) -> None:
    ours = Objects(str(repository))
    for data in CONTENTS:
        oid = tree.write(ours, "blob", data)
        assert tree.write(ours, "blob", data) == oid
        git("cat-file", "-e", oid, cwd=repository)
        assert git("cat-file", "-s", oid, cwd=repository).strip() == str(len(data))
        assert ours.about(oid) == ("blob", len(data)) and ours.read(oid) == data
    root = tree.write_tree(ours, {"journal/a/1": tree.regular(tree.blob_id(b"x"))})
    commit = tree.write_commit(ours, root, [], "why")
    git("fsck", "--strict", cwd=repository)
    git("update-ref", "refs/seen/x", commit, cwd=repository)
    git("repack", "-a", "-d", "-q", cwd=repository)
    git("prune-packed", cwd=repository)
    packed = Objects(str(repository))
    assert not list((repository / "objects").glob(f"{commit[:2]}/*"))
    assert packed.has(commit) and packed.about(commit)[0] == "commit"
    assert packed.read(commit) == ours.read(commit)
    assert not packed.has("0" * 40)


@pytest.mark.parametrize("harm", [b"", b"junk", zlib.compress(b"blob 9\0x"), zlib.compress(b"x")])
def test_a_damaged_object_is_damage(repository: Path, harm: bytes) -> None:
    objects = Objects(str(repository))
    oid = tree.write(objects, "blob", b"content")
    path = repository / "objects" / oid[:2] / oid[2:]
    path.chmod(0o600)
    path.write_bytes(harm)
    with pytest.raises(DamagedError):
        tree.read(objects, oid)


def test_refs_are_those_that_git_lists(shell: Shell, repository: Path) -> None:
    store, objects = open_store(shell.cwd), Objects(str(repository))
    root = tree.write_tree(objects, {"a": tree.regular(tree.write(objects, "blob", b"x"))})
    commits = [tree.write_commit(objects, root, [], why) for why in "abc"]
    assert loose.refs(str(repository), "refs/seen/") == {}
    names = ("refs/seen/coord/arbiter", "refs/seen/coord/replica/abcdefgh", "refs/fetched/x")
    assert loose.written(store, dict(zip(names, commits, strict=True)))
    seen = dict(zip(names[:2], commits[:2], strict=True))
    assert loose.refs(str(repository), "refs/seen/") == seen
    git("pack-refs", "--all", cwd=repository)
    assert loose.refs(str(repository), "refs/seen/") == seen
    assert loose.written(store, {names[0]: commits[2]})
    assert loose.refs(str(repository), "refs/seen/") == seen | {names[0]: commits[2]}
    listed = git("for-each-ref", "--format=%(objectname) %(refname)", "refs/seen/", cwd=repository)
    ours = loose.refs(str(repository), "refs/seen/") or {}
    assert sorted(f"{oid} {ref}" for ref, oid in ours.items()) == sorted(listed.split("\n")[:2])


def test_many_refs_are_one_file_that_git_reads_too(
    shell: Shell, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file of its own waits for the disk twice: a hundred refs took a second."""
    store, objects = open_store(shell.cwd), Objects(str(repository))
    root = tree.write_tree(objects, {"a": tree.regular(tree.write(objects, "blob", b"x"))})
    old, new = (tree.write_commit(objects, root, [], why) for why in "ab")
    names = [f"refs/seen/coord/replica/{number:08d}" for number in range(80)]
    git("update-ref", "refs/fetched/x", old, cwd=repository)
    git("pack-refs", "--all", cwd=repository)
    for name in names[:3]:
        assert loose.written(store, {name: old})
    waits: list[int] = []
    fsync = os.fsync

    def counted(fd: int) -> None:
        waits.append(fd)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", counted)
    assert loose.written(store, dict.fromkeys(names[:10], new))
    few = len(waits)
    assert loose.written(store, dict.fromkeys(names, new))
    assert len(waits) == 2 * few
    assert loose.refs(str(repository), "refs/seen/") == dict.fromkeys(names, new)
    listed = git("for-each-ref", "--format=%(refname) %(objectname)", cwd=repository)
    assert listed.split("\n")[:81] == [f"refs/fetched/x {old}", *(f"{ref} {new}" for ref in names)]
    git("update-ref", names[0], old, new, cwd=repository)
    assert (loose.refs(str(repository), "refs/seen/") or {})[names[0]] == old
    git("fsck", "--strict", cwd=repository)


def test_refs_that_cannot_stand_together_are_left_to_git(shell: Shell, repository: Path) -> None:
    store = open_store(shell.cwd)
    many = {f"refs/seen/r{number}": "0" * 40 for number in range(9)}
    assert not loose.written(store, many | {"refs/seen/r1/below": "0" * 40})
    assert not (repository / "packed-refs").exists()
    (repository / "packed-refs").write_text("no ref\n")
    assert not loose.written(store, many)
    assert (repository / "packed-refs").read_text() == "no ref\n"


def test_what_is_unusual_is_left_to_git(shell: Shell, repository: Path) -> None:
    store, oid = open_store(shell.cwd), "0" * 40
    for ref in ("refs/seen/../x", "refs/seen/", "refs/seen/.x", "refs/seen/a b", "/refs/seen/x"):
        assert not loose.written(store, {ref: oid})
    assert not loose.written(store, {"refs/seen/x": "ref: refs/heads/main"})
    assert sorted(os.listdir(repository / "refs")) == []
    (repository / "refs/seen").mkdir()
    (repository / "refs/seen/x").write_text("ref: refs/heads/main\n")
    assert loose.refs(str(repository), "refs/seen/") is None
    (repository / "refs/seen/x").write_text(f"{oid}\n")
    assert loose.refs(str(repository), "refs/seen/") == {"refs/seen/x": oid}
    (repository / "reftable").mkdir()
    assert loose.refs(str(repository), "refs/seen/") is None
    assert not loose.written(store, {"refs/seen/y": oid})
