"""Full-text search finds what is said now, newest first, and never what was redacted."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest
from support import Shell, git, open_store

from coord_kernel.views import text as full
from coord_kernel.views.view import View
from coord_wk import fold
from coord_wk.items import Items

SECRET = "xylophonic"


class Finder:
    """The search of a store's items, in one process."""

    def __init__(self, shell: Shell) -> None:
        store = open_store(shell.cwd)
        self.view, self.texts = View(store, fold), full.Texts(store, fold)

    def __call__(self, query: str) -> list[str]:
        items, words = Items.current(self.view), full.words(query)
        names = self.texts.refresh().matching(items, words)
        return [str(items.row(name)["title"]) for name in names]


def new(shell: Shell, *titles: str) -> list[str]:
    lines = "".join(json.dumps({"title": title}) + "\n" for title in titles)
    return shell("wk new -o id", lines).out.split()


def holders(shell: Shell) -> list[str]:
    """The files below local/ that hold the secret."""
    files = (path for path in (shell.cwd / ".coord/local").rglob("*") if path.is_file())
    return [path.name for path in files if SECRET.encode() in path.read_bytes()]


def test_what_is_said_now_is_found_the_newest_first(shell: Shell) -> None:
    one, two, _ = new(shell, "Login fails", "Größe der Login-Maske", "Nothing here")
    find = Finder(shell)
    assert find("login") == ["Größe der Login-Maske", "Login fails"]
    assert find("GROßE") == ["Größe der Login-Maske"]
    shell(f"wk update {one} --title 'Sign-in fails'; wk comment {two} 'seen on Safari'")
    assert find("login") == ["Größe der Login-Maske"]
    assert find("fails") == ["Sign-in fails"]
    assert find("safari login") == find("saf* größe") == ["Größe der Login-Maske"]
    assert find('"seen on"') == ["Größe der Login-Maske"]
    assert find('"on seen"') == find("safari sign") == find("saf") == []
    shell(f"wk close {two} --note 'as in lib/mask.py'")
    assert find("lib/mask.py") == ["Größe der Login-Maske"]
    shell(f"wk reopen {two}")
    assert find("lib/mask.py") == []


@pytest.mark.parametrize("query", ["a OR b", "a NEAR(b)", "title:x", "(", "a^2", "-x", "é*", "NOT"])
def test_no_query_is_taken_for_the_language_of_sqlite(shell: Shell, query: str) -> None:
    new(shell, "one")
    assert Finder(shell)(query) == []


def test_a_query_without_a_word_has_none() -> None:
    assert full.words("") == full.words(' "" * -- "…" ') == []
    assert full.words('a "b c" d*') == ['"b c"', '"a"', '"d"*']


def test_more_than_a_page_and_events_of_one_stamp_are_each_found_once(shell: Shell) -> None:
    titles = [f"word {number}" for number in range(3 * full.PAGE)]
    shell("wk new", "".join(json.dumps({"title": title}) + "\n" for title in titles))
    assert sorted(Finder(shell)("word")) == sorted(titles)


def test_more_events_of_one_stamp_than_there_are_numbers_are_found(shell: Shell) -> None:
    find = Finder(shell)
    find("x")
    stamp = "01KF4QBCFS000"
    for writer in range(full.SAME + 5):
        name = f"agent.w{writer:02}~00000001"
        place = shell.cwd / ".coord/journal" / name
        place.mkdir()
        event = {
            "event_id": f"{stamp}{writer:013}".replace(" ", "0"),
            "type": "work.created",
            "ts": "2026-01-17T00:00:00.000Z",
            "project": "acme",
            "writer": name,
            "seq": 1,
            "actor": {"agent_id": f"agent:w{writer:02}"},
            "body": {"title": f"same {writer}"},
        }
        (place / "000000000001.jsonl").write_text(json.dumps(event, separators=(",", ":")) + "\n")
    assert len(find("same")) == full.SAME + 5
    assert Finder(shell)("same") == find("same")


def test_a_process_that_cannot_write_the_file_finds_the_same(shell: Shell) -> None:
    new(shell, "first word")
    Finder(shell)("word")
    (item,) = new(shell, "second word")
    shell(f"wk comment {item} 'a word more'")
    lock = os.open(shell.cwd / ".coord/local/work-text.lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert Finder(shell)("word") == ["second word", "first word"]
    os.close(lock)
    assert Finder(shell)("word") == ["second word", "first word"]


def test_no_file_below_local_holds_what_was_redacted(shell: Shell) -> None:
    (item,) = new(shell, f"a {SECRET} title")
    comment = (
        shell(f"wk comment {item} '{SECRET} said' -o id").out
        and shell("ev tail -n 1 --type work.commented -o id").out.strip()
    )
    assert Finder(shell)(SECRET) == [f"a {SECRET} title"]
    shell("wk status; msg inbox; run ls; lease ls; ev show " + item)
    assert {"work.sqlite", "work-text.sqlite"} <= set(holders(shell))
    shell(f"ev redact {item} --reason x; ev redact {comment} --reason x")
    assert holders(shell) == []
    assert Finder(shell)(SECRET) == []
    shell("wk ls")
    assert holders(shell) == []


def test_a_redaction_that_a_sync_brings_empties_the_files_too(shell: Shell, tmp_path: Path) -> None:
    git("init", "-q", "--bare", str(tmp_path / "hub.git"), cwd=tmp_path)
    shell(f"git remote add origin {tmp_path}/hub.git")
    git("clone", "-q", str(tmp_path / "hub.git"), str(tmp_path / "clone"), cwd=tmp_path)
    other = Shell(tmp_path / "clone")
    (item,) = new(shell, f"a {SECRET} title")
    shell("ev sync --remote origin")
    other("ev init; ev sync --remote origin")
    assert Finder(other)(SECRET) == [f"a {SECRET} title"]
    other("wk ls; ev show " + item)
    shell(f"ev redact {item} --reason x; ev sync --remote origin")
    assert holders(other) != []
    other("ev sync --remote origin")
    assert holders(other) == []
    assert Finder(other)(SECRET) == []
