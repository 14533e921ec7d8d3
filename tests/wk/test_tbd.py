"""Items as files of tbd: what came from it goes back in the same bytes, and tbd reads the rest."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support import Json, Shell

from coord_envelope import codec
from coord_wk import foreign, tbd

STORE = Path(__file__).parent / "data" / "tbd"
ENOUGH = (2, 42)
"""The git that tbd asks for."""


def read(directory: Path) -> dict[str, Json]:
    files = [(path.name, path.read_bytes()) for path in sorted(directory.glob("*.md"))]
    issues = [issue for issue in tbd.read(files) if isinstance(issue, foreign.Foreign)]
    assert len(issues) == len(files)
    return {str(issue.name): issue.record for issue in issues}


@pytest.fixture
def wk(shell: Shell) -> Shell:
    shell(f"wk import --from tbd {STORE}")
    return shell


def exported(wk: Shell) -> dict[str, Json]:
    wk("wk export --to tbd out")
    return read(wk.cwd / "out/issues")


def test_what_came_from_tbd_goes_back_in_the_same_bytes(wk: Shell) -> None:
    assert wk("wk export --to tbd out").err == "wk: export: 7 items, 7 files written\n"
    for path in STORE.iterdir():
        assert (wk.cwd / "out/issues" / path.name).read_bytes() == path.read_bytes()
    assert wk("wk export --to tbd out").err == "wk: export: 7 items, 0 files written\n"
    assert (wk.cwd / "out/mappings/ids.yml").read_text() == ""


@pytest.mark.parametrize(
    ("command", "changed"),
    [
        ("wk update ID --title new", {"title": "new"}),
        ("wk update ID --desc more", {"(text)": "more\n"}),
        ("wk update ID --kind chore -p 0", {"kind": "chore", "priority": 0}),
        ("wk update ID -l gh:1 --rm-label urgent", {"labels": ["gh:1", "parser"]}),
        ("wk update ID --assignee web/nux", {"assignee": "web/nux"}),
        ("wk claim ID", {"status": "in_progress", "assignee": "tester"}),
        ("wk update ID --hold why", {"status": "blocked"}),
        ("wk comment ID hello", {}),
    ],
)
def test_what_was_changed_here_is_changed_there_and_nothing_else(
    wk: Shell, command: str, changed: Json
) -> None:
    name = "is-01m7y5ha8ec2ypw874r9cavaaj"
    before = read(STORE)
    wk(command.replace("ID", name))
    after = exported(wk)
    one, last = after.pop(name), before.pop(name)
    assert after == before
    stamp = wk(f"wk show {name}").one["last"]["ts"]
    extensions = one.pop("extensions", None)
    assert one == last | changed | {"version": 4, "updated_at": stamp}
    if "comment" in command:
        assert [comment["text"] for comment in extensions["coord"]["comments"]] == ["hello"]
    wk("wk import --from tbd out")
    assert exported(wk)[name]["version"] == 4


def test_a_dependency_stands_in_the_file_of_the_issue_that_is_waited_for(wk: Shell) -> None:
    parse, ship = "is-01m7y5ha8ec2ypw874r9cavaaj", "is-01m7y5k5a2hgc31edcm5y3wxrt"
    wk(f"wk dep {ship} {parse} --rm")
    new = wk(f"wk new more --blocked-by {parse} --parent {ship}").one
    made = f"is-{new['event_id'].lower()}"
    records = exported(wk)
    assert records[parse]["dependencies"] == [{"type": "blocks", "target": made}]
    assert records[made]["parent_id"] == ship
    assert records[made]["dependencies"] == []


def test_what_was_made_here_comes_back_and_changes_nothing(wk: Shell) -> None:
    titles = [
        "no",
        "0x1f",
        "1e3",
        "~",
        "- x",
        "a: b #c",
        "'q\" \\",
        "größer ✓",
        "2026-01-01",
        "null",
    ]
    lines = "".join(
        json.dumps({"title": title, "desc": f"{title}\n---\nx", "labels": ["area:login", "010"]}) + "\n"
        for title in titles
    )  # fmt: skip
    wk("wk new -", lines)
    wk("wk new ask --kind question; wk close $(wk new gone -o id)")
    records = exported(wk)
    assert sorted(titles) == sorted(
        record["title"] for record in records.values() if record["labels"] == ["010", "area:login"]
    )
    status = {record["title"]: record["status"] for record in records.values()}
    assert (status["ask"], status["gone"]) == ("deferred", "closed")
    before = wk("wk ls --all").out
    assert "0 created, 0 changed" in wk("wk import --from tbd out").err
    assert wk("wk ls --all").out == before
    other = Shell(wk.cwd.parent / "other")
    other.cwd.mkdir()
    other("git init -q; ev init; wk import --from tbd ../acme/out")
    assert codec.same(exported(other), records)


def test_short_ids_that_tbd_gave_are_kept(wk: Shell) -> None:
    made = wk("wk new here").one["event_id"].lower()
    (wk.cwd / "out/mappings").mkdir(parents=True)
    old = "ab12: 01m7y5ha8ec2ypw874r9cavaaj"
    (wk.cwd / "out/mappings/ids.yml").write_text(old)
    for _ in range(2):
        exported(wk)
        ids = (wk.cwd / "out/mappings/ids.yml").read_text()
        assert ids == f'{old}\n"{made[-8:]}": {made}\n'


def real() -> str | None:
    """Why the real tbd cannot be tried; None if it can."""
    if shutil.which("tbd") is None:
        return "tbd is not installed: npm install get-tbd"
    version = subprocess.run(
        ["git", "--version"], capture_output=True, text=True, check=True
    ).stdout
    numbers = tuple(map(int, re.findall(r"\d+", version)[:2]))
    return None if numbers >= ENOUGH else f"tbd needs git 2.42, here is {version.strip()}"


@pytest.mark.skipif(real() is not None, reason=real() or "")
def test_the_real_tbd_reads_what_is_exported_and_its_store_comes_back(wk: Shell) -> None:
    wk("wk new 'no: 1' -l area:login --assignee mayor/ --desc text; wk new ask --kind question")
    wk(f"wk dep {wk('wk ls -o id').out.split()[0]} {wk('wk ls -o id').out.split()[-1]}")
    records = exported(wk)
    there = Shell(wk.cwd.parent / "there")
    there.cwd.mkdir()
    there("git init -q; git commit -q --allow-empty -m x; tbd init --prefix=xy")
    there("tbd import --dir ../acme/out; tbd save --dir ../saved")
    assert codec.same(read(there.cwd.parent / "saved/issues"), records)
    listed = json.loads(there("tbd list --all --json").out)
    assert {issue["internalId"] for issue in listed} == records.keys()
    there("tbd create 'made there' --label gh:788 --type bug; tbd save --dir ../saved")
    assert "1 created" in wk("wk import --from tbd ../saved").err
    after = read(there.cwd.parent / "saved/issues")
    assert codec.same(exported(wk), after)
    assert os.path.exists(wk.cwd / "out/mappings/ids.yml")
