"""coord-flow with real stores, processes, programs and clones."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import Json, Shell, git

from coord_envelope import world

FORMULA = """
formula = "release"
version = 1
[vars.version]
required = true
[[steps]]
id = "build"
title = "Build {{version}}"
[steps.check]
max_attempts = 2
[steps.check.check]
path = "built.sh"
[[steps]]
id = "announce"
title = "Announce {{version}}"
needs = ["build"]
[steps.gate]
type = "human"
to = "human:eve"
[[steps]]
id = "all"
title = "All"
needs = ["build"]
[[steps.children]]
id = "one"
title = "One"
[[steps.children]]
id = "two"
title = "Two"
needs = ["one"]
"""


@pytest.fixture
def pour(shell: Shell) -> str:
    (shell.cwd / "release.toml").write_text(FORMULA)
    return "coord-flow cook release.toml --var version=1.2"


def items(shell: Shell) -> list[Json]:
    """All items, with what they depend on by the names of steps."""
    shown = shell("wk ls --all --full").lines
    names = {item["work_id"]: item["fields"].get("step", "root") for item in shown}
    return sorted(
        (
            {
                "step": names[item["work_id"]],
                "title": item["title"],
                "status": item["status"],
                "needs": sorted(names[dep["to"]] for dep in item.get("deps", ())),
                "parent": names.get(item.get("parent", "")),
            }
            for item in shown
        ),
        key=lambda item: str(item["step"]),
    )


def ready(shell: Shell) -> list[str]:
    return [row["title"] for row in shell("wk ready").lines]


def flow(shell: Shell, options: str = "") -> list[str]:
    """One turn: the types of the events that it wrote."""
    return [event["type"] for event in shell(f"coord-flow run --once {options}").lines]


def judged(shell: Shell, run: str) -> list[str]:
    """What is written until the program of a check is over, and after that."""
    types = flow(shell, run)
    shell("run attach $(run ls --all -o id | tail -n 1)", expect=None)
    return types + flow(shell, run)


def test_an_apply_that_is_cut_between_any_two_lines_is_completed_by_the_next(
    shell: Shell, pour: str, tmp_path: Path
) -> None:
    lines = shell(pour).out.splitlines(keepends=True)
    shell("wk apply", "".join(lines))
    whole = items(shell)
    assert len(whole) == len(lines) == 8
    for count in range(len(lines)):
        other = Shell(tmp_path / f"r{count}")
        other.cwd.mkdir()
        git("init", "-q", cwd=other.cwd)
        other("ev init")
        other("wk apply", "".join(lines[:count])) if count else None
        again = other("wk apply", "".join(lines)).lines
        assert sum("$dup" in event for event in again) == count
        assert items(other) == whole


def test_a_step_that_the_file_has_more_is_added_alone(shell: Shell, pour: str) -> None:
    shell(f"{pour} | wk apply")
    more = '[[steps]]\nid = "party"\ntitle = "Party"\nneeds = ["all"]\n'
    (shell.cwd / "release.toml").write_text(FORMULA + more)
    events = shell(f"{pour} | wk apply").lines
    assert [event["body"]["title"] for event in events if "$dup" not in event] == ["Party"]
    assert items(shell)[-2:] == [
        {"step": "root", "title": "release", "status": "blocked", "needs": [], "parent": None},
        {"step": "two", "title": "Two", "status": "blocked", "needs": ["one"], "parent": "all"},
    ]


def test_an_apply_that_is_killed_is_completed_by_the_next(shell: Shell) -> None:
    """At any moment: the file has many steps, so that some are hit."""
    big = "".join(
        f'[[steps]]\nid = "s{n}"\ntitle = "S"\nneeds = [{f"{chr(34)}s{n - 1}{chr(34)}" if n else ""}]\n'
        for n in range(600)
    )
    (shell.cwd / "big.toml").write_text(f'formula = "big"\nversion = 1\n{big}')
    operations = shell("coord-flow cook big.toml").out.encode()
    for wait in (0.05, 0.1, 0.15, 0.2, 0.25):
        with shell.popen("wk apply", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
            assert process.stdin
            process.stdin.write(operations)
            process.stdin.close()
            try:
                process.wait(wait)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
    shell("wk apply", operations)
    assert len(shell("wk ls --all").lines) == 601
    assert all("$dup" in event for event in shell("wk apply", operations).lines)
    assert len(shell("wk ls --all").lines) == 601


def test_a_poured_formula_is_followed_to_its_end(shell: Shell, pour: str) -> None:
    programs = shell.cwd / "programs"
    programs.mkdir()
    (programs / "built.sh").write_text('#!/bin/sh\ntest -e built -a -n "$COORD_WORK"\n')
    (programs / "built.sh").chmod(0o755)
    run = f"--programs {programs}"
    shell(f"{pour} | wk apply --atomic")
    assert (ready(shell), flow(shell, run)) == (["Build 1.2"], [])
    build = shell("wk ready -o id").out.strip()

    shell(f"wk close {build}")
    assert ready(shell) == []
    assert judged(shell, run) == ["run.requested", "work.reopened", "work.updated"]
    assert ready(shell) == ["Build 1.2"]

    (shell.cwd / "built").touch()
    shell(f"wk close {build} --note 'it builds'")
    assert judged(shell, run) == ["run.requested", "work.closed", "work.created"]
    assert ready(shell) == ["One"]
    (question,) = shell("wk ls --kind question").lines
    assert question["asked"] == ["human:eve"]
    shell(f"wk answer {question['id']} yes --as human:eve")
    assert flow(shell, run) == ["work.closed"]
    assert sorted(ready(shell)) == ["Announce 1.2", "One"]

    shell("wk ready | wk close")
    shell("wk ready | wk close")
    shell("wk ready | wk close")
    assert flow(shell, run) == ["work.closed"], "the root"
    assert shell("wk ls").lines == []
    assert flow(shell, run) == []


def test_no_program_runs_that_nobody_has_allowed(shell: Shell, pour: str) -> None:
    secret = shell.cwd / "scripts"
    secret.mkdir()
    (secret / "evil.sh").write_text("#!/bin/sh\ntouch ../ran ran\n")
    (secret / "evil.sh").chmod(0o755)
    (shell.cwd / "programs").mkdir()
    (shell.cwd / "programs/link").symlink_to(secret / "evil.sh")
    for name in ("scripts/evil.sh", "../scripts/evil.sh", str(secret / "evil.sh"), "link", ".", ""):
        fields = f"--field gate=command --field gate.id={name}"
        shell(f"wk new gate --kind gate {fields}")
    assert "name where programs may be run from" in shell("coord-flow run --once").err
    assert set(flow(shell, "--programs programs")) == {"work.updated"}
    held = shell("wk ls --status held").lines
    assert len(held) == 6
    assert shell("run ls --all").lines == []


def test_a_wisp_becomes_one_comment_of_its_parent(shell: Shell, pour: str) -> None:
    parent = shell("wk new Parent -o id").out.strip()
    (shell.cwd / "chores.toml").write_text(
        'formula = "chores"\nversion = 1\nphase = "vapor"\n'
        '[[steps]]\nid = "a"\ntitle = "Sweep"\n[[steps]]\nid = "b"\ntitle = "Mop"\n'
    )
    shell(f"coord-flow cook chores.toml --parent {parent} | wk apply")
    sweep, mop = (row["id"] for row in shell("wk ready").lines)
    shell(f"wk comment {sweep} 'behind the door, too'")
    shell(f"wk close {sweep} --note clean; wk close {mop} --resolution wontfix --note 'no water'")
    assert flow(shell) == ["work.commented", "work.closed"]
    (comment,) = shell(f"wk show {parent}").one["comments"]
    assert comment["text"] == (
        "chores: 2 steps\n"
        "- Sweep: done by agent:tester\n  clean\n  behind the door, too\n"
        "- Mop: wontfix by agent:tester\n  no water"
    )
    assert flow(shell) == []
    assert shell("wk ready").one["title"] == "Parent"


def test_a_root_is_squashed_or_burned_by_hand(shell: Shell, pour: str) -> None:
    shell(f"{pour} | wk apply")
    root = shell("wk ls --kind molecule -o id").out.strip()
    shell("wk ready --claim --as bob")
    closed = shell(f"coord-flow squash {root} --note enough").lines
    assert [event["type"] for event in closed] == ["work.commented", *["work.closed"] * 8]
    assert "is closed" in shell(f"coord-flow squash {root}").err
    assert shell("wk ls").lines == []
    shell(f"{pour} --key two | wk apply")
    root = shell("wk ls --kind molecule -o id").out.strip()
    burned = shell(f"coord-flow burn {root}").lines
    assert {event["body"]["resolution"] for event in burned} == {"cancelled"}
    other = shell("wk new x -o id").out.strip()
    assert "not the root of a poured formula" in shell(f"coord-flow burn {other}", expect=1).err


def test_an_item_that_mirrors_another_projects_follows_it(shell: Shell, tmp_path: Path) -> None:
    there = Shell(tmp_path / "there")
    there.cwd.mkdir()
    git("init", "-q", cwd=there.cwd)
    there("ev init")
    other = there("wk new There -o id").out.strip()
    mirror = shell(f"wk new 'There, mirrored' --field mirror=lib#{other} -o id").out.strip()
    goal = f"wk new Goal -l convoy --kind epic --blocked-by {mirror} --as boss -o id"
    convoy = shell(goal).out.strip()
    assert "--store lib=DIR" in shell("coord-flow run --once").err
    run = f"--store lib={there.cwd}"
    assert flow(shell, run) == []
    there(f"wk close {other} --resolution wontfix")
    assert flow(shell, run) == ["work.closed", "work.closed", "convoy.landed"]
    assert shell(f"wk show {mirror}").one["status"] == "wontfix"
    there(f"wk reopen {other}")
    assert flow(shell, run) == ["work.reopened", "work.reopened"]
    assert shell(f"wk show {convoy}").one["progress"] == {"closed": 0, "of": 1}


def test_the_loop_sees_what_happens_in_another_project(shell: Shell, tmp_path: Path) -> None:
    there = Shell(tmp_path / "there")
    there.cwd.mkdir()
    git("init", "-q", cwd=there.cwd)
    there("ev init")
    other = there("wk new There -o id").out.strip()
    shell(f"wk new Mirror --field mirror=lib#{other}")
    loop = f"coord-flow run --store lib={there.cwd}"
    with shell.popen(loop, stdout=subprocess.PIPE) as process:
        assert process.stdout
        there(f"wk close {other}")
        assert b"work.closed" in process.stdout.readline()
        process.terminate()
        assert process.wait() == 0


@pytest.fixture
def clones(tmp_path: Path) -> Iterator[tuple[Shell, Shell]]:
    """Two clones of one project, each with a store, and a remote with an arbiter."""
    origin = tmp_path / "origin.git"
    origin.mkdir()
    git("init", "-q", "--bare", cwd=origin)
    shells = []
    for name in ("a", "b"):
        path = tmp_path / name
        git("clone", "-q", str(origin), str(path), cwd=tmp_path)
        clone = Shell(path)
        clone.env["COORD_AGENT"] = f"agent:{name}"
        clone("ev init")
        clone("ev sync --remote origin")
        shells.append(clone)
    yield shells[0], shells[1]
    shutil.rmtree(origin)


def test_of_two_clones_one_lands_a_convoy_and_each_landing_is_announced_once(
    clones: tuple[Shell, Shell],
) -> None:
    a, b = clones
    first = a("wk new First --as boss -o id").out.strip()
    goal = a(f"wk new Goal --kind epic -l convoy --blocked-by {first} --as boss -o id").out.strip()
    member = first
    for landings in (1, 2):
        a("ev sync")
        b("ev sync")
        b(f"wk close {member}")
        b("ev sync")
        a("ev sync")
        both = [clone.popen("coord-flow run --once") for clone in clones]
        assert [process.wait() for process in both] == [0, 0]
        for clone in (a, b, a):
            clone("ev sync")
        for clone in clones:
            assert flow(clone) == []
            landed = clone("ev replay --type convoy.landed").lines
            assert len(landed) == len({event["idempotency_key"] for event in landed}) == landings
            assert clone(f"wk show {goal}").one["status"] == "done"
        member = a("wk new Another --as boss -o id").out.strip()
        a(f"wk dep {goal} {member}")
        assert flow(a) == ["work.reopened"]
    mail = a("msg recv --as boss").lines
    assert [event["type"] for event in mail] == ["convoy.landed"] * 2


def test_a_landing_that_was_cut_short_is_announced_and_one_controller_does_each_act(
    shell: Shell,
) -> None:
    member = shell("wk new Member --as boss -o id").out.strip()
    goal = f"wk new Goal --kind epic -l convoy --blocked-by {member} --as boss -o id"
    convoy = shell(goal).out.strip()
    assert shell(f"wk show {convoy}").one["progress"] == {"closed": 0, "of": 1}
    shell(f"wk close {member}")
    (row,) = shell(f"wk tree {convoy}").lines
    assert row["progress"] == {"closed": 1, "of": 1}
    assert "Goal (1/1)" in shell(f"wk tree {convoy} -o table").out
    shell(f"wk close {convoy} --as bridge:flow")  # and then it was killed
    several = [shell.popen("coord-flow run --once") for _ in range(3)]
    assert [process.wait() for process in several] == [0, 0, 0]
    assert len(shell("ev replay --type convoy.landed").lines) == 1


def test_a_controller_that_is_killed_at_any_moment_is_continued_by_the_next(shell: Shell) -> None:
    """Gates that ask, steps to do again, convoys that land: all due at once, and each done once."""
    due = []
    for number in range(4):
        step = {"op": "new", "as": f"$s{number}", "title": "S", "fields": {"step": f"s{number}"}}
        behind = {"rel": "blocked_by", "to": f"$s{number}"}
        fields = {"gate": "retry", "gate.of": f"s{number}", "gate.most": 2}
        due += [
            step,
            {"op": "new", "title": "G", "kind": "gate", "fields": fields, "deps": [behind]},
            {"op": "close", "id": f"$s{number}", "resolution": "wontfix"},
            {"op": "new", "title": "H", "kind": "gate", "fields": {"gate": "human"}},
            {"op": "new", "as": f"$m{number}", "title": "M"},
            {
                "op": "new",
                "title": "C",
                "kind": "epic",
                "labels": ["convoy"],
                "deps": [{"rel": "blocked_by", "to": f"$m{number}"}],
            },
            {"op": "close", "id": f"$m{number}"},
        ]
    shell("wk apply --atomic", "".join(f"{json.dumps(each)}\n" for each in due))
    for wait in (0.2, 0.3, 0.4, 0.5, 0.6, 0.8):
        with shell.popen("coord-flow run --once", stdout=subprocess.DEVNULL) as process:
            try:
                process.wait(wait)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
    flow(shell)
    assert flow(shell) == []
    written = shell("ev replay --agent bridge:flow").lines
    counted = Counter(event["type"] for event in written)
    assert counted["work.reopened"] == counted["convoy.landed"] == counted["work.closed"] == 4
    assert counted["work.created"] == 4, "questions"
    keys = [(e["type"], e["idempotency_key"]) for e in written if "idempotency_key" in e]
    assert len(keys) == len(set(keys))


def test_what_goes_wrong_is_one_line(shell: Shell, pour: str) -> None:
    for line, status, said in (
        ("cook nowhere.toml", 69, "coord-flow: nowhere.toml: no such file"),
        ("cook release.toml", 65, "vars.version: is unbound, and required; give it: --var"),
        ("cook release.toml --var version", 2, "--var version: not NAME=VALUE"),
        ("cook release.toml --var version=1 --preset x", 0, ""),
        ("run --once --programs nowhere", 69, "--programs nowhere: no such directory"),
        ("run --once --store x", 2, "--store: not NAME=DIR: x"),
        ("run --once --store x=nowhere", 69, "nowhere: no such directory"),
        ("squash wk-nosuch22", 1, "no such work item"),
    ):
        done = shell(f"coord-flow {line}", expect=status)
        assert said in done.err
        assert done.err.count("\n") == (1 if status else 0)
    (shell.cwd / "bad.toml").write_text("steps = [")
    assert "bad.toml: not TOML" in shell("coord-flow check bad.toml release.toml", expect=65).err
    (shell.cwd / "bad.json").write_text('{"formula": ')
    assert "bad.json: not JSON" in shell("coord-flow check bad.json", expect=65).err
    many = '[vars.v]\n[[steps]]\nid = "a"\ntitle = "a"\ndescription = "' + "{{v}}" * 20_000
    (shell.cwd / "many.toml").write_text(f'formula = "f"\nversion = 1\n{many}"\n')
    for line in ("check many.toml", f"cook many.toml --var v={'x' * 99}"):
        done = shell(f"coord-flow {line}", expect=None)
        assert done.err.count("\n") == done.status // 65
    assert "coord-flow: many.toml: a text with the values" in done.err
    assert shell("coord-flow cook - --var version=1", FORMULA).lines[0]["title"] == "release"


def test_a_description_may_be_in_a_file_beside_it(shell: Shell) -> None:
    (shell.cwd / "how.md").write_text("Turn it {{way}}.\n")
    (shell.cwd.parent / "secret").write_text("x")
    text = 'formula = "f"\nversion = 1\n[vars]\nway = "on"\n[[steps]]\nid = "a"\ntitle = "A"\n'
    (shell.cwd / "f.toml").write_text(f'{text}description_file = "how.md"\n')
    assert shell("coord-flow cook f.toml").lines[1]["desc"] == "Turn it on."
    (shell.cwd / "f.toml").write_text(f'{text}description_file = "../secret"\n')
    assert "is outside of" in shell("coord-flow cook f.toml", expect=65).err


def test_a_timer_ends_at_its_time(shell: Shell) -> None:
    begin = "2026-06-01T09:00:00Z"
    fields = "--field gate=timer --field gate.timeout=1h"
    shell(f"wk new Wait --kind gate {fields}", COORD_NOW=begin)
    shell("coord-flow run --once", COORD_NOW=begin)
    assert shell("wk ls", COORD_NOW=begin).one["status"] == "held"
    later = world.format_ts(world.parse_ts(begin) + 3_600_000)
    assert shell("coord-flow run --once", COORD_NOW=later).one["type"] == "work.closed"
