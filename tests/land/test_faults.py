"""A queue that is killed at any step, runs three times at once, or in two clones: the same end, each end once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from land.town import ENDS, SETTINGS, Town
from proof.witness import Watched
from support import Json, Shell, git

from coord_envelope.errors import TryAgain
from coord_land import fold
from coord_land.repository import Conflict, Repository

KILLER = """\
#!/bin/sh
# Counts the queue's calls of git, and kills it at the N-th: before it is made, or after.
case "$*" in *"{calls}"*) ;; *) exec {git} "$@" ;; esac
echo >>"$CALLS"
n=$(wc -l <"$CALLS")
[ "$n$WHEN" != "$KILL"before ] || kill -9 $PPID
{git} "$@"
status=$?
[ "$n$WHEN" != "$KILL"after ] || kill -9 $PPID
exit $status
"""


@pytest.fixture
def town(shell: Shell) -> Town:
    return Town(shell)


def three(town: Town) -> None:
    """One that lands, a culprit, and one that conflicts."""
    town.branch("clash", {"README": "mine\n"})
    town.commit("newer", {"README": "2\n"})
    town.ask("good", {"file1": "good"})
    town.ask("bad", {"file2": "poison"})
    town.add("clash")


def endings(town: Town) -> tuple[str, dict[str, str]]:
    town.check()
    return town.git("rev-parse", "main^{tree}"), town.ends()


class Killer:
    """A git that kills who calls it."""

    def __init__(self, town: Town, tmp_path: Path, calls: str = "core.attributesFile") -> None:
        """`calls`: which of its calls are counted; by default all."""
        self.town, self.calls = town, tmp_path / "calls"
        (tmp_path / "bin").mkdir()
        path = tmp_path / "bin/git"
        path.write_text(KILLER.format(git=shutil.which("git"), calls=calls))
        path.chmod(0o755)
        self.path = f"{tmp_path}/bin:{town.shell.env['PATH']}"

    def run(self, number: int, when: str) -> bool:
        """Run the queue and kill it at this call. Was it killed?"""
        self.calls.write_text("")
        env = {"PATH": self.path, "CALLS": str(self.calls), "KILL": str(number), "WHEN": when}
        done = self.town.shell("coord-land run --once", expect=None, **env)
        assert done.status in (0, 137, -9), done.err
        return done.status != 0

    def count(self) -> int:
        return len(self.calls.read_text())


@pytest.fixture
def save(town: Town, tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Put the repository and its store back as they were when this was first called."""
    saved = tmp_path / "saved"

    def back() -> None:
        if not saved.exists():
            shutil.copytree(town.cwd, saved, symlinks=True)
            return
        for child in town.cwd.iterdir():
            shutil.rmtree(child) if child.is_dir() else child.unlink()
        shutil.copytree(saved, town.cwd, symlinks=True, dirs_exist_ok=True)

    yield back


