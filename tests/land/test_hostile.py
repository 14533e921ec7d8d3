"""What a branch, a commit or a setting may do to the queue: it leaves, or nothing lands."""

from __future__ import annotations

import pytest
from land.town import GATE, SETTINGS, Town
from support import Shell, git

from coord_envelope.errors import BadData, TryAgain, Unreachable
from coord_land import fold
from coord_land.repository import Repository


@pytest.fixture
def town(shell: Shell) -> Town:
    return Town(shell)


def test_a_gate_that_writes_to_its_repository_writes_to_a_clone(town: Town) -> None:
    harm = (
        "git update-ref refs/heads/main HEAD && git commit -q --allow-empty -m RED && git tag v9\n"
        "git update-ref refs/heads/main HEAD; git config core.bare true\n"
    )
    town.ask("evil", {"gate.sh": harm + GATE, "file1": "good"})
    town.land()
    town.check()
    assert town.ends() == {"evil": "landed"}
    assert "RED" not in town.git("log", "--format=%s", "--all")
    assert town.git("tag") == "" and town.git("config", "core.bare") == "false"


def test_what_another_moved_the_target_to_is_announced_when_it_has_passed(town: Town) -> None:
    request = town.ask("b1", {"file1": "good"})
    seen = Repository(str(town.cwd), ".", "main")
    source: fold.Request = town.shell(f"coord-land show {request}").one  # type: ignore[assignment]
    source |= {"id": request, "sha": town.tip("b1"), "title": "Change b1"}
    commit = seen.merged(town.main, source, False)
    town.git("reset", "-q", "--hard", commit)
    town.commit("RED", {"file0": "poison"})
    events = town.land()
    assert [event["type"] for event in events] == ["land.tested"] * 2 + ["land.held"]
    assert town.ends() == {"b1": "held"} and town.land() == []
    town.commit("cure", {"file0": "good"})
    assert [event["type"] for event in town.land()] == ["land.tested", "land.landed"]
    assert town.events("land.landed")[0]["body"]["commit"] == commit
    town.check()


SETTING = """\
[log]
showSignature = true
[trailer]
separators = "#"
[i18n]
logOutputEncoding = UTF-16
[grep]
patternType = fixed
[core]
quotePath = true
[commit]
gpgSign = true
"""


def test_settings_of_who_runs_it_change_nothing(town: Town) -> None:
    town.ask("b1", {"file1": "good"})
    config = town.cwd / ".git/config"
    before = config.read_text()
    config.write_text(before + SETTING)
    town.land()
    assert town.ends() == {"b1": "landed"}
    config.write_text(before)
    town.check()


def test_an_author_whose_name_git_refuses_stops_nobody(town: Town) -> None:
    town.branch("odd", {"file1": "good"})
    raw = town.git("cat-file", "commit", "odd").replace(
        "author Ada <ada@example.org>", "author . <a@b>"
    )
    (town.cwd / ".git/raw").write_text(raw + "\n")
    town.git("branch", "-f", "odd", town.git("hash-object", "-t", "commit", "-w", ".git/raw"))
    town.add("odd")
    town.ask("good", {"file2": "good"})
    town.land()
    assert town.ends() == {"odd": "landed", "good": "landed"}
    authors = town.git("log", "--format=%an", "--first-parent", "-2", "main").splitlines()
    assert authors == ["Ada", "coord-land"]
    town.check()


def test_a_request_that_git_cannot_merge_leaves_with_what_git_says(town: Town) -> None:
    town.branch("torn", {"README": "1\nmine\n"})
    town.commit("newer", {"README": "0\n1\n"})
    town.add("torn")
    town.ask("good", {"file2": "good"})
    blob = town.git("rev-parse", "torn:README")
    (town.cwd / ".git/objects" / blob[:2] / blob[2:]).unlink()
    town.shell("coord-land run --once")
    assert town.ends() == {"torn": "rejected:git", "good": "landed"}
    (rejected,) = town.events("land.rejected")
    assert "git cannot merge it into main" in rejected["body"]["text"]
    assert blob in rejected["body"]["text"]


