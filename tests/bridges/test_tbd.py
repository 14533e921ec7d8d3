"""coord-tbd beside the real tbd: the same commands on the same issues, field by field.

The program is npm's get-tbd, which needs git 2.42 or later; without them these tests are skipped by
name. COORD_TBD names its directory of commands, COORD_TBD_GIT one with a newer git.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support import BIN, Shell, check_invariants, git, open_store

from coord_envelope import Usage
from coord_kernel.cli import flags
from coord_kernel.cli.escape import visible
from coord_tbd import cli
from coord_tbd.cli import OUTSIDE
from coord_tbd.read import READING
from coord_tbd.verbs import COMMON, VERBS
from coord_tbd.write import WRITING

README = Path(__file__).parent.parent.parent / "bridges/tbd/README.md"
ULID = re.compile(r"is-[0-9a-z]{26}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def real() -> dict[str, str] | None:
    """The environment in which the real tbd runs; None if it or its git is missing."""
    path = os.pathsep.join(
        filter(None, (os.environ.get(n) for n in ("COORD_TBD_GIT", "COORD_TBD", "PATH")))
    )
    if not shutil.which("tbd", path=path) or not shutil.which("node", path=path):
        return None
    version = subprocess.run(
        ["git", "--version"], env={"PATH": path}, capture_output=True, text=True
    ).stdout.split()[2]
    if tuple(map(int, version.split(".")[:2])) < (2, 42):
        return None
    return {**os.environ, "PATH": path, "TZ": "UTC", "NO_COLOR": "1", "HOME": "/nonexistent"}


COMMANDS = (
    "create 'First one' --json",
    "create Second -t bug -p P1 -l ui -l x -d 'What it is' --assignee bob",
    "create 'Kid: one' --parent {a} --due 2027-01-02T00:00:00Z -d 'two lines' --json",
    "create Fourth --type feature --priority 3 --spec spec.md --label ui",
    "create --json", "create '  '", "create K -t bugg --json", "create K -p 9", "create K --parent nope",
    "create K --dry-run",
    "list", "list --json", "list --pretty", "list --long", "list --specs", "list --count",
    "list --count --json", "list --type bug --json", "list --priority P1 --json", "list --label ui --json",
    "list --label ui --label x --json", "list --assignee bob --json", "list --parent {a} --json",
    "list --parent nope --json", "list --limit 1 --json", "list --sort created --json",
    "list --spec spec.md --json", "list --status in_progress", "list --deferred --json",
    "show {a} --json", "show {b} --json", "show {c} --json", "show {c} --json --no-parent", "show {c}",
    "show {d}", "show nope", "show nope --json", "show {a} --show-order", "show {b} --max-lines 4",
    "ready", "ready --json", "ready --type feature --json", "ready --limit 1", "ready --long",
    "dep add {d} {a} --json", "dep add {d} {a}", "dep add {d} {d}", "dep add {d} nope", "dep list {d} --json",
    "dep list {a}", "dep list {b}", "blocked", "blocked --json", "ready --json", "show {a}", "show {a} --json",
    "update {a} --status in_progress --assignee ada --json", "update {a} --priority 0 --title 'The first'",
    "update {a} --status frob", "update {a} --type frob --json", "update {a} --title ''",
    "update {c} --notes 'Some notes' --assignee cyd --description 'three lines'", "show {c} --json",
    "update {c} --add-label k --add-label l --remove-label l", "update {c} --status blocked",
    "blocked --json", "update {c} --status deferred", "list --deferred --json", "list --status deferred",
    "update {c} --status open --assignee '' --due ''", "show {c} --json", "update {c} --parent ''",
    "show {c} --json", "update {c} --parent {b}", "update nope --priority 1", "update {a} --dry-run --title x",
    "label add {a} one two --json", "label add {a} one", "label remove {a} two", "label remove {a} zzz --json",
    "label list", "label list --json", "label add nope x",
    "search first", "search THREE --json", "search notes --field notes --json", "search zzz", "search zzz --json",
    "search First --case-sensitive --json", "search ui --field labels --json", "search i --limit 1 --json",
    "search i --status frob",
    "close {a} --reason 'It works' --json", "close {a} --json", "close nope --json", "close {b}", "show {a}",
    "list --status closed --json", "list --all --json", "list --all", "ready --json", "show {a} --json",
    "reopen {b} --reason 'Not yet' --json", "reopen {b}", "show {b} --json", "dep remove {d} {a} --json",
    "dep remove {d} {a}", "stats --json", "stale --days 0 --json", "stale --days 0", "stale --days x",
    "stale", "stats", "update {a} --child-order {c}",
    "update {c} --notes-file spec.md", "show {c} --json", "create Last --file spec.md --assignee eve --json",
    "list --all --sort updated --limit 1 --json", "search spec --no-refresh --json",
)  # fmt: skip
"""What is run in both, from top to bottom. {a} to {d} are the first four issues."""
NOT_COMPARED = {"--defer-before"}
"""Options without an effect in tbd 0.2.3 itself."""
SHORT = {"list --json", "show {b} --json", "ready", "dep list {d} --json", "blocked --json", "label list",
         "search THREE --json", "close nope --json", "stats --json"}  # fmt: skip
CHANGES = {*COMMANDS[:4], "dep add {d} {a} --json", "update {a} --status in_progress --assignee ada --json",
           "label add {a} one two --json", "close {a} --reason 'It works' --json"}  # fmt: skip
"""What is run without --long."""
LAST_LINES = {"stats": 1}
"""Verbs whose last lines are about commands of the program itself."""


class Side:
    """One of the two programs, in a repository of its own."""

    def __init__(self, repo: Path, env: dict[str, str], program: str) -> None:
        self.repo, self.env, self.program = repo, env, program
        self.ids: list[str] = []
        (repo / "spec.md").write_text("A spec.\n")

    def run(self, line: str) -> tuple[int, Any, str]:
        """Status, what was printed (as JSON where it is that), what stands on stderr; ids masked."""
        names = dict(zip("abcd", self.ids, strict=False))
        command = line.format(**names)
        flag = " --no-sync" if self.program == "tbd" else ""
        done = subprocess.run(
            ["bash", "-c", f"{self.program} {command}{flag}"],
            cwd=self.repo, env=self.env, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        if line.startswith("create") and done.returncode == 0 and len(self.ids) < 4:
            self.ids += re.findall(r"\bax-[0-9a-z]{4}\b", done.stdout)[:1]
        out, err = self.masked(done.stdout), self.masked(done.stderr)
        lines = out.rstrip("\n").split("\n")
        shown: Any = "\n".join(lines[: len(lines) - LAST_LINES.get(line, 0)])
        if " --json" in line and out:
            shown = tidy(json.loads(out))
        return done.returncode, shown, err

    def masked(self, text: str) -> str:
        for number, name in enumerate(self.ids):
            text = text.replace(name, f"ID{number}")
        text = re.sub(r"\bax-[0-9a-z]{4}\b", "ax-Y", text)
        return TIME.sub("TIME", ULID.sub("is-X", text)).replace("--status in_progress", "")


def tidy(obj: Any) -> Any:
    """JSON without what a README lists as different: nulls, the version, the order of labels."""
    if isinstance(obj, dict):
        labels = {"labels": sorted(obj["labels"])} if isinstance(obj.get("labels"), list) else {}
        kept = {
            n: tidy(v)
            for n, v in obj.items()
            if v is not None and n not in ("version", "child_order_hints")
        }
        return kept | labels
    return [tidy(each) for each in obj] if isinstance(obj, list) else obj


def comparable(line: str, shown: Any) -> Any:
    """Text without the lines of `show` that differ."""
    if line.startswith("show") and isinstance(shown, str):
        shown = re.sub(r"child_order_hints:\n(?:  - .*\n)+", "", shown)
        return re.sub(r"version: \d+\n", "", shown)
    return shown


def test_every_verb_of_the_table_is_done_and_the_readme_lists_it() -> None:
    there = {verb for verb, entry in VERBS.items() if entry.most >= 0}
    assert there == {*OUTSIDE, *READING, *WRITING}
    assert flags.table(VERBS) in README.read_text()
    options = {option for line in COMMANDS for option in re.findall(r"--?[a-z][a-z-]*", line)}
    compared = {line.partition(" -")[0].split(" {")[0] for line in COMMANDS}
    for verb in there - {"init", "prime", "sync", "status", "start"}:
        assert any(each == verb or each.startswith(f"{verb} ") for each in compared), verb
        same = {s for s, o in VERBS[verb].options.items() if not o.remark and s.startswith("--")}
        assert same - options <= NOT_COMPARED, verb


@pytest.mark.parametrize(
    ("line", "what"),
    [("frob", 'unknown command "frob"'), ("list --frob", "unknown flag: --frob"),
     ("show", "show needs 1 argument(s)"), ("setup --auto", "setup is not there: ")],
)  # fmt: skip
def test_what_is_not_there_is_refused_in_one_line(line: str, what: str) -> None:
    with pytest.raises(Usage) as refusal:
        flags.parse(VERBS, COMMON, line.split())
    assert str(refusal.value).startswith(what)


def test_every_command_prints_what_tbd_prints(
    shell: Shell, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """All of them with --long: tbd takes a second and a half for each."""
    env = real()
    if env is None:
        pytest.skip("get-tbd, or git 2.42 or later, is not installed")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    git("init", "-q", cwd=theirs)
    git("commit", "-q", "--allow-empty", "-m", "x", cwd=theirs)
    who = {"GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "Ada",
           "GIT_CONFIG_KEY_1": "user.email", "GIT_CONFIG_VALUE_1": "ada@example.org"}  # fmt: skip
    tbd = Side(theirs, {**env, **who, "HOME": str(tmp_path)}, "tbd")
    subprocess.run(
        ["tbd", "init", "--prefix", "ax"], cwd=theirs, env=tbd.env, check=True, capture_output=True
    )
    shell("coord-tbd init --prefix ax")
    ours = Side(shell.cwd, {**shell.env, "COORD_AGENT": "ada"}, "coord-tbd")
    differs = []
    long = request.config.getoption("--long")
    for line in COMMANDS if long else [c for c in COMMANDS if c in SHORT or c in CHANGES]:
        (status, shown, err), (status_2, shown_2, err_2) = tbd.run(line), ours.run(line)
        one = (status, comparable(line, shown), err if status else "")
        two = (status_2, comparable(line, shown_2), err_2 if status_2 else "")
        if one != two:
            differs.append(f"$ {line}\n--- tbd\n{one}\n--- ours\n{two}")
    assert not differs, "\n".join(differs)
    check_invariants(open_store(shell.cwd))


@pytest.fixture
def tbd(shell: Shell) -> Shell:
    shell.env |= {"COORD_AGENT": "ada"}
    shell("coord-tbd init --prefix ax")
    return shell


def created(tbd: Shell, line: str) -> str:
    return str(json.loads(tbd(f"coord-tbd create {line} --json").out)["id"])


def test_of_agents_on_tbd_and_on_wk_one_starts_an_item(tbd: Shell) -> None:
    item = created(tbd, "Cut")
    running = [
        subprocess.Popen(
            [f"{BIN}/wk", "claim", item] if n % 2 else [f"{BIN}/coord-tbd", "start", item],
            cwd=tbd.cwd, env=tbd.env | {"COORD_AGENT": f"w{n}"},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for n in range(8)
    ]  # fmt: skip
    ended = [(each.communicate(), each.returncode) for each in running]
    (winner,) = (n for n, (_, status) in enumerate(ended) if status == 0)
    (row,) = json.loads(tbd("coord-tbd list --status in_progress --json").out)
    assert row["assignee"] == f"w{winner}", "the holder is shown where nobody is the assignee"
    for n, ((_, err), _) in enumerate(ended):
        assert n == winner or f"w{winner}".encode() in err
    check_invariants(open_store(tbd.cwd))


def test_what_tbd_and_wk_and_bd_write_is_one_list(tbd: Shell) -> None:
    item = created(tbd, "Cut --defer 2099-01-01T00:00:00Z --file /dev/stdin </dev/null")
    assert tbd(f"wk show {item}").one["defer_until"].startswith("2099")
    assert (
        json.loads(tbd(f"coord-tbd show {item} --json").out)["deferred_until"]
        == "2099-01-01T00:00:00Z"
    )
    tbd(f"wk update {item} -l hand --kind molecule && coord-bd comment {item} hm")
    row = json.loads(tbd(f"coord-tbd show {item} --json").out)
    assert (row["labels"], row["kind"]) == (["hand"], "task")
    (tbd.cwd / "notes").write_text("x" * 9_000)
    tbd(f"coord-tbd update {item} --notes-file notes --due 2027-01-02T00:00:00Z")
    row = json.loads(tbd(f"coord-tbd show {item} --json").out)
    assert (row["notes"], row["due_date"]) == ("x" * 9_000, "2027-01-02T00:00:00Z")
    loop = created(tbd, "Loop")
    tbd(f"coord-tbd dep add {item} {loop}")
    assert "cycle" in tbd(f"coord-tbd dep add {loop} {item}", expect=1).err
    assert tbd("cd / && coord-tbd list", expect=1).err.startswith("Error: Not a tbd repository")
    assert len(tbd("coord-tbd prime").out.split()) <= 250 and tbd("coord-tbd prime --brief").out
    assert json.loads(tbd("coord-tbd status --json").out)["display_prefix"] == "ax"


HOSTILE = "red \x1b[31m\nFAKE row\r\x9b\u202e"
"""A text that colours, begins a line of its own, and turns what follows around."""
TEXTS = {
    "init": ["--prefix {h}"], "prime": [""], "sync": [""], "status": [""], "stats": [""],
    "create": ["{h}", "{h} -p {h}", "{h} --dry-run"], "list": ["", "--pretty", "--long", "--specs --all"],
    "ready": ["--long", "--type {h}"], "blocked": [""], "stale": ["--days 0"], "search": ["red", "row --field notes"],
    "dep add": ["{b} {a}", "{b} {h}"], "show": ["{a}", "{b}", "{h}"], "dep list": ["{b}"],
    "dep remove": ["{b} {a}", "{b} {h}"], "label add": ["{a} x", "{h} x"], "label list": [""],
    "label remove": ["{a} x", "{h} x"], "update": ["{a} --title {h}", "{a} --status {h}"], "start": ["{a}", "{h}"],
    "close": ["{a} --reason {h}", "{h}"], "reopen": ["{a} --reason {h}", "{h}"], "{h}": [""],
}  # fmt: skip
"""Verb → arguments that bring that text into what it prints for people."""


def test_no_verb_prints_control_characters_or_breaks_a_row(
    tbd: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert TEXTS.keys() - {"{h}"} == {verb for verb, entry in VERBS.items() if entry.most >= 0}
    h = shlex.quote(HOSTILE)
    a = created(tbd, f"{h} -d {h}")
    (tbd.cwd / HOSTILE).write_text("")
    b = created(tbd, f"{h} --parent {a} --spec {h}")
    tbd(f"coord-tbd update {b} --notes {h}")
    printed = []
    monkeypatch.chdir(tbd.cwd)
    monkeypatch.setenv("COORD_AGENT", "ada")
    monkeypatch.setattr(cli, "write_all", lambda fd, data: printed.append(data.decode()))
    for verb, lines in TEXTS.items():
        for words in lines:
            line = f"{verb} {words}".format(a=a, b=b, h=h)
            at = len(printed)
            cli.run(shlex.split(line))
            one = "".join(printed[at:])
            plain = one.replace("\n", "")
            assert visible(plain) == plain, line
            begins = [each for each in one.split("\n") if each.startswith("FAKE")]
            assert not begins or verb == "show", f"{line}: a row is broken"
    assert "".join(printed).count("\\u{a}FAKE row") > len(TEXTS), "as it is shown"
    (row,) = (each for each in json.loads(tbd("coord-tbd list --json").out) if each["id"] == b)
    assert row["title"] == HOSTILE


DAY = """
set -e
tbd init --prefix wood
design=$(tbd create "Draw the bench" --type task --priority P1 --json | jq -r .id)
bench=$(tbd create "A bench" --type epic --priority P1 --description "Oak" --json | jq -r .id)
legs=$(tbd create "Legs" --parent $bench --label oak --json | jq -r .id)
seat=$(tbd create "Seat" --parent $bench --json | jq -r .id)
tbd dep add $legs $design && tbd dep add $seat $legs
test "$(tbd ready --type task --json | jq -r '.[].id')" = $design
tbd update $design --status in_progress && tbd update $design --notes "On the long table"
saw=$(tbd create "The saw is blunt" --type bug --priority P0 --json | jq -r .id)
tbd close $design --reason "In the drawer" && tbd sync
test "$(tbd ready --limit 1 --json | jq -r '.[0].id')" = $saw
for id in $saw $legs $seat; do tbd start $id; tbd close $id --reason Done; done
test "$(tbd list --json | jq -r '.[].id')" = $bench
tbd close $bench && tbd stats --json | jq -e '.active == 0 and .closed == 5'
"""


def test_a_day_with_tbd_runs_unchanged(shell: Shell, tmp_path: Path) -> None:
    assert shell(f"coord-tbd link {tmp_path}").out == f"{tmp_path}/tbd\n"
    shell.env |= {"PATH": f"{tmp_path}:{shell.env['PATH']}", "COORD_AGENT": "ada"}
    assert shell(DAY).out.rstrip().endswith("true")
