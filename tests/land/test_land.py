"""coord-land with real git and real gates: what is good lands, what is not leaves with a reason."""

from __future__ import annotations

import pytest
from land.town import GATE, SETTINGS, Town
from support import Shell


@pytest.fixture
def town(shell: Shell) -> Town:
    return Town(shell)


def kinds(events: list[dict[str, object]]) -> list[object]:
    return [event["type"] for event in events]


def test_the_culprits_leave_and_the_others_land(town: Town) -> None:
    town.land_subset(3, 0b011)


def test_conflicts_leave_with_the_files_and_those_with_each_other_one_after_the_other(
    town: Town,
) -> None:
    town.branch("stale", {"README": "mine\n"})
    town.commit("newer", {"README": "2\n"})
    town.add("stale")
    town.ask("one", {"README": "3\n"})
    town.ask("two", {"README": "4\n"})
    town.ask("new", {"file1": "good"})
    town.land()
    assert town.ends() == {
        "stale": "rejected:conflict",
        "one": "landed",
        "two": "rejected:conflict",
        "new": "landed",
    }
    (rejected, _) = town.events("land.rejected")
    assert rejected["body"]["files"] == ["README"]
    assert "It conflicts with main" in rejected["body"]["text"]
    assert town.git("show", "main:README") == "3"
    town.check()


def test_what_changes_nothing_leaves(town: Town) -> None:
    town.git("branch", "none")
    town.git("branch", "other", town.git("commit-tree", "-m", "alien", "main^{tree}"))
    town.branch("same", {"file1": "good"})
    town.git("branch", "twin", "same")
    for name in ("none", "other", "same", "twin"):
        town.add(name)
    town.land()
    assert town.ends() == {
        "none": "rejected:empty",
        "other": "rejected:conflict",
        "same": "landed",
        "twin": "rejected:empty",
    }
    town.check()


def test_a_gate_that_cannot_start_holds_the_queue_until_it_is_mended(town: Town) -> None:
    town.commit("break the gate", {"coord.toml": SETTINGS.replace('"sh", "gate.sh"', '"./gate"')})
    town.ask("b1", {"file1": "good"})
    town.ask("b2", {"file2": "good"})
    assert kinds(town.land()) == ["land.batched", *["land.tested"] * 3, "land.held"]
    assert town.land() == []
    status = town.shell("coord-land status", expect=1).one
    assert [hold["outcomes"] for hold in status["held"]] == [["error", "error"]]
    assert {row["status"] for row in town.shell("coord-land ls").lines} == {"held"}
    (mail,) = town.shell("msg recv --as human:eve").lines
    assert "coord-land resume --target main" in mail["body"]["text"]
    town.shell("coord-land resume")
    assert kinds(town.land()) == [*["land.tested"] * 3, "land.held"]
    town.commit("mend the gate", {"coord.toml": SETTINGS})
    town.land()
    assert set(town.ends().values()) == {"landed"}
    town.check()
    town.shell("coord-land resume")
    assert "main: is not held" in town.shell("coord-land resume", expect=1).err


def test_a_red_base_is_nobodys_fault(town: Town) -> None:
    town.commit("poison", {"file0": "poison"})
    town.ask("b1", {"file1": "good"})
    assert kinds(town.land())[-1] == "land.held"
    assert town.ends() == {"b1": "waiting"} or town.ends() == {"b1": "held"}
    town.commit("cure", {"file0": "good"})
    town.land()
    assert town.ends() == {"b1": "landed"}
    town.check()


def test_a_branch_cannot_delete_or_weaken_the_gate(town: Town) -> None:
    town.ask("weak", {"gate.sh": "echo 9 tests passed\n", "file2": "poison"})
    town.ask(
        "deleted",
        {
            "gate.sh": None,
            "coord.toml": SETTINGS.replace("gate.sh", "other.sh"),
            "other.sh": "echo 9 tests passed\n",
        },
    )
    town.ask("harmless", {"gate.sh": "echo good\n" + GATE, "file3": "good"})
    town.land()
    ends = town.ends()
    assert ends == {
        "weak": "rejected:gate",
        "deleted": "rejected:gate",
        "harmless": "landed",
    }
    town.check()