def test_names_that_look_like_credentials_are_masked(town: Town) -> None:
    name = "ghp_" + "a1B2" * 9
    town.branch("clash", {name: "mine\n"})
    town.commit("newer", {name: "theirs\n"})
    town.add("clash")
    town.land()
    assert town.ends() == {"clash": "rejected:conflict"}
    (rejected,) = town.events("land.rejected")
    assert rejected["body"]["files"] == ["ghp_***"] and name not in rejected["body"]["text"]
    town.check()


@pytest.mark.parametrize("settings", ["", "[land\n", SETTINGS.replace("proof", "prof")])
def test_a_branch_with_which_nothing_could_land_leaves(town: Town, settings: str) -> None:
    town.ask("bad", {"coord.toml": settings})
    town.ask("good", {"file1": "good"})
    town.land()
    assert town.ends() == {"bad": "rejected:policy", "good": "landed"}
    assert "main would have no queue" in town.events("land.rejected")[0]["body"]["text"]
    town.check()


def wanted(town: Town, branch: str, request: str = "01KF4QBCFS000HY2KBEWSW1ZZE") -> fold.Request:
    about = {"id": request, "branch": branch, "title": "x", "ts": "2026-06-01T09:00:00.000Z"}
    return {"sha": town.tip(branch), "ends": {}, **about}  # type: ignore[typeddict-item]


def test_what_landed_is_found_behind_a_merge_the_wrong_way_round(town: Town) -> None:
    repository = Repository(str(town.cwd), ".", "main")
    town.branch("b1", {"file1": "good"})
    town.branch("theirs", {"file2": "good"})
    for squash in (False, True):
        commit = repository.merged(town.main, wanted(town, "b1"), squash)
        tip = town.git("commit-tree", "-p", "theirs", "-p", commit, "-m", "x", "theirs^{tree}")
        found = repository.landed(tip, [wanted(town, "b1")])
        assert found == {wanted(town, "b1")["id"]: commit}


def test_a_trailer_that_somebody_else_wrote_is_no_landing(town: Town) -> None:
    request = town.ask("b1", {"file1": "good"})
    town.commit(f"theirs\n\nLand-Request: {request}", {"file2": "x"})
    town.land()
    assert town.ends() == {"b1": "landed"} and town.has("file1")
    town.check()


def test_a_merge_obeys_no_attributes_of_what_is_checked_out(town: Town) -> None:
    town.branch("clash", {"README": "mine\n"})
    town.commit("newer", {"README": "2\n", ".gitattributes": "README merge=union\n"})
    town.add("clash")
    town.land()
    assert town.ends() == {"clash": "rejected:conflict"}


def test_a_shallow_repository_and_two_urls_of_a_remote_are_refused(town: Town) -> None:
    town.git("remote", "add", "up", "https://example.org/a")
    town.git("remote", "set-url", "--push", "up", "https://example.org/b")
    with pytest.raises(BadData, match="remote up: its push URL is not its fetch URL"):
        Repository(str(town.cwd), "up", "main")
    town.commit("more", {"file1": "x"})
    git("clone", "-q", "--depth=1", f"file://{town.cwd}", str(town.cwd / "few"), cwd=town.cwd)
    with pytest.raises(BadData, match=r"a shallow repository.*git fetch --unshallow"):
        Repository(str(town.cwd / "few"), ".", "main")


def test_a_range_is_no_commit_and_a_branch_in_the_way_is_named(town: Town) -> None:
    town.branch("b1", {"file1": "good"})
    assert (
        "b1..main: no such branch or commit" in town.shell("coord-land add b1..main", expect=1).err
    )
    town.git("branch", "coord-land")
    repository = Repository(str(town.cwd), ".", "main")
    with pytest.raises(TryAgain, match="rename refs/heads/coord-land: it is in the way of refs/"):
        repository.change(f"refs/heads/coord-land/main/{town.main}", "", town.main)
    with pytest.raises(Unreachable, match=r"^git cat-file: Not a valid object name nosuch$"):
        repository.git("cat-file", "commit", "nosuch")
