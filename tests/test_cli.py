"""What all tools have in common on a command line: input, codes of failures, remedies."""

from __future__ import annotations

import importlib
import json
import re
import shlex
from pathlib import Path

import pytest
from support import SPEC, Shell

from coord_envelope import errors
from coord_kernel.cli import intent, stdin
from coord_kernel.cli.command import name_of

ROOT = Path(__file__).parent.parent
TOOLS = ("wk", "ev", "lease", "msg", "run")
READ_IDS = (
    *("wk show", "wk claim", "wk release", "wk close", "wk reopen", "wk update --title t"),
    *("ev show", "lease renew", "lease release", "lease show"),
    *("msg ack", "msg nack", "msg show", "msg requeue", "run show", "run poll", "run cancel"),
)
READ_LINES = ("wk new", "ev emit", "run request")
ONE_ID = (
    *("wk tree", "wk comment {} text", "wk dep {} x", "wk dep x", "ev redact --reason r"),
    *("msg reply --body b", "msg save", "msg thread", "run logs", "run attach"),
)
PRETTY = (
    '{\n  "event_id": "x"\n}\n{\n  "event_id": "y"\n}\n',
    '  {\r\n\t"event_id": "x"\r\n  }\r\n',
    '[\n  {"event_id": "x"},\n  {"event_id": "y"}\n]\n',
    '{"event_id":\n  "x"}\n',
    '[{"event_id": "x"},\n {"event_id": "y"}]\n',
)


@pytest.mark.parametrize("command", [*READ_IDS, *READ_LINES, "wk apply"])
def test_without_arguments_and_input_the_status_says_why(shell: Shell, command: str) -> None:
    assert "nothing to do; give arguments" in shell(f"{command} </dev/null", expect=2).err
    warned = shell(f": | {command}")
    assert (warned.out, warned.err.count("\n")) == ("", 1)
    assert "nothing to do" in warned.err
    (shell.cwd / "blank").write_text("\n  \n")
    assert "nothing to do" in shell(f"{command} <blank").err
    if command != "wk apply":
        for source in ("</dev/null", "<blank"):
            asked = shell(f"{command} - {source}")
            assert (asked.out, asked.err) == ("", "")


@pytest.mark.parametrize("command", [*READ_IDS, *ONE_ID])
@pytest.mark.parametrize("word", ["''", "' '"])
def test_an_empty_id_is_usage(shell: Shell, command: str, word: str) -> None:
    line = command.format(word) if "{}" in command else f"{command} {word}"
    assert "empty id" in shell(line, expect=2).err


def test_an_empty_id_stops_the_others(shell: Shell) -> None:
    item = shell("wk new T").one["event_id"]
    shell(f"wk close {item} ''", expect=2)
    assert shell(f"wk show {item}").one["status"] == "ready"
    done = shell("wk show", f'{item}\n""\n{{"work_id":""}}\n', expect=65)
    assert [row["work_id"] for row in done.lines] == [item]
    assert done.err.count("empty id") == 2


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("wk new title more", "Unexpected argument: more; see `wk new --help`"),
        (
            "wk new title --priority",
            "Option '--priority' requires an argument; see `wk new --help`",
        ),
        ("wk new title -p 9", "not a valid number: --priority 9; from 0 to 4"),
        ("ev tail -n 1.5", "not a valid number: --lines 1.5; 0 or more"),
        ("lease acquire", "Missing argument: RESOURCE...; see `lease acquire --help`"),
        ("wk ls --color red", "not a valid value: --color red; use auto, always or never"),
    ],
)
def test_a_wrong_word_is_named_with_its_option(shell: Shell, line: str, words: str) -> None:
    tool = line.partition(" ")[0]
    assert shell(line, expect=2).err == f"{tool}: {words}\n"


