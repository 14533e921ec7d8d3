"""coord-bd: what an agent, a prompt or a program that knows `bd` sees of a coord store.

The forms of the JSON are those that beads documents; each test says which verb it is about.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support import BIN, Shell, check_invariants, git, open_store

from coord_bd import cli
from coord_bd.answer import cut
from coord_bd.cli import CHANGING, OUTSIDE
from coord_bd.expression import Expression
from coord_bd.issue import Issues
from coord_bd.query import Query, listed
from coord_bd.read import READING
from coord_bd.verbs import ALIASES, COMMON, VERBS
from coord_envelope import Usage
from coord_kernel.cli import flags
from coord_kernel.cli.call import Call
from coord_kernel.cli.escape import visible
from coord_wk.desk import Desk

ISSUE = {"id", "title", "status", "priority", "issue_type", "created_at", "updated_at"}
"""The fields that every issue has."""
COUNTS = {"dependency_count", "dependent_count", "comment_count"}
README = Path(__file__).parent.parent.parent / "bridges/beads/README.md"


class Bd:
    """`coord-bd` in a store with the prefix ax, as agent ada.

    A call is made in this process, as `main` does it: a tenth of the time. Where processes matter,
    and what a shell sees, tests go through `shell`.
    """

    def __init__(self, shell: Shell, patch: pytest.MonkeyPatch) -> None:
        self.shell, self.patch = shell, patch
        shell.env |= {"BEADS_ACTOR": "ada"}
        for name in ("BEADS_DIR", "BEADS_DB", "BD_DB", "BD_ACTOR", "CLAUDE_SESSION_ID"):
            shell.env.pop(name, None)
        shell("coord-bd init --prefix ax")
        self.err = ""
        """What the last command line printed on standard error."""

    def __call__(self, line: str, expect: int | None = 0, **env: str) -> Any:
        """The JSON that a verb prints; None if it prints nothing."""
        out = self.run(f"{line} --json", expect, env)
        return json.loads(out) if out else None

    def q(self, line: str) -> str:
        return self.run(f"q {line}", 0, {}).strip()

    def run(self, line: str, expect: int | None, env: dict[str, str]) -> str:
        """What a command line prints."""
        printed: dict[int, bytes] = {1: b"", 2: b""}

        def write(fd: int, data: bytes) -> None:
            printed[fd] += data

        with self.patch.context() as patch:
            patch.chdir(self.shell.cwd)
            patch.setattr(cli, "write_all", write)
            for name in ("COORD_AGENT", "BEADS_DIR", "BEADS_DB", "BD_DB", "CLAUDE_SESSION_ID"):
                patch.delenv(name, raising=False)
            for name, value in {"BEADS_ACTOR": "ada", **env}.items():
                patch.setenv(name, value)
            status = cli.run(shlex.split(line))
        self.err = printed[2].decode()
        assert expect in (None, status), f"bd {line}: exit {status}\n{printed}"
        return printed[1].decode()

    def ids(self, line: str) -> list[str]:
        return [row["id"] for row in self(line)]


@pytest.fixture
def bd(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Bd:
    return Bd(shell, monkeypatch)


def test_every_verb_of_the_table_is_done_and_the_readme_lists_it() -> None:
    there = {verb for verb, entry in VERBS.items() if entry.most >= 0}
    assert there == CHANGING.keys() | READING.keys() | OUTSIDE.keys()
    assert set(ALIASES.values()) <= there
    assert flags.table(VERBS) in README.read_text()


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("create T -p1 --labels=a,b -l c", {"priority": "1", "labels": ["a", "b", "c"]}),
        ("--json update x --claim", {"json": True, "claim": True}),
        ("update x --claim=false -qv", {"claim": False, "quiet": True, "verbose": True}),
        ("update x --set-metadata a=1,2 --set-metadata b=3", {"set_metadata": ["a=1,2", "b=3"]}),
        ("list -n=5 -s open,closed", {"limit": "5", "status": ["open", "closed"]}),
        ("dep add a b -t tracks", {"type": "tracks"}),
        ("create -- -x", {}),
    ],
)
def test_options_are_read_as_bd_reads_them(line: str, values: dict[str, object]) -> None:
    assert flags.parse(VERBS, COMMON, line.split())[2] == values


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("frob", 'unknown command "frob"'),
        ("list --frob", "unknown flag: --frob"),
        ("list -n", "flag needs an argument: -n"),
        ("reopen", "reopen needs 1 argument(s), got 0"),
        ("mol distill x", "mol distill is not there: "),
        ("create T --graph f", "--graph is not there: use `wk apply`"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(line: str, what: str) -> None:
    with pytest.raises(Usage) as refusal:
        flags.parse(VERBS, COMMON, line.split())
    assert str(refusal.value).startswith(what)


HOSTILE = "red \x1b[31m\nFAKE row\r\x9b\u202e"
"""A text that colours, begins a line of its own, and turns what follows around."""
TEXTS = {
    "init": ["--prefix {h}"], "version": [""], "where": [""], "info": [""], "prime": ["", "--full"],
    "create": ["{h} -d {h}", "{h} --dry-run", "{h} -p {h}"], "q": ["{h}"], "status": [""], "count": ["", "--by-type"],
    "list": ["", "--flat", "--long", "--all", "--parent {a} --limit 1"], "ready": ["", "--claim"],
    "show": ["{a} {b}", "{a} --short", "{a} --children", "{h}"], "blocked": [""], "children": ["{a}"],
    "search": ["red"], "query": ["status=open", "{h}"], "stale": ["--days 0"], "epic status": [""],
    "dep add": ["{c} {d}", "{c} {h}"], "dep": ["{d} --blocks {h}"], "dep remove": ["{c} {d}", "{c} {h}"],
    "dep list": ["{b}", "{b} --direction up"], "dep tree": ["{b}", "{a} --direction both"], "dep cycles": [""],
    "label add": ["{c} x", "{h} {h}"], "label remove": ["{c} x", "{h} x"], "label list": ["{c}", "{h}"],
    "label list-all": [""], "comments": ["{a}"], "comments add": ["{a} {h}", "{h} x"], "comment": ["{c} {h}"],
    "update": ["{c} --title {h}", "{c} --status {h}"], "close": ["{c} -r {h}", "{h}"], "reopen": ["{c}", "{h}"],
    "delete": ["{c}", "{d} --force", "{h}"], "epic close-eligible": ["--dry-run"], "sync": [""], "export": ["-o {h}"],
    "mol pour": ["{h}"], "mol wisp": ["{h}"], "mol current": ["", "{h}"], "mol show": ["{a}", "{h}"],
    "mol squash": ["{a}", "{h}"], "mol burn": ["{a}", "{h} --force"],
    "import": ["{h}"], "config get": ["{h}"], "config set": ["types.custom {h}", "{h} x"], "{h}": [""],
}  # fmt: skip
"""Verb → arguments that bring that text into what it prints for people."""


def test_no_verb_prints_control_characters_or_breaks_a_row(bd: Bd) -> None:
    """Of --json, and of an export, the strings are those of the item."""
    assert TEXTS.keys() - {"{h}"} == {verb for verb, entry in VERBS.items() if entry.most >= 0}
    h = shlex.quote(HOSTILE)
    a = bd(f"create {h} -t epic -d {h} --notes {h}")["id"]
    b = bd(f"create {h} --parent {a} --metadata {shlex.quote(json.dumps({'k': HOSTILE}))}")["id"]
    c, d = bd.q(h), bd.q(h)
    bd(f"comment {b} {h}")
    bd(f"dep add {b} {c}")
    (bd.shell.cwd / ".beads").mkdir()
    (bd.shell.cwd / ".beads/PRIME.md").write_text(HOSTILE.replace("FAKE", "more"))
    printed = ""
    for verb, lines in TEXTS.items():
        for words in lines:
            line = f"{verb} {words}".format(a=a, b=b, c=c, d=d, h=h)
            printed += (one := bd.run(line, None, {}) + bd.err)
            plain = one.replace("\n", "")
            assert visible(plain) == plain, line
            begins = [each for each in one.split("\n") if each.startswith("FAKE")]
            assert not begins or verb in ("show", "list"), f"{line}: a row is broken"
    assert printed.count("\\u{a}FAKE row") > len(TEXTS), "as it is shown"
    assert {row["title"] for row in bd("list --all") if row["id"] == a} == {HOSTILE}
    exported = bd.run("export", 0, {}).splitlines()
    assert HOSTILE in [json.loads(line)["title"] for line in exported]
    assert HOSTILE in json.loads(bd.run(f"show {h} --json", 1, {}))["error"]


OPTIONAL = {
    *("description", "design", "acceptance_criteria", "notes", "spec_id", "assignee", "created_by"),
    *("close_reason", "closed_by_session", "external_ref", "sender", "wisp_type", "mol_type"),
    *("estimated_minutes", "started_at", "closed_at", "due_at", "defer_until", "metadata"),
    *("ephemeral", "pinned", "labels"),
}
"""The fields of an issue that are there only if they say something."""
BARE, LABELLED = ISSUE | OPTIONAL - {"labels"}, ISSUE | OPTIONAL
COUNTED = LABELLED | COUNTS | {"dependencies", "parent"}
DEP = {"issue_id", "depends_on_id", "type", "created_at", "metadata"}
COMMENT = {"id", "issue_id", "author", "text", "created_at"}
FORMS: dict[str, tuple[type, set[str], set[str]]] = {
    "create New -d text": (dict, ISSUE, LABELLED),
    "show {a} {b}": (list, ISSUE | COUNTS, COUNTED),
    "show {a} --include-dependents --include-comments": (
        list, ISSUE | COUNTS | {"comments"}, COUNTED | {"dependents", "comments"},
    ),
    "show {e} --include-dependents": (
        list,
        ISSUE | COUNTS | {"epic_total_children", "epic_closed_children", "epic_closeable"},
        COUNTED | {"dependents", "epic_total_children", "epic_closed_children", "epic_closeable"},
    ),
    "update {a} -p 1": (list, ISSUE, LABELLED),
    "list": (list, ISSUE | COUNTS, COUNTED),
    "ready": (list, ISSUE | COUNTS, COUNTED),
    "children {e}": (list, ISSUE | COUNTS | {"parent"}, COUNTED),
    "search a": (list, ISSUE | COUNTS, COUNTED - {"dependencies", "parent"}),
    "query status=open": (list, ISSUE | COUNTS, COUNTED),
    "blocked": (list, ISSUE | {"blocked_by", "blocked_by_count"}, BARE | {"blocked_by", "blocked_by_count"}),
    "stale --days 0": (list, ISSUE, LABELLED),
    "dep list {a}": (list, ISSUE | {"dependency_type"}, LABELLED | {"dependency_type"}),
    "dep list {a} {b}": (list, DEP, DEP),
    "dep tree {a}": (
        list, ISSUE | {"depth", "parent_id", "truncated"},
        BARE | {"depth", "parent_id", "truncated", "edge_from_parent"},
    ),
    "comments {a}": (list, COMMENT, COMMENT),
    "comment {a} again": (dict, COMMENT, COMMENT),
    "label add {a} x": (list, {"status", "issue_id", "label"}, {"status", "issue_id", "label"}),
    "count": (dict, {"count"}, {"count"}),
    "count --by-type": (dict, {"total", "groups"}, {"total", "groups"}),
    "epic status": (
        list, {"epic", "total_children", "closed_children", "eligible_for_close"},
        {"epic", "total_children", "closed_children", "eligible_for_close"},
    ),
    "close {b}": (list, ISSUE | {"closed_at", "close_reason"}, LABELLED),
    "reopen {b}": (list, ISSUE, LABELLED),
    "delete {b} --force": (
        dict, {"deleted", "dependencies_removed", "references_updated"},
        {"deleted", "dependencies_removed", "references_updated"},
    ),
}  # fmt: skip
"""Verb → array or object, the fields that each has, and those that it may have."""
SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def checked(issue: dict[str, Any]) -> None:
    """The values of an issue are of the kinds that beads documents."""
    for name, value in issue.items():
        if name.endswith("_at") or name == "defer_until":
            assert SECONDS.fullmatch(value), (name, value)
        elif name in ("labels", "dependencies", "dependents", "comments", "blocked_by"):
            assert value and isinstance(value, list), "an empty one is left out"
        elif name.endswith(("_count", "priority", "minutes", "_children", "removed", "updated")):
            assert type(value) is int
        elif name in ("metadata", "epic"):
            assert isinstance(value, dict) or value == "{}"
        else:
            assert value or value is False or name in ("parent_id", "depth", "count"), name


def test_each_verb_has_the_form_that_beads_documents(bd: Bd) -> None:
    names = {
        "b": bd.q("b"),
        "e": bd.q("e -t epic"),
        "a": bd(
            "create a -l x,y -t bug -a bob -d text --design d --acceptance c --notes n -e 30"
            " --due 2027-01-01 --external-ref gh-1 --spec-id s --metadata '{\"k\":1}'"
        )["id"],
    }
    bd("dep add {a} {b}".format(**names))
    bd("create part --parent {e}".format(**names))
    bd("comment {a} hm".format(**names))
    bd(f"update {bd.q('begun')} --claim")
    for line, (kind, least, most) in FORMS.items():
        answer: Any = bd(line.format(**names))
        assert isinstance(answer, dict) == (kind is dict), line
        if kind is dict:
            assert answer.pop("schema_version") == 1, line
        for row in answer if kind is list else [answer]:
            assert least <= row.keys() <= most, (line, least - row.keys(), row.keys() - most)
            checked(row)


def test_create_answers_with_one_issue(bd: Bd) -> None:
    issue = bd("create 'Cut' -t bug -p 1 -l ui --description 'With a saw'")
    assert issue.keys() == ISSUE | {"description", "created_by", "labels", "schema_version"}
    assert (issue["status"], issue["priority"], issue["issue_type"]) == ("open", 1, "bug")
    assert issue["id"].startswith("ax-") and issue["created_at"].endswith("Z")
    assert "." not in issue["created_at"]
    out = bd.shell("coord-bd create 'Glue it'").out
    assert out.split("\n")[0].startswith("✓ Created issue: ax-")
    assert out.endswith("  Priority: P2\n  Status: open\n")
    assert bd.shell("coord-bd create x --silent").out.startswith("ax-")
    assert "rows" not in bd("create x --dry-run") and len(bd.ids("list")) == 3


def test_a_part_has_its_parents_id_and_labels(bd: Bd) -> None:
    epic = bd.q("Table -t epic -l wood")
    first = bd(f'create Legs --parent {epic} --metadata \'{{"gc.routed_to":"w1","n":3}}\'')
    second = bd(f"create Top --parent {epic}")
    assert (first["id"], second["id"]) == (f"{epic}.1", f"{epic}.2")
    (row,) = bd("ready --metadata-field gc.routed_to=w1 --unassigned --limit=1")
    assert row.keys() == ISSUE | COUNTS | {
        "created_by", "labels", "metadata", "dependencies", "parent",
    }  # fmt: skip
    assert (row["metadata"], row["parent"]) == ({"gc.routed_to": "w1", "n": 3}, epic)
    (dep,) = row["dependencies"]
    created = dep.pop("created_at")
    assert created.endswith("Z") and dep == {
        "issue_id": f"{epic}.1", "depends_on_id": epic, "type": "parent-child", "metadata": "{}",
    }  # fmt: skip
    assert row["dependency_count"] == 0, "only blocks count"
    assert sorted(bd.ids(f"children {epic}")) == [f"{epic}.1", f"{epic}.2"]
    bd.shell(f"coord-bd create x --id ax-y --parent {epic}", expect=1)


def test_an_id_of_bd_is_an_id_everywhere(bd: Bd) -> None:
    plain = bd.shell("wk new 'Made by wk' -o id").out.strip()
    (made,) = bd("list")
    assert made["id"] == f"wk-{plain[-8:].lower()}" and bd(f"show {made['id']}")
    mine = bd.q("Made by bd")
    assert bd.shell(f"wk show {mine}").one["title"] == "Made by bd"
    bd.shell(f"wk dep {plain} {mine} && wk comment {mine} seen && wk claim {mine} --as bob")
    (shown,) = bd(f"show {mine} --include-dependents --include-comments")
    assert (shown["status"], shown["assignee"]) == ("in_progress", "bob")
    assert [each["id"] for each in shown["dependents"]] == [made["id"]]
    assert [each["text"] for each in shown["comments"]] == ["seen"]
    assert bd(f"show {mine.removeprefix('ax-')}")[0]["id"] == mine
    chosen = bd("create Chosen --id ax-mine")
    assert chosen["id"] == "ax-mine" and bd("create Again --id ax-mine", expect=1) is None
    assert bd("create Other --id zz-1", expect=1) is None
    assert bd("create Other --id zz-1 --force")["id"] == "zz-1"


def test_claim_has_one_holder(bd: Bd) -> None:
    item = bd.q("Cut")
    (row,) = bd(f"update {item} --claim")
    assert (row["status"], row["assignee"]) == ("in_progress", "ada") and row["started_at"]
    assert bd(f"update {item} --claim"), "again by the holder"
    refused = bd.shell(f"coord-bd update {item} --claim -p 0 --actor bob --json", expect=1)
    assert f"issue {item} already claimed by ada" in refused.err and refused.out == ""
    assert bd(f"show {item}")[0]["priority"] == 2, "nothing else was changed"
    assert bd.shell("wk mine --as ada").one["owner"] == "agent:ada"
    other = bd.q("Glue")
    bd(f"update {other} -a bob")
    assert "already claimed by bob" in bd.shell(f"coord-bd update {other} --claim", expect=1).err
    bd(f"update {other} -s deferred")
    assert (
        "not claimable"
        in bd.shell(f"coord-bd update {other} --claim", expect=1, BEADS_ACTOR="bob").err
    )


def test_where_an_agent_may_hold_one_item_it_holds_one(bd: Bd) -> None:
    one, two = bd.q("one"), bd.q("two")
    with (bd.shell.cwd / "coord.toml").open("a") as file:
        file.write("[wk]\none_claim = true\n")
    assert bd(f"update {one} --claim")
    bd(f"update {two} --claim", expect=1)
    assert "holds" in bd.shell(f"coord-tbd start {two}", expect=1, COORD_AGENT="ada").err
    assert bd(f"update {two} --claim", BEADS_ACTOR="bob")


def test_what_is_not_work_is_not_ready(bd: Bd) -> None:
    for kind in ("question", "memory", "molecule"):
        bd.shell(f"wk new a --kind {kind}")
    assert bd("ready") == [] and bd.shell("coord-tbd ready").out == ""
    assert bd.shell("coord-gc beads ready").out == "[]\n" and len(bd("list")) == 3


def test_of_agents_on_bd_and_on_wk_one_gets_an_item(bd: Bd) -> None:
    """Twelve processes at once, half of them `bd update --claim`, half `wk claim`."""
    item = bd.q("Cut")
    running = [
        subprocess.Popen(
            [f"{BIN}/wk", "claim", item, "--as", f"w{n}"] if n % 2
            else [f"{BIN}/coord-bd", "update", item, "--claim", "--actor", f"b{n}"],
            cwd=bd.shell.cwd, env=bd.shell.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for n in range(12)
    ]  # fmt: skip
    ended = [(each.communicate(), each.returncode) for each in running]
    winners = [n for n, (_, status) in enumerate(ended) if status == 0]
    assert len(winners) == 1 and all(status in (0, 1) for _, status in ended)
    holder = f"{'w' if winners[0] % 2 else 'b'}{winners[0]}"
    assert bd(f"show {item}")[0]["assignee"] == holder
    assert all(holder.encode() in err for n, ((_, err), _) in enumerate(ended) if n not in winners)
    check_invariants(open_store(bd.shell.cwd))


def test_two_agents_share_a_list(bd: Bd) -> None:
    items = [bd.q(f"Part {n}") for n in range(8)]
    loop = 'while id=$({0}) && [ "$id" ]; do {1} >/dev/null; echo $id; done'
    scripts = (
        loop.format(
            "coord-bd ready --claim --json --actor one | jq -r '.[0].id // empty'",
            "coord-bd close $id --actor one",
        ),
        loop.format(
            "wk ready --claim --as two 2>/dev/null | jq -r .refs.work_id", "wk close $id --as two"
        ),
    )
    pipe = subprocess.PIPE
    both = [bd.shell.popen("bash", stdin=pipe, stdout=pipe) for _ in scripts]
    for process, script in zip(both, scripts, strict=True):
        assert process.stdin
        process.stdin.write(script.encode())
        process.stdin.close()
    outs = [process.stdout.read().split() for process in both if process.stdout]
    assert all(process.wait() == 0 for process in both)
    assert len(outs[0]) + len(outs[1]) == len(items), "each is done once"
    assert {row["status"] for row in bd("list --all")} == {"closed"}


def test_update_changes_what_it_is_asked_for(bd: Bd) -> None:
    item = bd.q("Cut -l a,b")
    (row,) = bd(
        f"update {item} -p 0 -t bug --title Saw -a 'Bob Smith' -d desc --design big --acceptance ok "
        "--add-label c --remove-label a --set-metadata k=v --set-metadata n=2 --set-metadata t=true"
    )
    assert row["title"] == "Saw" and row["assignee"] == "bob-smith" and row["labels"] == ["b", "c"]
    assert (row["design"], row["acceptance_criteria"]) == ("big", "ok")
    assert row["metadata"] == {"k": "v", "n": 2, "t": True}
    (row,) = bd(f"update {item} -a '' --unset-metadata k --set-labels z --notes {'n' * 9000}")
    assert (
        "assignee" not in row and row["labels"] == ["z"] and row["metadata"] == {"n": 2, "t": True}
    )
    assert row["notes"] == "n" * 9000, "longer than a field"
    (row,) = bd(f"update {item} --notes short --append-notes more")
    assert row["notes"].endswith("more") and len(row["notes"]) < 9100
    assert bd(f"update {item} --metadata '{{\"n\":5}}'")[0]["metadata"] == {"n": 5, "t": True}
    assert bd("update -p 3")[0]["id"] == item, "the last one that this agent touched"
    (row,) = bd(f"update {item} --defer +2d")
    assert row["status"] == "deferred" and item not in bd.ids("ready")
    assert bd(f"update {item} --defer ''")[0]["status"] == "open"
    other = bd.q("Parent")
    bd(f"update {item} --parent {other}")
    assert bd(f"show {item}")[0]["parent"] == other
    bd(f"update {item} --parent ''")
    assert "parent" not in bd(f"show {item}")[0]


def test_a_status_that_is_written_is_a_claim_or_its_end(bd: Bd) -> None:
    item = bd.q("Cut")
    bd(f"update {item} --status in_progress --assignee mayor/")
    assert bd.shell("wk mine --as mayor/").one["owner"] == "agent:mayor/"
    assert bd.ids("list -s in_progress -a mayor/") == [item]
    bd(f"update {item} --assignee nux")
    assert bd.ids("list -s in_progress -a nux") == [item] and bd.ids("list -a mayor/") == []
    bd(f"update {item} --status open")
    assert bd.shell(f"wk show {item}").one["status"] == "ready"
    for status in ("blocked", "pinned", "hooked"):
        assert bd(f"update {item} -s {status}")[0]["status"] == status
        assert item not in bd.ids("ready")
    bd(f"update {item} -s closed")
    row = bd(f"update {item} -s open")[0]
    assert row["status"] == "open" and "closed_at" not in row
    for line in (
        "-s frob",
        "-p 9",
        "-e x",
        "-t 'a b'",
        "--due never",
        "--set-metadata x",
        "--metadata '[]'",
    ):
        answer = bd(f"update {item} {line}", expect=1) or {"error": "one of several ids: a line"}
        assert answer.keys() <= {"error", "schema_version"}


def test_close_refuses_what_is_not_done(bd: Bd) -> None:
    epic, blocker = bd.q("Table -t epic"), bd.q("Wood")
    part = bd("create Legs --parent " + epic)["id"]
    bd(f"dep add {part} {blocker}")
    for item, why in ((part, f"blocked by open issues: {blocker}"), (epic, "1 open child")):
        assert why in bd.shell(f"coord-bd close {item}", expect=1).err
    assert bd(f"close {blocker} nope", expect=1)["error"] == "no issue found matching nope"
    assert bd(f"show {blocker}")[0]["status"] == "open", "nothing was closed"
    done = bd(f"close {blocker} --reason Bought --suggest-next", CLAUDE_SESSION_ID="s9")
    assert [row["id"] for row in done["unblocked"]] == [part]
    (closed,) = done["closed"]
    assert closed["close_reason"] == "Bought" and closed["closed_by_session"] == "s9"
    assert closed["closed_at"] >= closed["created_at"]
    assert bd(f"close {blocker}")[0]["close_reason"] == "Bought", "closed already"
    (closed,) = bd(f"close {part}")
    assert closed["close_reason"] == "Closed"
    (state,) = bd("epic status --eligible-only")
    assert state["epic"]["id"] == epic and (state["total_children"], state["closed_children"]) == (
        1,
        1,
    )
    assert bd("epic close-eligible") == {"closed": [epic], "count": 1, "schema_version": 1}
    bd.q("More")
    assert bd(f"close {bd.q('A')} --claim-next")["claimed"]["assignee"] == "ada"
    assert [r["status"] for r in bd(f"reopen {part}")] == ["open"]
    assert bd.shell(f"coord-bd reopen {part} nope", expect=1).out.strip().endswith("already open")


def test_who_was_robbed_of_an_item_does_not_close_it(bd: Bd) -> None:
    item = bd.q("Cut")
    bd(f"update {item} --claim")
    bd.shell(f"wk claim {item} --steal --force --reason gone --as bob")
    assert "was taken over by bob" in bd.shell(f"coord-bd close {item}", expect=1).err
    bd(f"close {item}", BEADS_ACTOR="boss")
    mail = bd.shell("msg recv --as bob").lines
    assert any(event["type"] == "work.closed" for event in mail), "its holder has mail"


def test_ready_and_blocked_follow_the_rules_of_beads(bd: Bd) -> None:
    epic = bd.q("Epic -t feature")
    part = bd(f"create Part --parent {epic}")["id"]
    wood, gate = bd.q("Wood"), bd.q("Gate -t gate")
    assert set(bd.ids("ready")) == {epic, part, wood}, "an open part does not block its epic"
    bd(f"dep add {epic} {gate}")
    assert bd.ids("ready") == [wood], "a blocked parent blocks its parts"
    rows = {row["id"]: row["blocked_by"] for row in bd("blocked")}
    assert rows == {epic: [gate], part: [gate]}
    assert all(row["blocked_by_count"] == 1 for row in bd("blocked"))
    bd(f"close {gate}")
    assert set(bd.ids("ready")) == {epic, part, wood}
    bd.q("Urgent -p 0")
    assert bd("ready")[0]["title"] == "Urgent"
    assert bd.ids("ready -t gate") == [] and bd.ids("ready --sort oldest")[0] == epic
    bd("create Wisp --ephemeral")
    assert "Wisp" not in [row["title"] for row in bd("ready")]
    assert [row["title"] for row in bd("ready --claim --type feature")] == ["Epic"]
    assert bd("ready --claim --type feature") == []


FILTERS = {
    "": "one two three",
    "--all": "one two three four",
    "-s closed": "four",
    "-s open,closed": "one two three four",
    "-t bug": "one",
    "-p 1": "two",
    "-p P1": "two",
    "-l ui": "one two",
    "-l ui,big": "two",
    "--label-any big,wood": "two three",
    "--exclude-label ui": "three",
    "-a ada": "three",
    "--no-assignee": "one two",
    "--metadata-field k=v": "one",
    "--metadata-field k=v --metadata-field n=1": "",
    "--metadata-field n=2": "two",
    "--has-metadata-key n": "two",
    "--title-contains TW": "two",
    "--desc-contains oak": "three",
    "--priority-max 1": "two",
    "--priority-min 3": "three",
    "--exclude-type bug": "two three",
    "--created-after 2020-01-01": "one two three",
    "--created-before 2020-01-01": "",
    "-n 1": "two",
    "--limit 0 -s all": "one two three four",
    "--ready": "one two three",
    "--type agent": "robot",
    "--include-infra": "one two three robot",
}


ROW: dict[str, Any] = {
    "id": "ax-1",
    "title": "Draw the bench",
    "status": "open",
    "priority": 1,
    "issue_type": "feature",
    "created_at": "2026-06-01T09:00:00Z",
    "updated_at": "2026-06-02T09:00:00Z",
    "labels": ["ui", "big"],
    "metadata": {"n": 3, "Team-2": "x"},
}
SPELLED = {"id": str.lower, "parent": str.lower, "assignee": str.lower}


@pytest.mark.parametrize(
    ("asked", "fits"),
    [
        ("status=open", True),
        ("status=open and priority<2", True),
        ("status=closed OR priority <= P1", True),
        ("NOT status=closed AND NOT (priority=1 OR label=none)", False),
        ("status=closed OR status=open AND priority=4", False),
        ("(status=closed OR status=open) AND priority=1", True),
        ('title="draw THE"', True),
        ("title='and more'", False),
        ("assignee=none AND description=none", True),
        ("assignee!=none", False),
        ("label=ui AND label!=small", True),
        ("type=feat", True),
        ("metadata.n=3", True),
        ("metadata.Team-2=x AND METADATA.n!=4", True),
        ("id=AX-1 AND parent=none", True),
        ("id!=AX-1 OR parent=AX-1", False),
        ("created<2026-06-02 AND updated>=2026-06-02T09:00:00Z", True),
        ("closed=none AND NOT closed>2020-01-01", True),
    ],
)
def test_an_expression_of_query(asked: str, fits: bool) -> None:
    assert Expression(asked, SPELLED).fits(ROW) is fits


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("", "a condition is missing"),
        ("status=open AND", "a condition is missing"),
        ("status=open priority=1", "unexpected 'priority=1'"),
        ("(status=open", "missing )"),
        ("status=open)", "unexpected ')'"),
        ("frob", "not a condition: 'frob'"),
        ("frob=1", "unknown field 'frob'"),
        ("title>a", "title cannot be compared by >"),
        ("priority=9", "invalid priority '9'"),
        ("NOT status=nonsense", "invalid status 'nonsense' (valid: open, in_progress, "),
        ("status!=none", "invalid status 'none'"),
        ("priority=1 OR type='a b'", "invalid type 'a b'"),
        ("type=", "invalid type ''"),
        ('title="draw', 'missing "'),
        ("(title='it is) OR status=open", "missing '"),
        ("(" * 99, "nested too deeply"),
        ("NOT " * 99, "nested too deeply"),
    ],
)
def test_what_is_no_expression_is_one_line(asked: str, says: str) -> None:
    with pytest.raises(Usage) as refused:
        Expression(asked, SPELLED)
    assert says in str(refused.value) and "\n" not in str(refused.value)


def test_query_knows_an_issue_and_an_agent_by_any_name(bd: Bd) -> None:
    top = bd("create top -t epic -a ada")["id"]
    part = bd(f"create part --parent {top} -l closed")["id"]
    bd(f"close {bd.q('ended')}")
    full = bd.shell(f"wk show {part} -o id").out.strip()
    for asked in (full, part, part.removeprefix("ax-"), full[-8:]):
        assert [row["id"] for row in bd(f"query id={asked}")] == [part], asked
    for asked in (bd.shell(f"wk show {top} -o id").out.strip(), top.removeprefix("ax-")):
        assert [row["id"] for row in bd(f"query parent={asked}")] == [part]
    for asked in ("agent:ada", "ADA"):
        assert [row["id"] for row in bd(f"query assignee={asked}")] == [top]
    for asked in ("parent=nonsense", "id=nonsense", "NOT id=none"):
        bd(f"query '{asked}'", expect=1)
        assert "no issue found" in bd.err
    bd("query 'status=nonsense'", expect=1)
    assert "invalid status 'nonsense'" in bd.err


def test_only_a_condition_makes_query_look_at_closed_issues(bd: Bd) -> None:
    a, b = bd.q("'status closed'"), bd.q("'closed door'")
    bd(f"close {b}")
    for asked in (
        "title=closed",
        "title=status OR label=closed",
        "priority<4 AND NOT title='a status'",
    ):
        assert [row["id"] for row in bd(f'query "{asked}"')] == [a], asked
    for asked in ("Closed>2020-01-01", "NOT status=open", f"id={b} AND title=door"):
        assert [row["id"] for row in bd(f"query '{asked}'")] == [b], asked
    assert [row["id"] for row in bd(f"query id!={a}")] == [], "a closed one is not named"
    assert len(bd("query title=closed --all")) == 2


def test_each_filter_of_list(bd: Bd) -> None:
    bd('create one -t bug -l ui --metadata \'{"k":"v"}\'')
    bd("create two -p 1 -l ui,big --metadata '{\"n\":2}'")
    bd("create three -p 3 -l wood -a ada -d 'Oak boards'")
    bd(f"close {bd.q('four')}")
    bd("create robot -t agent")
    os.chdir(bd.shell.cwd)
    desk = Desk(Call("ada"), "ax")
    issues = Issues(desk, desk.items())
    for line, titles in FILTERS.items():
        values = flags.parse(VERBS, COMMON, ["list", *line.split()])[2]
        found = [issues.issue(item)["title"] for item in listed(Query(issues, values), values)]
        assert set(cut(found, int(values.get("limit", 0)) or None)[0]) == set(titles.split()), line
    assert [r["title"] for r in bd("list")] == ["two", "one", "three"], "by priority"
    assert [r["title"] for r in bd("list --sort title -r")] == ["two", "three", "one"]
    assert "Showing 1 of 3" in bd.shell("coord-bd list -n 1").err
    assert bd.shell("coord-bd list --flat -t bug").out.split()[1].startswith("ax-")
    assert (
        bd("search TWO")[0].keys() >= ISSUE | COUNTS and "dependencies" not in bd("search two")[0]
    )
    assert [r["title"] for r in bd("query 'status=open AND priority<2'")] == ["two"]
    assert [r["title"] for r in bd("query 'assignee=none AND type!=bug AND priority<2'")] == ["two"]
    both = {r["title"] for r in bd("query 'label=big OR (type=bug AND NOT assignee=ada)'")}
    assert both == {"two", "one"}
    assert [r["title"] for r in bd("query status=closed")] == ["four"]
    assert bd("query 'a=1 OR b=2'", expect=1) is None
    assert bd("show --current")[0]["title"] == "robot", "the last that was touched"
    refused = bd.shell("coord-bd create x --id zz-1 --json", expect=1)
    assert json.loads(refused.err)["error"].startswith("ID 'zz-1' does not have"), "on stderr"
    assert "unknown dependency type" in bd.shell("coord-bd create x --deps frob:a", expect=1).err
    assert bd("count") == {"count": 5, "schema_version": 1}
    assert {g["group"]: g["count"] for g in bd("count --by-status")["groups"]} == {
        "open": 4,
        "closed": 1,
    }
    summary = bd("stats")["summary"]
    assert (summary["total_issues"], summary["closed_issues"], summary["ready_issues"]) == (5, 1, 3)
    assert len(summary) == 10 and bd("stale --days 0") != []


def test_dependencies_have_the_types_of_beads(bd: Bd) -> None:
    a, b, c = bd.q("a"), bd.q("b"), bd.q("c")
    assert bd(f"dep add {a} {b}") == {
        "status": "added", "issue_id": a, "depends_on_id": b, "type": "blocks", "schema_version": 1,
    }  # fmt: skip
    assert bd(f"dep add {a} {b}")["status"] == "added", "again"
    for line in (f"{a} {b} -t tracks", f"{b} {a}", f"{a} {a}"):
        assert "error" in bd(f"dep add {line}", expect=1)
    assert bd(f"dep add {c} {b} -t tracks")["type"] == "tracks"
    assert [row["dependency_type"] for row in bd(f"dep list {c}")] == ["tracks"]
    assert [row["id"] for row in bd(f"dep list {b} --direction up")] == [a, c]
    assert [(d["issue_id"], d["type"]) for d in bd(f"dep list {a} {c}")] == [
        (a, "blocks"),
        (c, "tracks"),
    ]
    tree = bd(f"dep tree {a}")
    assert [(row["id"], row["depth"], row["truncated"]) for row in tree] == [
        (a, 0, False),
        (b, 1, False),
    ]
    assert tree[1]["parent_id"] == a and tree[1]["edge_from_parent"] == "blocks"
    assert bd(f"dep remove {a} {b}")["status"] == "removed" and "error" in bd(
        f"dep rm {a} {b}", expect=1
    )
    bd(f"dep {b} --blocks {a}")
    assert bd(f"show {a}")[0]["dependencies"][0]["id"] == b
    new = bd(f"create d --deps discovered-from:{a},blocks:{c},{b},nope")["id"]
    kinds = {row["id"]: row["dependency_type"] for row in bd(f"dep list {new}")}
    assert kinds == {a: "discovered-from", b: "blocks"} and c in {r["id"] for r in bd("blocked")}


def test_labels_and_comments(bd: Bd) -> None:
    a = bd.q("a")
    assert bd(f"label add {a} gt:agent") == [
        {"status": "added", "issue_id": a, "label": "gt:agent"}
    ]
    assert bd(f"label list {a}") == ["gt:agent"]
    assert bd(f"label remove {a} gt:agent")[0]["status"] == "removed"
    said = bd(f"comments add {a} 'Hm hm'")
    assert said.keys() == {"id", "issue_id", "author", "text", "created_at", "schema_version"}
    assert (said["issue_id"], said["author"], said["text"]) == (a, "ada", "Hm hm")
    bd.shell(f"echo more | coord-bd comment {a} --stdin")
    assert [row["text"] for row in bd(f"comments {a}")] == ["Hm hm", "more"]
    assert "error" in bd("label add nope x", expect=1)


@pytest.mark.parametrize(
    ("line", "where"),
    [("show nope", "out"), ("update nope -p 1", "err"), ("close nope", "out"), ("label list nope", "out"),
     ("dep list nope", "out"), ("comments nope", "out"), ("delete nope --force", "err"),
     ("create x --parent nope", "err"), ("list --parent nope", "err")],
)  # fmt: skip
def test_an_unknown_id_is_status_1_and_said_where_callers_look(
    bd: Bd, line: str, where: str
) -> None:
    done = bd.shell(f"coord-bd {line} --json", expect=1)
    text = done.out if where == "out" else done.err
    assert "no issue found" in text and (where == "err" or json.loads(text)["schema_version"] == 1)
    assert "no issue found" in bd.shell(f"coord-bd {line}", expect=1).err


def test_without_a_store_and_with_odd_surroundings(bd: Bd, tmp_path: Path) -> None:
    bd.q("Cut")
    away = tmp_path / "away"
    away.mkdir()
    assert "no store" in bd.shell(f"cd {away} && coord-bd list --json", expect=1).err
    assert bd.shell(f"cd {away} && coord-bd prime").out == ""
    for how in (f"-C {bd.shell.cwd}", f"--db {bd.shell.cwd}/.beads/beads.db"):
        assert len(json.loads(bd.shell(f"cd {away} && coord-bd list --json {how}").out)) == 1
    env: Any = {"BEADS_DIR": f"{bd.shell.cwd}/.beads"}
    assert "Cut" in bd.shell(f"cd {away} && coord-bd list", **env).out
    wrapped = json.loads(bd.shell("coord-bd list --json", BD_JSON_ENVELOPE="1").out)
    assert wrapped.keys() == {"schema_version", "data"}
    assert "bd update ID --claim" in bd.shell("coord-bd prime").out
    Path(bd.shell.cwd, ".beads").mkdir()
    Path(bd.shell.cwd, ".beads/PRIME.md").write_text("Ours.\n")
    assert bd.shell("coord-bd prime").out == "Ours.\n"


def test_delete_hides_and_import_and_export_keep(bd: Bd) -> None:
    a = bd.q("a")
    assert "DELETE PREVIEW" in bd.shell(f"coord-bd delete {a}").out and bd.ids("list") == [a]
    assert bd(f"delete {a} --force")["deleted"] == a
    assert bd("list --all") == [] and bd.shell(f"wk show {a}").one["status"] == "cancelled"
    record = {"id": "gt-7", "title": "Old", "status": "open", "priority": 1, "issue_type": "task",
              "design": "As before", "metadata": {"x": "y"}, "created_at": "2025-01-01T00:00:00Z"}  # fmt: skip
    bd.shell("coord-bd import -", stdin=json.dumps(record))
    (row,) = bd("show gt-7")
    assert (row["design"], row["metadata"], row["priority"]) == ("As before", {"x": "y"}, 1)
    lines = bd.shell("coord-bd export").out.splitlines()
    assert record in [json.loads(line) for line in lines]


def test_link_installs_the_name_and_overwrites_nothing(bd: Bd, tmp_path: Path) -> None:
    assert bd.shell(f"coord-bd link {tmp_path}").out == f"{tmp_path}/bd\n"
    assert bd.shell(f"coord-bd link {tmp_path}").status == 0, "again"
    assert bd.shell(f"{tmp_path}/bd q x").out.startswith("ax-")
    other = tmp_path / "other"
    other.mkdir()
    (other / "bd").write_text("")
    assert "is there already" in bd.shell(f"coord-bd link {other}", expect=77).err
    missing = tmp_path / "missing"
    for path in (missing, other / "bd"):
        err = bd.shell(f"coord-bd link {path}", expect=77).err
        assert err.startswith(f"coord-bd: {path}: no such directory")
    assert not any(os.path.basename(name) == "bd" for name in os.listdir(BIN)), "by link only"


DAY = """
set -e
bd init --prefix wood
design=$(bd create "Draw the bench" -t task -p 1 --silent)
bench=$(bd create "A bench for the garden" -t epic -p 1 -d "Oak, two metres" --json | jq -r .id)
legs=$(bd create "Legs" --parent $bench --json | jq -r .id)
seat=$(bd create "Seat" --parent $bench -l oak --json | jq -r .id)
bd dep add $legs $design && bd dep add $seat $legs
test "$(bd ready -t task --json | jq -r '.[].id')" = $design
bd update $design --claim --json | jq -e '.[0].status == "in_progress"'
found=$(bd create "The saw is blunt" -t bug -p 0 --deps discovered-from:$design --json | jq -r .id)
bd close $design --reason "In the drawer" --json >/dev/null
id=$(bd ready --json | jq -r '[.[] | select(.issue_type != "epic")][0].id'); test $id = $found
bd update $id --status in_progress --assignee ada && bd comment $id "Sharpened twice"
bd close $id -r Sharp
bd update $legs --claim && bd close $legs && bd close $seat --reason "Sanded and oiled"
bd epic close-eligible
bd sync
bd stats --json | jq -e '.summary.open_issues == 0 and .summary.closed_issues == 5'
bd list --status closed --json | jq -r '.[].id' | wc -l
"""


def test_a_day_with_bd_runs_unchanged(shell: Shell, tmp_path: Path) -> None:
    shell(f"coord-bd link {tmp_path}")
    shell.env |= {"PATH": f"{tmp_path}:{shell.env['PATH']}", "BEADS_ACTOR": "ada"}
    assert shell(DAY).out.rstrip().endswith("\n5")


def test_of_two_stores_the_arbiter_confirms_one_claim(bd: Bd, tmp_path: Path) -> None:
    git("init", "-q", "--bare", str(tmp_path / "hub.git"), cwd=tmp_path)
    here = bd.shell.cwd
    item = bd.q("Cut")
    git("commit", "-q", "--allow-empty", "-m", "x", cwd=here)
    git("remote", "add", "origin", str(tmp_path / "hub.git"), cwd=here)
    git("push", "-q", "origin", "HEAD", cwd=here)
    bd.shell("ev sync --remote origin")
    git("clone", "-q", str(tmp_path / "hub.git"), "there", cwd=tmp_path)
    other = Shell(tmp_path / "there")
    other.env = {**bd.shell.env, "BEADS_ACTOR": "bob"}
    other("ev init && ev sync --remote origin")
    assert bd(f"update {item} --claim")[0]["assignee"] == "ada"
    lost = other(f"coord-bd update {item} --claim", expect=1).err
    assert "ada" in lost
    assert bd.shell(f"wk show {item}").one["level"] == "confirmed"


FORMULA = """
formula = "chores"
version = 1
[vars.room]
required = true
[[steps]]
id = "sweep"
title = "Sweep the {{room}}"
[[steps]]
id = "mop"
title = "Mop the {{room}}"
needs = ["sweep"]
"""


def test_a_formula_is_poured_followed_and_burned(bd: Bd) -> None:
    home = bd.shell.cwd / ".beads/formulas"
    home.mkdir(parents=True)
    (home / "chores.formula.toml").write_text(FORMULA)
    poured = bd("mol pour chores --var room=hall")
    root = poured["new_epic_id"]
    assert poured["id_mapping"] == {"root": root, "sweep": f"{root}.1", "mop": f"{root}.2"}
    assert (poured["created"], poured["phase"]) == (3, "liquid")
    assert [row["title"] for row in bd(f"ready --mol {root}")] == ["Sweep the hall"]
    other = bd("mol wisp chores --var room=attic")
    assert (other["phase"], other["new_epic_id"] != root) == ("vapor", True), "poured again"
    bd(f"update {root}.1 --claim")
    (mol,) = bd(f"mol current {root}")
    assert (mol["completed"], mol["total"]) == (0, 2)
    assert [(s["status"], s["is_current"]) for s in mol["steps"]] == [
        *(("current", True), ("blocked", False)),
    ]
    bd(f"close {root}.1")
    assert [step["status"] for step in bd("mol current")[0]["steps"]] == ["done", "ready"]
    assert len(bd("mol current")) == 2
    squashed = bd(f"mol squash {root} --summary clean")
    assert squashed["squashed_ids"] == [f"{root}.2", root]
    assert "clean" in bd(f"comments {root}")[0]["text"]
    burned = bd(f"mol burn {other['new_epic_id']} --force")
    assert burned["burned_count"] == 3
    assert bd("mol current") == []
    assert "unbound" in bd.run("mol pour chores", 1, {}) + bd.err
    assert "not found" in bd.run("mol pour nowhere --json", 1, {}) + bd.err
    assert "is not a molecule" in bd.run(f"mol burn {bd.q('x')} --force", 1, {}) + bd.err
