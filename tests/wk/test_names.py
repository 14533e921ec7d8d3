"""Names of agents with slashes, labels as they are written, kinds that are words."""

from __future__ import annotations

import pytest
from support import DATA, Shell

NAMES = ("mayor/", "gastown/polecats/nux", "web/worker-1")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_with_slashes_is_taken_wherever_an_agent_is(shell: Shell, name: str) -> None:
    made = shell(f"wk new a --as {name} --assignee {name}").one
    assert made["actor"]["agent_id"] == f"agent:{name}"
    form = name.replace("/", "%2f")
    assert made["writer"].startswith(f"agent.{form}~")
    assert shell(f"COORD_AGENT={name} wk ready --claim").one["refs"]["work_id"] == made["event_id"]
    assert shell(f"wk mine --as {name}").one["owner"] == f"agent:{name}"
    assert shell(f"wk ls --assignee {name}").one["id"] == f"wk-{made['event_id'][-8:].lower()}"
    shell(f"msg join team/ci --as {name}; msg send --to {name} --subject s --as ada")
    shell("msg send --to group:team/ci --subject g --as ada")
    mail = shell(f"msg recv --as {name}").lines
    assert [event["body"]["subject"] for event in mail] == ["s", "g"]
    shell(f"lease acquire env:x --as {name}")
    assert shell("lease ls").one["holder"] == f"agent:{name}"
    assert f"agent:{name}" in {row["agent_id"] for row in shell("ev agents").lines}
    assert shell(f"ev replay --agent {name} --type work.created").one == made
    reply = {"type": "note.made", "to": name}
    assert shell("ev emit --as ada", str(reply).replace("'", '"')).one["to"] == [f"agent:{name}"]
    streams = {path.name for path in (shell.cwd / ".coord/journal").iterdir()}
    assert made["writer"] in streams
    assert shell("ev verify").status == 0


@pytest.mark.parametrize("name", ["/", "../x", "a//b", "a/../b", "Mayor/", "a b", "a" * 101, "x/."])
def test_a_hostile_name_is_refused_and_leaves_nothing(shell: Shell, name: str) -> None:
    for line in (f"wk new a --as '{name}'", f"msg send --to '{name}' --subject s"):
        assert "not a valid address" in shell(line, expect=65).err
    assert not (shell.cwd / ".coord/journal").exists() or not list(
        (shell.cwd / ".coord/journal").iterdir()
    )


def test_a_stream_of_an_agent_with_slashes_is_synced(shell: Shell) -> None:
    shell("git init -q --bare ../hub; git init -q; git remote add origin ../hub")
    made = shell("wk new a --as gastown/polecats/nux").one
    shell(
        "ev sync --remote origin; git clone -q ../hub ../other; cd ../other; ev init; ev sync --remote origin"
    )
    assert shell("cd ../other; wk ls").one["work_id"] == made["event_id"]
    assert shell("cd ../other; ev verify").status == 0


def test_a_label_is_any_text_of_one_line(shell: Shell) -> None:
    labels = ["area:login", "Area/Login", "Good First Issue", "größer", "-x", "x" * 200]
    words = " ".join(f"--label='{label}'" for label in labels)
    item = shell(f"wk new a {words} -o id").out.strip()
    assert shell(f"wk show {item}").one["labels"] == sorted(labels)
    for label in labels:
        assert [row["title"] for row in shell(f"wk ls --label='{label}'").lines] == ["a"]
    shell(f"wk update {item} --rm-label Area/Login")
    assert "Area/Login" not in shell(f"wk show {item}").one["labels"]
    assert shell("wk ls -l area/login").lines == []
    for label in ("", " x", "x" * 201, "a\tb"):
        assert "not a valid label" in shell(f"wk new b --label='{label}'", expect=65).err


def test_a_kind_is_any_word_and_what_is_not_work_is_not_offered(shell: Shell) -> None:
    for kind in ("merge-request", "message", "question", "task"):
        shell(f"wk new {kind} --kind {kind}")
    assert [row["kind"] for row in shell("wk ready").lines] == ["merge-request", "task"]
    assert [row["kind"] for row in shell("wk ready --kind question").lines] == ["question"]
    assert [row["kind"] for row in shell("wk ready --not-kind task").lines] == ["merge-request"]
    assert len(shell("wk ls").lines) == 4
    assert len(shell("wk ls --kind task --kind question").lines) == 2
    assert len(shell("wk ls --not-kind task --not-kind question").lines) == 2
    why = {row["kind"]: row for row in shell("wk ready --explain").lines}
    assert why.keys() == {"message", "question"}
    assert why["message"]["not_work"] is True
    shell("wk ready --claim; wk ready --claim")
    assert "nothing is ready" in shell("wk ready --claim", expect=1).err
    assert shell("wk ready --claim --kind message").one["type"] == "work.claimed"
    assert "nothing is ready\n" in shell("wk ready --claim --kind question", expect=1).err
    assert "not a valid kind: 'Two Words'" in shell("wk new x --kind 'Two Words'", expect=65).err


@pytest.mark.skipif(
    not (DATA / "beads_issues_2411.jsonl").exists(), reason="shared data is not there"
)
def test_nothing_that_is_not_work_is_offered_of_a_real_file(shell: Shell) -> None:
    shell(f"wk import --from beads {DATA}/beads_issues_2411.jsonl")
    kinds = {row["kind"] for row in shell("wk ready").lines}
    assert kinds
    assert not kinds & {"agent", "role", "message", "molecule", "event", "gate", "rig"}
