"""The manifests of tips, kept from sync to sync."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support import Shell, open_store

from coord_kernel.store import init
from coord_kernel.sync import tree
from coord_kernel.sync.git import DamagedError
from coord_kernel.sync.manifests import Manifests
from coord_kernel.sync.objects import Objects

FILE = "journal/agent.ada~k3f9x2ab/000000000001.jsonl"
BLOB = tree.blob_id(b"x")


@pytest.fixture
def repository(shell: Shell) -> Path:
    init.repository(open_store(shell.cwd))
    return shell.cwd / ".coord/.git"


def tip(objects: Objects, why: str) -> str:
    tree.write(objects, "blob", b"x")
    return tree.write_commit(objects, tree.write_tree(objects, {FILE: tree.regular(BLOB)}), [], why)


class Unread(Objects):
    """Objects that may not be looked at."""

    def about(self, oid: str) -> tuple[str, int]:
        raise OSError(f"{oid} was read")


def test_a_tip_is_read_once(shell: Shell, repository: Path) -> None:
    store, objects = open_store(shell.cwd), Objects(str(repository))
    one, two = tip(objects, "1"), tip(objects, "2")
    first = Manifests(store)
    assert first.files(objects, one) == first.files(objects, two) == {FILE: BLOB}
    first.save([one])
    later, unread = Manifests(store), Unread(str(repository))
    assert later.files(unread, one) == {FILE: BLOB}
    with pytest.raises(DamagedError):  # it was no tip any more
        later.files(unread, two)


@pytest.mark.parametrize("harm", [b"", b"{", b"[]", b'{"TIP":3}', b"\xff", b"null"])
def test_a_damaged_file_of_them_costs_only_time(
    shell: Shell, repository: Path, harm: bytes
) -> None:
    store, objects = open_store(shell.cwd), Objects(str(repository))
    one = tip(objects, "1")
    (repository / "manifests").write_bytes(harm.replace(b"TIP", one.encode()))
    assert Manifests(store).files(objects, one) == {FILE: BLOB}


@pytest.mark.parametrize("kind", ["a link", "a directory", "a fifo"])
def test_what_is_no_file_in_their_place_costs_only_time(
    shell: Shell, repository: Path, kind: str
) -> None:
    store, objects, path = open_store(shell.cwd), Objects(str(repository)), repository / "manifests"
    one = tip(objects, "1")
    if kind == "a link":
        path.symlink_to("nowhere")
    else:
        (os.mkfifo if kind == "a fifo" else os.mkdir)(path)
    manifests = Manifests(store)
    assert manifests.files(objects, one) == {FILE: BLOB}
    manifests.save([one])
    assert Manifests(store).files(objects, one) == {FILE: BLOB}
    assert path.is_file() or kind == "a directory"
