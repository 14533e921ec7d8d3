"""lease guard: what another holds is not committed."""

from __future__ import annotations

import re

import pytest
from support import Shell, git

from coord_envelope import ids


@pytest.fixture
def code(shell: Shell) -> Shell:
    """A repository with a commit of two files."""
    for name in ("a.py", "src/b.py"):
        path = shell.cwd / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"# {name}\n" * 20)
    git("add", ".", cwd=shell.cwd)
    git("commit", "-qm", "Begin", cwd=shell.cwd)
    return shell


def test_nothing_staged_is_nothing_to_say(code: Shell) -> None:
    code("lease acquire 'file:**' --as bob; lease guard")


def test_what_another_holds_is_named_with_its_holder(code: Shell) -> None:
    made = code("lease acquire 'file:src/**' --as bob -o id").out.strip()
    code("echo x >> src/b.py; echo x >> a.py; git add .")
    done = code("lease guard", expect=1)
    todo = "wait until it is released"
    assert (
        done.err
        == f"lease: src/b.py: is held by agent:bob as file:src/** ({ids.short('ls', made)}); {todo}\n"
    )
    assert done.out == ""
    code(f"lease release {made} --as bob; lease guard")


@pytest.mark.parametrize("held", ["a.py", "c.py"])
def test_of_a_rename_both_names_count(code: Shell, held: str) -> None:
    code(f"lease acquire file:{held} --as bob; git mv a.py c.py")
    assert code("lease guard", expect=1).err.startswith(f"lease: {held}: ")


def test_what_you_hold_or_others_share_is_not_in_the_way(code: Shell) -> None:
    code(
        "lease acquire file:a.py; lease acquire file:src/b.py --shared --as bob; lease acquire env:x --as bob"
    )
    code("echo x >> src/b.py; echo x >> a.py; git add .; lease guard")


def test_another_session_of_yours_is_another(code: Shell) -> None:
    code("lease acquire file:a.py", COORD_SESSION="s1")
    code("lease guard a.py", COORD_SESSION="s1")
    code("lease guard a.py", COORD_SESSION="s2", expect=1)


def test_paths_are_those_of_the_directory(code: Shell) -> None:
    code("lease acquire file:src/b.py --as bob")
    code("cd src; lease guard b.py", expect=1)
    code("cd src; lease guard ../src/./b.py", expect=1)
    code("cd src; lease guard ../a.py ../b.py")
    assert code("lease guard ../x", expect=65).err == "lease: ../x: outside the repository\n"
    code("lease guard .", expect=65)


def test_in_a_worktree_the_paths_are_those_of_its_root(code: Shell) -> None:
    git("worktree", "add", "-q", "../tree", cwd=code.cwd)
    code("lease acquire file:src/b.py --as bob")
    code("cd ../tree; echo x >> src/b.py; git add .; lease guard", expect=1)
    code("cd ../tree/src; lease guard b.py", expect=1)


def test_names_that_git_would_quote_and_globs_in_them(code: Shell) -> None:
    code("lease acquire 'file:ä*' --as bob; lease acquire file:xy --as bob")
    code("touch 'ä b' 'x?' 'x*'; git add .")
    done = code("lease guard", expect=1)
    assert re.findall(r"^lease: ([^:]+):", done.err, re.MULTILINE) == ["ä b"]


def test_as_a_hook_it_refuses_the_commit_also_of_an_index_of_its_own(code: Shell) -> None:
    code(
        "lease acquire file:a.py --as bob; printf '#!/bin/sh\\nexec lease guard\\n' > .git/hooks/pre-commit"
    )
    code("chmod +x .git/hooks/pre-commit; echo x >> a.py")
    commit = "git -c user.name=A -c user.email=a@b commit -qm x"
    assert "agent:bob" in code(f"{commit} -a", expect=1).err
    assert "agent:bob" in code(f"{commit} a.py", expect=1).err
    code(f"echo x >> src/b.py; {commit} src/b.py")


def test_where_git_cannot_say_it_is_said(shell: Shell) -> None:
    done = shell("cd /; lease guard", expect=69, COORD_DIR=str(shell.cwd / ".coord"))
    assert re.fullmatch(r"lease: git cannot list staged paths: .*; give paths\n", done.err)
