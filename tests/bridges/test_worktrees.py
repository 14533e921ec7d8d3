"""Agents in work trees of one repository: whose lease counts where; and work that is saved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bridges.hook_forms import given, hook
from support import Json, Shell, git


@pytest.fixture
def trees(shell: Shell) -> Shell:
    """A repository with a commit of src/a.py, and two more work trees beside it: one, two."""
    (shell.cwd / "src").mkdir()
    (shell.cwd / "src/a.py").write_text("one = 1\n")
    git("add", "src", cwd=shell.cwd)
    git("commit", "-q", "-m", "x", cwd=shell.cwd)
    for name in ("one", "two"):
        git("worktree", "add", "-q", f"../{name}", cwd=shell.cwd)
    return shell


def begins(shell: Shell, agent: str, cwd: Path) -> None:
    fields = given("SessionStart", session_id=f"{agent}-1", cwd=str(cwd))
    hook(shell, f"coord-hooks start --as {agent}", fields)


def leases(shell: Shell, agent: str, session: str) -> str:
    done = shell(f"lease acquire file:src/a.py --ttl 20m --as {agent}", COORD_SESSION=session)
    return str(done.one["refs"]["lease_id"])


def is_refused(shell: Shell, cwd: Path, path: str, agent: str = "qa") -> bool:
    tool: Json = {"tool_name": "Edit", "tool_input": {"file_path": path}}
    fields = given("PreToolUse", session_id=f"{agent}-1", cwd=str(cwd), **tool)
    return bool(hook(shell, f"coord-hooks edit --as {agent}", fields))


def test_a_lease_counts_in_the_work_tree_of_its_holder(trees: Shell) -> None:
    main, one, two = trees.cwd, trees.cwd.parent / "one", trees.cwd.parent / "two"
    begins(trees, "fixer", one)
    begins(trees, "qa", two)
    leases(trees, "fixer", "fixer-1")
    assert not is_refused(trees, two, "src/a.py")
    assert not is_refused(trees, two, str(main / "src/a.py"))
    assert is_refused(trees, one, "src/a.py")
    assert is_refused(trees, two, str(one / "src/a.py")), "the file's work tree counts"
    assert is_refused(trees, two / "src", "../../one/src/a.py")
    (main / "coord.toml").write_text("[agents]\nacross_worktrees = true\n")
    assert is_refused(trees, two, "src/a.py")
    (main / "coord.toml").unlink()
    assert not is_refused(trees, two, "src/a.py")


def test_where_a_holder_works_that_is_not_known_its_lease_counts_everywhere(trees: Shell) -> None:
    one, two = trees.cwd.parent / "one", trees.cwd.parent / "two"
    begins(trees, "qa", two)
    lease = leases(trees, "fixer", "")
    assert is_refused(trees, two, "src/a.py"), "no session"
    begins(trees, "fixer", one)
    assert not is_refused(trees, two, "src/a.py"), "the agent's only session"
    trees(f"lease release {lease} --as fixer")
    leases(trees, "fixer", "another")
    assert is_refused(trees, two, "src/a.py"), "a session that has not said where it is"


def test_a_file_counts_with_all_its_names(trees: Shell) -> None:
    main = trees.cwd
    (main / "link.py").symlink_to("src/a.py")
    (main.parent / "way").symlink_to(main)
    leases(trees, "fixer", "")
    assert is_refused(trees, main, "link.py")
    assert is_refused(trees, main, str(main.parent / "way/src/a.py"))
    assert not is_refused(trees, main, "src/b.py")
    assert not is_refused(trees, main, "/etc/hosts")


def test_work_in_progress_is_saved_behind_a_ref(trees: Shell) -> None:
    one = trees.cwd.parent / "one"
    line = f"cd {one} && coord-hooks checkpoint s1 --as qa"
    assert "s1: no such session" in trees(line, expect=1).err
    for session in ("s1", "s1 /../x", "s1 /.:/x"):
        crashed(trees, session, "crash")
    assert "checkpoints are not enabled" in trees(line, expect=77).err
    (trees.cwd / "coord.toml").write_text("[agents]\ncheckpoint = true\n")
    assert "nothing to save" in trees(line, expect=1).err
    (one / "src/a.py").write_text("one = 2\n")
    (one / "new.py").write_text("new\n")
    (one / ".gitignore").write_text("*.log\n")
    (one / "x.log").write_text("x\n")
    git("add", "new.py", cwd=one)
    before = git("status", "--porcelain", cwd=one)
    head = git("rev-parse", "HEAD", cwd=one).strip()
    row = trees(line).one
    assert row == {
        "ref": "refs/coord-wip/agent.qa/s1",
        "commit": row["commit"],
        "files": 3,
        "head": head,
    }
    assert git("status", "--porcelain", cwd=one) == before
    assert git("rev-parse", "HEAD", cwd=one).strip() == head
    files = git("ls-tree", "-r", "--name-only", row["ref"], cwd=trees.cwd).split()
    assert files == [".gitignore", "new.py", "src/a.py"]
    assert git("show", f"{row['ref']}:src/a.py", cwd=trees.cwd) == "one = 2\n"
    assert git("rev-parse", f"{row['ref']}^", cwd=trees.cwd).strip() == head
    odd = [
        trees(line.replace("s1", f"'{name}'"), GIT_DIR="/nowhere", GIT_INDEX_FILE="/x").one["ref"]
        for name in ("s1 /../x", "s1 /.:/x")
    ]
    assert all(ref.startswith("refs/coord-wip/agent.qa/s1-----x-") for ref in odd)
    assert odd[0] != odd[1], "of another session"


def test_a_session_that_may_live_is_not_saved(shell: Shell) -> None:
    (shell.cwd / "coord.toml").write_text("[agents]\ncheckpoint = true\n")
    start = {"session_id": "s1", "hook_event_name": "SessionStart"}
    shell("coord-hooks start --as qa", json.dumps(start))
    line = "coord-hooks checkpoint s1 --as qa"
    assert "s1: is not over" in shell(line, expect=1).err
    crashed(shell, "s1", "crash")
    shell(line)


def test_a_repository_without_a_commit_is_saved_too(shell: Shell) -> None:
    (shell.cwd / "coord.toml").write_text("[agents]\ncheckpoint = true\n")
    crashed(shell, "s1", "crash")
    row = shell("coord-hooks checkpoint s1 --as qa").one
    assert git("ls-tree", "-r", "--name-only", row["ref"], cwd=shell.cwd).split() == ["coord.toml"]
    assert "head" not in row


def crashed(shell: Shell, session: str, how: str) -> None:
    """What somebody else says of the end of a session of qa."""
    body = {"agent": "agent:qa", "session": session, "how": how}
    shell("ev emit session.ended --as patrol --body -", json.dumps(body))


@pytest.mark.parametrize("how", ["crash", "exit"])
def test_what_a_crashed_session_left_is_saved_before_the_next_begins(
    trees: Shell, how: str
) -> None:
    one = trees.cwd.parent / "one"
    (trees.cwd / "coord.toml").write_text("[agents]\ncheckpoint = true\n")
    begins(trees, "qa", one)
    crashed(trees, "qa-1", how)
    (one / "src/a.py").write_text("half = 1\n")
    fields = given("SessionStart", session_id="qa-2", cwd=str(one))
    hook(trees, "coord-hooks start --as qa", fields)
    refs = git("for-each-ref", "--format=%(refname)", "refs/coord-wip", cwd=trees.cwd).split()
    assert refs == (["refs/coord-wip/agent.qa/qa-1"] if how == "crash" else [])
    assert (one / "src/a.py").read_text() == "half = 1\n"


def test_a_patrol_saves_what_it_gives_back(trees: Shell) -> None:
    one = trees.cwd.parent / "one"
    (trees.cwd / "coord.toml").write_text("[agents]\ncheckpoint = true\n")
    item = trees("wk new x -o id").out.strip()
    begins(trees, "qa", one)
    trees(f"wk claim {item} --as qa", COORD_SESSION="qa-1")
    (one / "src/a.py").write_text("half = 1\n")
    crashed(trees, "qa-1", "crash")
    trees("coord-patrol run --once --as agent:patrol", expect=None)
    assert trees(f"wk show {item}").one["status"] == "ready"
    ref = "refs/coord-wip/agent.qa/qa-1"
    assert git("show", f"{ref}:src/a.py", cwd=trees.cwd) == "half = 1\n"