def test_a_gate_has_to_prove_that_it_ran(town: Town) -> None:
    town.ask("untested", {"test1": None, "file1": "good"})
    town.land()
    assert town.ends() == {"untested": "rejected:gate"}
    whys = {
        e["body"].get("why") for e in town.events("land.tested") if e["body"]["outcome"] == "error"
    }
    assert whys == {"its output does not prove that it ran"}
    town.check()


def test_a_later_request_for_a_branch_replaces_the_earlier(town: Town) -> None:
    first = town.ask("b1", {"file1": "poison"})
    second = town.ask("b1", {"file1": "good"})
    assert town.add("b1") == second, "the same is the same request"
    town.land()
    assert [row["status"] for row in town.shell("coord-land ls --all").lines] == [
        "withdrawn",
        "landed",
    ]
    (withdrawn,) = town.events("land.withdrawn")
    assert (withdrawn["body"]["request"], withdrawn["body"]["by"]) == (first, second)
    town.check()


def test_a_name_stands_for_its_branch_and_a_commit_for_itself(town: Town) -> None:
    commit = town.branch("b1", {"file1": "good"})
    town.git("checkout", "-q", "b1")
    town.git("branch", "deep/b2", "b1")
    asked = [
        town.shell(f"coord-land add {n} --as {n[:1].lower()}x").one
        for n in ("HEAD", "refs/heads/deep/b2", "HEAD~0")
    ]
    assert [each["body"]["branch"] for each in asked] == ["b1", "deep/b2", commit]
    again = town.shell("coord-land add b1 --as other").one
    assert again["event_id"] == asked[0]["event_id"], "the same branch and commit"
    town.git("checkout", "-q", "main")


def test_a_branch_of_another_agent_with_the_same_name_replaces_nothing(town: Town) -> None:
    town.branch("fix", {"file1": "good"})
    town.shell("coord-land add fix --as one")
    town.git("branch", "-M", "fix", "old")
    town.branch("fix", {"file2": "good"})
    town.shell("coord-land add fix --as two")
    town.land()
    assert town.has("file1") and town.has("file2")
    town.check()


def test_what_left_may_be_asked_for_again(town: Town) -> None:
    first = town.ask("b1", {"file1": "good"})
    assert town.shell(f"coord-land rm {first}").one["to"] == ["agent:tester"]
    assert "is over" in town.shell(f"coord-land rm {first}", expect=1).err
    assert town.shell("coord-land ls").out == ""
    again = town.add("b1")
    assert again != first
    town.land()
    assert town.has("file1")
    town.check()


def test_another_pusher_loses_nothing(shell: Shell) -> None:
    """The first test pushes to the target, as somebody else might meanwhile."""
    town = Town(shell, SETTINGS.replace("protect", "# protect"))
    outside = "git -C ../../../../../.. -c user.name=x -c user.email=x"
    theirs = f"{outside} commit-tree -p main -m theirs main^{{tree}}"
    once = f"mkdir ../../../../once 2>&1 && {outside} update-ref refs/heads/main $({theirs})\n"
    town.commit("a gate", {"gate.sh": once + GATE})
    town.ask("b1", {"file1": "good"})
    town.land()
    assert town.ends() == {"b1": "landed"}
    assert "theirs" in town.git("log", "--format=%s", "main")
    assert len(town.events("run.requested")) == 2, "once for each base"
    town.check()


def test_an_item_is_linked_and_closed_when_it_landed_if_that_was_asked(town: Town) -> None:
    one, other = (town.shell(f"wk new {name} -o id").out.strip() for name in ("one", "other"))
    town.shell(f"wk claim {one} --as ada")
    town.ask("b1", {"file1": "good"}, f"--work {one} --close")
    town.ask("b2", {"file2": "good"}, f"--work {other}")
    assert town.shell(f"wk show {one}").one["status"] == "active"
    town.land()
    shown = town.shell(f"wk show {one} {other}").lines
    assert [row["status"] for row in shown] == ["done", "ready"]
    landed = {e["refs"]["work_id"]: e["body"]["commit"] for e in town.events("land.landed")}
    assert [row["artifacts"][0]["uri"] for row in shown] == [landed[one], landed[other]]
    assert landed[one][:12] in shown[0]["closed"]["note"]
    assert "--close without --work" in town.shell("coord-land add b2 --close", expect=2).err
    town.check()