@pytest.mark.parametrize("option", ["--work", "--thread", "--since", "--type", "--agent"])
def test_an_empty_filter_is_not_everything(shell: Shell, option: str) -> None:
    assert f"empty value: {option}" in shell(f"ev tail {option} ''", expect=2).err


@pytest.mark.parametrize("command", [*READ_IDS, *READ_LINES, "wk apply", "msg send --to tester"])
def test_json_over_several_lines_is_one_error(shell: Shell, command: str) -> None:
    for text in PRETTY:
        done = shell(command, text, expect=65)
        assert (done.out, done.err.count("\n")) == ("", 1)
        assert "line 1: JSON over several lines; use `jq -c" in done.err


def test_what_is_before_json_over_several_lines_is_done(shell: Shell) -> None:
    done = shell("ev emit", '{"type":"a.b"}\n{\n "type": "a.c"\n}\n{"type":"a.d"}\n', expect=65)
    assert [event["type"] for event in done.lines] == ["a.b"]
    assert "line 2: JSON over several lines" in done.err
    (shell.cwd / "export.jsonl").write_text(PRETTY[0])
    error = shell("wk import --from beads export.jsonl", expect=65).err
    assert "export.jsonl line 1: JSON over several lines" in error


def test_an_open_line_before_another_object_is_a_bad_line() -> None:
    lines = [b'{"a":{', b'{"a":1}', b"x"]
    assert list(stdin.numbered(lines)) == [list(enumerate(lines, 1))]


def test_a_byte_order_mark_is_ignored(shell: Shell) -> None:
    mark = "\ufeff"
    assert (
        shell("ev emit -o id", f'{mark}{{"type":"a.b"}}\n{{"type":"a.b"}}\n').out.count("\n") == 2
    )
    item = shell("wk new", f'{mark}{{"title":"one"}}\n').one["event_id"]
    assert shell("wk show", f"{mark}{item}\n").one["title"] == "one"
    assert shell("ev emit a.b --body -", f'{mark}{{"n":1}}').one["body"] == {"n": 1}
    assert shell("msg send --to tester --body -", f"{mark}hello").one["body"]["text"] == "hello"
    record = {"id": "b-1", "title": "T", "status": "open", "issue_type": "task"}
    shell("wk import --from beads -", f"{mark}{json.dumps(record)}\n")
    (shell.cwd / "coord.toml").write_text(f'{mark}project = "acme"\n')
    assert shell("ev emit a.b").one["project"] == "acme"