def test_killed_at_any_step_it_ends_the_same(
    town: Town, tmp_path: Path, save: Callable[[], None], request: pytest.FixtureRequest
) -> None:
    """Before and after each of its calls of git, which stand before and after each event it writes."""
    three(town)
    save()
    killer = Killer(town, tmp_path)
    assert not killer.run(0, "before")
    whole, calls = endings(town), killer.count()
    assert whole[1] == {"good": "landed", "bad": "rejected:gate", "clash": "rejected:conflict"}
    long = request.config.getoption("--long")
    points = [(at, when) for at in range(1, calls + 1) for when in ("before", "after")]
    for number, when in points if long else points[len(points) // 2 :: len(points)]:
        save()
        killer.run(number, when)
        town.land()
        assert endings(town) == whole, f"killed {when} call {number} of {calls}"


def test_killed_between_the_push_and_what_it_says_of_it(town: Town, tmp_path: Path) -> None:
    town.ask("good", {"file1": "good"})
    assert Killer(town, tmp_path, ":refs/heads/main").run(1, "after")
    assert town.has("file1") and town.ends() == {"good": "testing"}
    assert [event["type"] for event in town.land()] == ["land.landed"]
    town.check()


def test_a_request_that_is_withdrawn_while_it_is_pushed_has_landed(
    town: Town, tmp_path: Path
) -> None:
    request = town.ask("good", {"file1": "good"})
    assert Killer(town, tmp_path, ":refs/heads/main").run(1, "after")
    town.shell(f"coord-land rm {request}")
    assert [event["type"] for event in town.land()] == ["land.landed"]
    assert town.ends() == {"good": "landed"} and town.land() == []


def test_the_test_goes_on_when_the_queue_is_killed(town: Town) -> None:
    os.mkfifo(town.cwd / ".coord/local/go")
    town.commit("slow", {"gate.sh": "cat ../../../../go"})
    town.ask("good", {"file1": "good"})
    with Watched(town.shell, "coord-land run") as lander:
        assert b"land.batched" in lander.line()
        town.wait("run.started", 1)
    (town.cwd / ".coord/local/go").write_text("1 tests passed\n")
    town.land()
    assert len(town.events("run.requested")) == 1
    town.check()


def test_a_test_that_nobody_needs_any_more_is_cancelled(town: Town) -> None:
    town.commit("slow", {"gate.sh": "exec sleep 600"})
    request = town.ask("good", {"file1": "good"})
    with Watched(town.shell, "coord-land run") as lander:
        assert b"land.batched" in lander.line()
        town.wait("run.started", 1)
        town.shell(f"coord-land rm {request}")
        town.shell("timeout 60 run attach $(run ls --all -o id)", expect=125)
    assert town.land() == []
    town.check()


def test_a_remote_that_cannot_be_reached_stops_no_queue(shell: Shell) -> None:
    town = Town(shell, SETTINGS.replace("[land]", '[land]\nremote = "../nosuch"'))
    town.branch("good", {"file1": "good"})
    assert "git ls-remote: " in shell("coord-land add good", expect=69).err
    assert shell("coord-land run --once", expect=69).out == shell("coord-land ls").out == ""


def test_a_test_whose_process_is_killed_is_made_again(town: Town) -> None:
    killed = "mkdir ../../../../once 2>/dev/null && kill -9 $(ps -o ppid= $PPID) $PPID\n"
    gate = town.git("show", "main:gate.sh")
    town.commit("killed", {"gate.sh": killed + gate})
    town.ask("good", {"file1": "good"})
    town.land()
    outcomes = [event["body"]["outcome"] for event in town.events("land.tested")]
    assert outcomes[-1] == "pass" and "error" in outcomes
    town.check()


def test_three_copies_at_once_do_everything_once(town: Town) -> None:
    three(town)
    line = "coord-land run"
    with Watched(town.shell, line) as one, Watched(town.shell, line), Watched(town.shell, line):
        town.wait("land.landed", 1)
        town.wait("land.rejected", 2)
        one.child.terminate()
        assert one.child.wait(30) == 0
    town.land()
    assert town.ends() == {"good": "landed", "bad": "rejected:gate", "clash": "rejected:conflict"}
    assert len(town.events("run.requested")) <= 6, "as one copy"
    town.check()


def test_a_running_queue_wakes_for_a_request_and_for_the_end_of_a_test(town: Town) -> None:
    with Watched(town.shell, "coord-land run") as lander:
        town.ask("good", {"file1": "good"})
        types = [lander.line().split(b'"type":"')[1].split(b'"')[0] for _ in range(3)]
    assert types == [b"land.batched", b"land.tested", b"land.landed"]
    assert town.shell("coord-land run --once | head -c 0", expect=None).err == ""


class Clone(Town):
    """A clone of a bare repository, with a store of its own that syncs."""

    def __init__(self, shell: Shell, remote: Path, name: str) -> None:
        path = remote.parent / name
        git("clone", "-q", str(remote), str(path), cwd=remote.parent)
        self.shell, self.cwd = Shell(path), path
        self.shell.env |= {**shell.env, "COORD_AGENT": name}
        self.shell("ev init && ev sync --remote origin")

    def sync(self) -> None:
        self.shell("ev sync")


def test_two_clones_over_a_remote(town: Town, tmp_path: Path) -> None:
    remote = tmp_path / "remote.git"
    town.commit("settings", {"coord.toml": SETTINGS.replace("[land]", '[land]\nremote = "origin"')})
    git("clone", "-q", "--bare", str(town.cwd), str(remote), cwd=tmp_path)
    git("config", "core.logAllRefUpdates", "true", cwd=remote)
    one, two = (Clone(town.shell, remote, name) for name in ("one", "two"))
    one.ask("good", {"file1": "good"})
    one.ask("bad", {"file2": "poison"})
    two.ask("other", {"file3": "good"})
    for clone in (one, two, one):
        clone.sync()
    # They see the same, and land at once: one push is refused, or both are the same commit.
    with Watched(one.shell, "coord-land run --once") as first:
        two.land()
        first.rest()
    for clone in (one, two, one):
        clone.land()
        clone.sync()
    wanted = {"good": "landed", "other": "landed", "bad": "rejected:gate"}
    assert one.ends() == two.ends() == wanted
    events = one.events()
    passed = {e["body"]["commit"] for e in events if e["body"].get("outcome") == "pass"}
    moves = git("reflog", "show", "--format=%H", "main", cwd=remote).split()
    assert moves and set(moves) <= passed, "what landed was not tested as it is"
    assert len(moves) <= 2, "each good one landed once"
    keys = {(e["type"], e["body"]["request"]) for e in events if e["type"] in ENDS}
    assert len(keys) == 3, "each request ends in one way"
    tree = git("ls-tree", "--name-only", "main", cwd=remote).split()
    assert {"file1", "file3"} <= set(tree) and "file2" not in tree
    assert git("for-each-ref", "refs/land", cwd=remote) == ""


# ---- hosted checks

HOSTED = """\
[land]
[[land.gate]]
event = "ci.completed"
by = "bridge:github"
where = { check = "build" }
pass = { conclusion = "success" }
"""


def report(town: Town, asked: Json, conclusion: str, by: str = "bridge:github") -> None:
    """What a bridge to a forge writes."""
    body = f'{{"commit":"{asked["body"]["commit"]}","check":"build","conclusion":"{conclusion}"}}'
    town.shell(f"ev emit ci.completed --body '{body}' --as {by}")


def asked(town: Town) -> Json:
    (last,) = town.events("land.asked")[-1:]
    return last


def test_a_hosted_check_is_a_gate(shell: Shell) -> None:
    town = Town(shell, HOSTED)
    town.ask("good", {"file1": "good"})
    town.land()
    ask = asked(town)
    assert town.tip(ask["body"]["ref"]) == ask["body"]["commit"], "it can be checked"
    assert town.land() == []
    report(town, ask, "success", by="agent:ada")
    assert town.land() == [], "only the bridge's word counts"
    report(town, ask, "success")
    assert [event["type"] for event in town.land()] == ["land.tested", "land.landed"]
    town.check()


def test_a_hosted_check_that_fails_twice_and_passes_on_the_base_rejects(shell: Shell) -> None:
    town = Town(shell, HOSTED)
    town.ask("bad", {"file1": "good"})
    for conclusion in ("failure", "failure", "success"):
        town.land()
        report(town, asked(town), conclusion)
    town.land()
    assert town.ends() == {"bad": "rejected:gate"}
    commits = [event["body"]["commit"] for event in town.events("land.asked")]
    assert commits[0] == commits[1] and commits[2] == town.main
    town.check()


def test_a_hosted_check_that_nobody_reports_ends_in_time(shell: Shell) -> None:
    town = Town(shell, HOSTED)
    town.ask("good", {"file1": "good"}, "")
    now = "2026-06-01T09:00:00Z"
    town.land(now)
    for hour in (11, 13, 15):
        town.land(f"2026-06-01T{hour}:00:00Z")
    assert [event["body"]["outcome"] for event in town.events("land.tested")] == ["error"] * 3
    assert [event["type"] for event in town.events("land.held")] == ["land.held"]


# ---- git


@pytest.fixture
def repository(town: Town) -> Repository:
    return Repository(str(town.cwd), ".", "main")


def wanted(town: Town, branch: str, **more: str) -> fold.Request:
    ts = "2026-06-01T09:00:00.000Z"
    about = {"id": "01KF4QBCFS000HY2KBEWSW1ZZE", "branch": branch, "title": "x", "ts": ts}
    return {"sha": town.tip(branch), "ends": {}, **about, **more}  # type: ignore[typeddict-item]


def test_the_target_is_changed_only_from_what_it_was_tested_on(
    town: Town, repository: Repository
) -> None:
    town.branch("b1", {"file1": "good"})
    theirs = town.commit("theirs", {"file2": "x"})
    merged = repository.merged(town.main, wanted(town, "b1"), False)
    repository.change("refs/heads/main", town.main, merged)
    assert town.tip() == theirs, "another pusher was first; who looks again sees that"
    (town.cwd / ".git/hooks/pre-receive").write_text("#!/bin/sh\nexit 1\n")
    (town.cwd / ".git/hooks/pre-receive").chmod(0o755)
    with pytest.raises(TryAgain, match="pre-receive hook declined"):
        repository.change(
            "refs/heads/main", theirs, repository.merged(theirs, wanted(town, "b1"), False)
        )
    assert town.tip() == theirs


def test_every_copy_makes_the_same_commit_whatever_its_settings(
    town: Town, repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    town.branch("b1", {"file1": "good"})
    settings = "[user]\nname=x\n[merge]\nrenames=false\nconflictStyle=diff3\n[i18n]\ncommitEncoding=latin1\n[commit]\ngpgSign=true\n"
    (tmp_path / "config").write_text(settings)
    first = repository.merged(town.main, wanted(town, "b1"), False)
    monkeypatch.setenv("GIT_AUTHOR_NAME", "somebody")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".gitconfig").write_text(settings)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    again = Repository(str(town.cwd), ".", "main").merged(town.main, wanted(town, "b1"), False)
    assert again == first


def test_a_hostile_title_or_branch_adds_no_trailer(town: Town, repository: Repository) -> None:
    town.branch("b1", {"file1": "good"})
    bad = "x\n\nLand-Request: 01KF4QBCFS000DHT52RH6PKMCY\n"
    merged = repository.merged(town.main, wanted(town, "b1") | {"title": bad, "branch": bad}, False)
    other = wanted(town, "b1") | {"id": "01KF4QBCFS000DHT52RH6PKMCY"}
    assert repository.landed(merged, [wanted(town, "b1"), other]) == {
        wanted(town, "b1")["id"]: merged
    }
    for squash in (False, True):
        message = town.git(
            "log",
            "-1",
            "--format=%B",
            repository.merged(
                town.main, wanted(town, "b1") | {"title": "\x1b[31m", "id": str(squash)}, squash
            ),
        )
        assert "\x1b" not in message


def test_gate_files_of_the_base_stand_in_a_varied_commit(
    town: Town, repository: Repository
) -> None:
    commit = town.branch("b1", {"gate.sh": None, "file1": "good", "test1": "y"})
    varied = repository.varied(commit, town.main, ["gate.sh", "ci/**"])
    names = town.git("ls-tree", "-r", "--name-only", varied).split()
    assert "gate.sh" in names and "file1" in names
    assert town.git("show", f"{varied}:test1") == "y"
    assert repository.varied(commit, town.main, ["README"]) == commit
    assert repository.varied(town.main, town.main, ["gate.sh"]) == town.main


def test_histories_without_a_common_commit_conflict(town: Town, repository: Repository) -> None:
    alien = town.git("commit-tree", "-m", "alien", "main^{tree}")
    town.git("branch", "alien", alien)
    with pytest.raises(Conflict) as conflict:
        repository.merged(town.main, wanted(town, "alien"), False)
    assert "nothing in common" in conflict.value.note