def test_the_commits_say_who_asked(town: Town) -> None:
    request = town.ask("b1", {"file1": "good"})
    town.land()
    body = town.git("log", "-1", "--format=%an %ae%n%cn%n%B", "main").splitlines()
    assert body[:3] == ["Ada ada@example.org", "coord-land", "Merge b1: Change b1"]
    assert body[-1] == f"Land-Request: {request}"
    assert town.git("rev-parse", "main^2") == town.tip("b1")
    town.commit("squash", {"coord.toml": SETTINGS.replace("[land]", '[land]\nmethod = "squash"')})
    town.ask("b2", {"file2": "good"}, "-p 4")
    town.ask("b3", {"file3": "good"}, "-p 0")
    assert [row["branch"] for row in town.shell("coord-land ls").lines] == ["b3", "b2"]
    town.land()
    subjects = town.git("log", "-3", "--first-parent", "--format=%s %p", "main").splitlines()
    assert [line.rsplit(" ", 1)[0] for line in subjects] == ["Change b2", "Change b3", "squash"]
    town.check()


def test_a_stop_stops_it(town: Town) -> None:
    town.ask("b1", {"file1": "good"})
    town.shell("coord-patrol stop")
    assert town.land() == [] and town.shell("coord-land run --dry-run").out == ""
    town.shell("coord-patrol resume")
    (row,) = town.shell("coord-land run --dry-run").lines
    assert row["act"] == "batch"
    town.land()
    assert town.has("file1")


def test_a_work_tree_that_is_not_clean_is_not_touched(town: Town) -> None:
    town.ask("b1", {"README": "3\n"})
    (town.cwd / "README").write_text("mine\n")
    failed = town.shell("coord-land run --once", expect=75)
    assert "land: push to .: " in failed.err
    assert (town.cwd / "README").read_text() == "mine\n" and town.tip() == town.main
    town.git("checkout", "--", "README")
    town.land()
    assert (town.cwd / "README").read_text() == "3\n"
    town.check()


def test_a_target_without_a_gate_lands_nothing(town: Town) -> None:
    town.ask("b1", {"file1": "good"})
    town.commit("settings", {"coord.toml": ""})
    (town.cwd / "coord.toml").write_text(SETTINGS)
    (line,) = town.shell("coord-land run --once", expect=65).err.splitlines()
    assert f"coord.toml of {town.tip()[:12]}: has no gate; add [[land.gate]] with run" in line


def test_what_is_wrong_is_one_line(town: Town) -> None:
    for line, status, what in (
        ("coord-land add nosuch", 1, "nosuch: no such branch or commit"),
        ("coord-land add main", 65, "main is the target itself"),
        ("coord-land add --work wk-00000000", 65, "main is the target itself"),
        ("coord-land add HEAD~0 --work wk-00000000", 1, "wk-00000000: no such work item"),
        ("coord-land add HEAD --target nosuch..x", 65, "not a valid branch"),
        ("coord-land show land-00000000", 1, "land-00000000: no such request"),
        ("coord-land rm land-00000000", 1, "land-00000000: no such request"),
        ("coord-land run --once --policy coord.toml", 77, "inside the repository"),
        ("coord-land run --once --policy /nosuch", 2, "--policy /nosuch: no such file"),
        ("coord-land add HEAD -p 5", 2, "5"),
    ):
        (said,) = town.shell(line, expect=status).err.splitlines()
        assert what in said, line
    town.branch("b1", {"file1": "good"})
    said = town.shell("coord-land add b1 --target nosuch", expect=1).err
    assert (
        said == "coord-land: nosuch: no such branch; make it, or set [land] target in coord.toml\n"
    )