FAILURES = (
    ("wk show zzzz", 1, "not_found"),
    ("wk close zzzz", 1, "not_found"),
    ("wk release {item}", 1, "not_held"),
    ("wk claim {held}", 1, "held"),
    ("wk close {held}", 1, "held"),
    ("wk release {held}", 1, "held"),
    ("wk claim {closed}", 1, "closed"),
    ("wk close {closed} --note other", 1, "closed"),
    ("wk update {closed} --title t", 1, "closed"),
    ("wk reopen {item}", 1, "wrong_state"),
    ("wk claim {blocked}", 1, "wrong_state"),
    ("wk ready --claim --label none", 1, "empty"),
    ("wk ls --status redy", 2, "usage"),
    ("wk show ''", 2, "usage"),
    ("wk create T", 2, "usage"),
    ("wk ls --nope", 2, "usage"),
    ("wk ls -o xml", 2, "usage"),
    ("wk dep {item}", 2, "usage"),
    ("wk new ''", 65, "bad_input"),
    ("ev show zzzz", 1, "not_found"),
    ("ev tail --after zzzz", 1, "not_found"),
    ("ev redact zzzz --reason r", 1, "not_found"),
    ("ev emit Bad", 65, "bad_input"),
    ("ev emit a.b --key k --body '{{\"n\":2}}'", 65, "duplicate"),
    ("ev emit a.b --body @missing", 74, "io"),
    (
        'ev emit a.b --body \'{{"token":"ghp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}}\'',
        77,
        "refused",
    ),
    ("ev sync", 69, "unreachable"),
    ("COORD_DIR=/nowhere ev tail", 69, "no_store"),
    ("ev watch --type a.b --once {end}-- /no/such", 127, "not_started"),
    ("lease show zzzz", 1, "not_found"),
    ("lease release zzzz", 1, "not_found"),
    ("lease acquire env:held", 1, "held"),
    ("lease renew {lease}", 1, "held"),
    ("lease renew {lost}", 1, "not_held"),
    ("lease with env:held {end}-- true", 75, "held"),
    ("lease acquire gpu:0", 65, "bad_input"),
    ("lease steal env:held", 2, "usage"),
    ("msg ack zzzz", 1, "not_found"),
    ("msg show zzzz", 1, "not_found"),
    ("msg thread zzzz", 1, "not_found"),
    ("msg nack {mail}", 1, "not_held"),
    ("msg requeue {mail}", 1, "wrong_state"),
    ("msg recv --wait 1ms", 1, "empty"),
    ("msg save {mail} {scratch}", 1, "empty"),
    ("msg send --to nobody --body hi", 67, "unknown_addressee"),
    ("run show zzzz", 1, "not_found"),
    ("run logs zzzz", 1, "not_found"),
    ("run cancel {job}", 1, "closed"),
    ("run worker --substrate nope", 2, "usage"),
)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shell, dict[str, str]]:
    """A store in which another agent holds an item and a lease, and what `FAILURES` names."""
    cwd = tmp_path_factory.mktemp("busy")
    shell = Shell(cwd)
    shell("git init -q . && ev init && msg join")

    def event(line: str) -> str:
        return str(shell(line).lines[-1]["event_id"])

    names = {name: event(f"wk new {name}") for name in ("item", "held", "closed", "blocked")}
    shell(f"wk claim {names['held']} --as ada && wk close {names['closed']} --note done")
    shell(f"wk dep {names['blocked']} {names['item']}")
    names["lease"] = event("lease acquire env:held --as ada")
    names["lost"] = event("lease acquire env:lost")
    shell("lease steal env:lost --reason r --as ada")
    names["mail"] = event("msg send --to ada --force --body hi")
    names["job"] = event("run request -- true")
    shell("ev emit a.b --key k")
    shell("run worker --once")
    return shell, names | {"scratch": str(cwd), "end": "--errors json "}


@pytest.mark.parametrize(("line", "status", "code"), FAILURES)
def test_a_failure_has_a_status_and_a_code(
    busy: tuple[Shell, dict[str, str]], line: str, status: int, code: str
) -> None:
    shell, names = busy
    asked = line.format(**names) + ("" if "{end}" in line else " --errors json")
    error = json.loads(shell(f"{asked} </dev/null", expect=status).err.splitlines()[0])
    assert list(error) == ["tool", "status", "code", "where", "what", "todo"]
    assert (error["status"], error["code"]) == (status, code)


def listed() -> dict[str, set[int]]:
    """The codes of the spec, with the statuses of each."""
    text = (SPEC / "exit-codes.md").read_text().partition("## Codes")[2]
    rows = re.findall(r"^\| `(\w+)` \| ([\d, ]+) \|", text, re.MULTILINE)
    return {code: {int(status) for status in statuses.split(",")} for code, statuses in rows}


def test_the_list_of_codes_is_closed() -> None:
    sources = [path.read_text() for path in ROOT.glob("tools/*/coord_*/**/*.py")]
    used = {code for text in sources for code in re.findall(r'\bcode="(\w+)"', text)}
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    defaults = [kind for kind in classes if issubclass(kind, errors.Fault)]
    assert used | {kind.code for kind in defaults} == listed().keys()
    assert all(kind.status in listed()[kind.code] for kind in defaults)
    assert all(status in listed()[code] for _, status, code in FAILURES)
    page = (ROOT / "tools/kernel/coord.7").read_text()
    assert all(re.search(rf"\.BR? {code}\b", page) for code in listed())


