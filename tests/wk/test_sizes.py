"""Texts too long for an event are kept in blobs, and come back whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support import Json, Shell

LONG = "größer \n" * 20_000


@pytest.fixture
def file(shell: Shell) -> Path:
    path = shell.cwd / "long.md"
    path.write_text(LONG)
    return path


def show(shell: Shell, item: str) -> Json:
    return shell(f"wk show {item}").one


def test_a_long_description_and_a_long_comment_come_back_whole(shell: Shell, file: Path) -> None:
    made = [
        shell("wk new x --desc @long.md -o id").out.strip(),
        shell("wk new -o id", json.dumps({"title": "x", "desc": LONG})).out.strip(),
        shell("wk apply -o id", json.dumps({"op": "new", "title": "x", "desc": LONG})).out.strip(),
    ]
    for item in made:
        assert show(shell, item)["desc"] == LONG
    item = made[0]
    shell(f"wk update {item} --desc short")
    assert show(shell, item)["desc"] == "short"
    updated = shell(f"wk update {item} --desc @long.md -p 1").one["body"]
    assert (updated["set"], updated["blob"]["bytes"]) == ({"priority": 1}, len(LONG.encode()))
    assert show(shell, item)["desc"] == LONG
    assert "nothing to do" in shell(f"wk update {item} --desc @long.md").err
    shell(f"wk update {item} --desc ''")
    assert "desc" not in show(shell, item)
    operations = [
        {"op": "update", "id": item, "set": {"desc": LONG}},
        {"op": "comment", "id": item, "text": LONG},
    ]
    shell("wk apply", "\n".join(map(json.dumps, operations)))
    shell(f"wk comment {item} - < long.md; wk comment {item} short")
    detail = show(shell, item)
    assert detail["desc"] == LONG
    assert [comment["text"] for comment in detail["comments"]] == [LONG, LONG, "short"]
    (record,) = [one for one in shell("wk export --to beads").lines if "comments" in one]
    assert record["description"] == LONG
    assert [comment["text"] for comment in record["comments"]] == [LONG, LONG, "short"]
    shell("wk export --to md files")
    assert any(LONG in path.read_text() for path in (shell.cwd / "files").iterdir())


def test_a_text_whose_blob_is_not_here_says_so(shell: Shell, file: Path) -> None:
    item = shell("wk new x --desc @long.md -o id").out.strip()
    shutil.rmtree(shell.cwd / ".coord/blobs")
    assert "is not in this store" in show(shell, item)["desc"]
    assert show(shell, item)["title"] == "x"


def test_a_long_text_that_holds_a_credential_is_refused(shell: Shell) -> None:
    secret = "ghp_" + "a1B2" * 9
    (shell.cwd / "long.md").write_text(f"{LONG}{secret}")
    shell("wk new x --desc @long.md", expect=77)
    line = json.dumps({"title": "x", "desc": f"{LONG}{secret}"})
    shell("wk new", line, expect=77)
    shell("wk new x --desc @long.md --allow-secret")


def beads(shell: Shell, **fields: object) -> str:
    record = {"_type": "issue", "id": "bd-1", "title": "x", "status": "open", **fields}
    (shell.cwd / "issues.jsonl").write_text(json.dumps(record) + "\n")
    return shell("wk import --from beads issues.jsonl").err


def exported(shell: Shell) -> Json:
    return shell("wk export --to beads").one


@pytest.mark.parametrize("text", [LONG, "\1" * 20_000], ids=["long", "escaped"])
def test_an_imported_description_is_never_cut(shell: Shell, text: str) -> None:
    beads(shell, description=text)
    assert show(shell, "bd-1")["desc"] == text
    assert exported(shell)["description"] == text
    assert "0 created, 0 changed, 1 unchanged" in beads(shell, description=text)
    assert "1 changed" in beads(shell, description=f"{text}more")
    assert show(shell, "bd-1")["desc"] == exported(shell)["description"] == f"{text}more"
    beads(shell, description="short")
    assert show(shell, "bd-1")["desc"] == "short"
    shell("wk update bd-1 --desc -", "mine " + text)
    assert exported(shell)["description"] == "mine " + text
    said = beads(shell, description=text)
    assert "desc changed there and here" in said
    assert show(shell, "bd-1")["desc"] == "mine " + text


def test_a_description_that_an_earlier_release_cut_becomes_whole_when_it_changes(
    shell: Shell,
) -> None:
    beads(shell, description="short")
    origin = {"from": "beads", "version": 2, "part": 1, "of": 1}
    record = {
        "_type": "issue",
        "id": "bd-1",
        "title": "x",
        "status": "open",
        "description": "é" * 9_000,
    }
    cut = "é" * 3_000
    for body in (
        {"set": {"desc": cut}},
        {"origin": origin | {"text": json.dumps(record, ensure_ascii=False)}},
    ):
        item = show(shell, "bd-1")["work_id"]
        shell(f"ev emit work.updated --ref work_id={item} --body -", json.dumps(body))
    assert exported(shell)["description"] == record["description"]
    beads(shell, description="é" * 9_001)
    assert show(shell, "bd-1")["desc"] == "é" * 9_001