@pytest.mark.parametrize("command", ["coord-hooks settings nope", "coord-mcp http --port x"])
def test_failures_of_bridges_are_json_too(shell: Shell, command: str) -> None:
    error = json.loads(shell(f"{command} --errors json", expect=2).err)
    assert (error["tool"], error["code"]) == (command.split()[0], "usage")


def test_the_options_of_another_program_are_not_the_tools(shell: Shell) -> None:
    assert not shell("run exec --nope -- x --errors json", expect=2).err.startswith("{")


def known(tool: str) -> dict[str, set[str]]:
    """The commands of a tool, each with its options that the table of plain lines has."""
    module = importlib.import_module(f"coord_{tool}.argv")
    commands = importlib.import_module(f"coord_{tool}.cli").COMMANDS
    return {
        name: set(module.TABLE[name][0]) if name in module.TABLE else set()
        for name in map(name_of, commands)
    }


@pytest.mark.parametrize("tool", TOOLS)
def test_what_is_suggested_exists_and_no_alias_hides_a_command(tool: str) -> None:
    for words, meant in intent.COMMANDS[tool].items():
        other, verb, *rest = shlex.split(meant)
        options = known(other)[verb]
        assert not set(words.split()) & known(tool).keys()
        assert all(word in options for word in rest if word.startswith("-") and word != "--")
    aliases = " ".join(intent.COMMANDS[tool]).split()
    assert len(aliases) == len(set(aliases))


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("wk create T", "use `wk new`"),
        ("wk list", "use `wk ls`"),
        ("wk delete x", "use `wk close --resolution cancelled`"),
        ("wk done x", "use `wk close`"),
        ("wk sohw x", "use `wk show`"),
        ("wk frobnicate", "see `wk --help`"),
        ("wk inbox", "use `msg recv`"),
        ("msg inbox", "use `msg recv`"),
        ("run kill x", "use `run cancel`"),
        ("lease lock env:a", "use `lease acquire`"),
        ("ev log", "use `ev tail`"),
        ("wk ls --json", "use -o jsonl"),
        ("wk ls --limit 3", "use -n"),
        ("msg recv --limit 3", "use --max"),
        ("wk ls --satus x", "use --status"),
        ("ev tail --frobnicate", "see `ev tail --help`"),
        ("lease ls --limit 3", "see `lease ls --help`"),
        ("wk help create", "use `wk new`"),
    ],
)
def test_a_word_of_another_program_gets_its_remedy(shell: Shell, line: str, remedy: str) -> None:
    error = shell(line, expect=2).err
    assert error.endswith(f"; {remedy}\n")
    assert error.count("\n") == 1


@pytest.mark.parametrize("tool", TOOLS)
def test_help_is_a_command_and_an_option(shell: Shell, tool: str) -> None:
    assert shell(f"{tool} help").out == shell(f"{tool} --help").out
    assert shell(f"{tool} help show").out.startswith(f"Usage: {tool} ")


@pytest.mark.parametrize(
    ("one", "other", "steps"),
    [("show", "show", 0), ("sohw", "show", 1), ("sho", "show", 1), ("", "ls", 2), ("xy", "ls", 2)],
)
def test_distance_counts_slips_of_the_fingers(one: str, other: str, steps: int) -> None:
    assert intent.distance(one, other) == intent.distance(other, one) == steps


def test_an_empty_list_in_a_clone_says_how_to_get_what_others_have(shell: Shell) -> None:
    def shown() -> str:
        return shell('script -qec "wk ls" /dev/null', TERM="dumb").out

    assert shown() == ""
    shell("git init -q --bare ../hub.git && git remote add origin ../hub.git")
    assert "`ev sync --remote origin` may bring what others have" in shown()
    assert shell("wk ls").err == ""
    shell("ev sync --remote origin")
    assert shown() == ""
