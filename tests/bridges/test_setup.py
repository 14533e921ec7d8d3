"""coord setup: our entries come and go, and nothing that a user wrote is lost."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import BIN, Json, Shell
from terminal import Terminal

from coord_coord import merge, texts
from coord_coord.entries import entries
from coord_coord.setup import _NAME, agent_of
from coord_envelope import BadData
from coord_hooks import pieces
from coord_kernel.cli.dialects import HOOKED

CLAUDE, SERVERS = ".claude/settings.local.json", ".mcp.json"
HOOKS, CONFIG = ".codex/hooks.json", ".codex/config.toml"
FILES = {"claude": (CLAUDE, SERVERS), "codex": (HOOKS, CONFIG)}
PROGRAMS = tuple(FILES)


def printed(program: str, agent: str = "qa") -> str:
    """What `coord-hooks settings` prints."""
    made = pieces.settings(program, agent)
    return (made if isinstance(made, str) else json.dumps(made, indent=2)) + "\n"


def wanted(program: str, agent: str = "qa") -> Json:
    settings = pieces.settings(program, agent)
    assert isinstance(settings, dict)
    hooks: Json = settings["hooks"]
    return hooks


def commands(hooks: Json) -> list[tuple[str, str]]:
    """The event and the command of each hook."""
    return [
        (event, hook["command"])
        for event, groups in hooks.items()
        for group in groups
        for hook in group["hooks"]
    ]


def mine(command: str, **more: Any) -> Json:
    return {"hooks": [{"type": "command", "command": command, **more}]}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
GROUPS = st.lists(JSON | st.builds(mine, st.text()), min_size=1, max_size=3)
EVENTS = st.sampled_from(["Stop", "PreToolUse", "SessionStart", "Other"])
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "hooks": st.dictionaries(EVENTS, GROUPS, min_size=1, max_size=3),
        "mcpServers": st.dictionaries(st.sampled_from(["a", "b"]), JSON, min_size=1, max_size=2),
        "enabledMcpjsonServers": st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=3),
        "env": JSON,
    },
)


@settings(max_examples=60, deadline=None)
@given(SETTINGS, st.sampled_from(PROGRAMS), st.sampled_from([2, 4, "\t", None]))
def test_what_is_added_can_be_removed_and_nothing_else_changes(
    before: Json, program: str, indent: Any
) -> None:
    """Of any settings that have none of ours; the second time nothing is added."""
    text = json.dumps(before, indent=indent, ensure_ascii=False) + "\n"
    for entry in entries(program, "qa", printed(program), True):
        if entry.path.endswith(".toml"):
            continue
        added = entry.add(text)
        assert entry.add(added) == added
        assert json.loads(entry.remove(added) or "{}") == before
        kept = {key: value for key, value in json.loads(added).items() if key not in ("hooks",)}
        for key, value in before.items():
            if isinstance(value, list):
                assert kept[key][: len(value)] == value
            elif key not in ("hooks", "mcpServers"):
                assert kept[key] == value


OTHERS = sorted(set(HOOKED) - set(FILES))
BEFORE = {
    "groups": '{\n    "theme": "dark",\n    "hooks": {"Stop": [{"hooks": [{"command": "mine"}]}]}\n}\n',
    "toml": 'model = "x" # mine\n\n[[hooks]]\nevent = "Stop"\ncommand = "mine"\n',
    "file": "",
}


@pytest.mark.parametrize("program", OTHERS)
def test_each_program_that_has_hooks_is_set_up_where_it_reads_them(program: str) -> None:
    path, form = HOOKED[program]
    entry, *_ = entries(program, "qa", printed(program), False)
    renamed, *_ = entries(program, "other", printed(program, "other"), False)
    for before in ("", BEFORE[form]):
        done = entry.add(before)
        assert entry.path == path and done != before and entry.add(done) == done
        changed = renamed.add(done)
        assert renamed.remove(changed) == entry.remove(done), "whatever the agent is called"
        assert (agent := _NAME.search(changed)) and "other" in agent.groups()
        if form == "toml":
            assert entry.remove(done) == before
            assert tomllib.loads(done)["hooks"][-1]["event"] == "SessionEnd"
        elif form == "groups" and before:
            assert json.loads(entry.remove(done)) == json.loads(before)
        else:
            assert entry.remove(done) == ""


SERVER = {"command": "coord-mcp", "args": ["stdio", "--default", "qa"]}
SERVED_HERE: dict[str, tuple[str, str, Json]] = {
    "gemini": (".gemini/settings.json", "mcpServers", SERVER),
    "qwen": (".qwen/settings.json", "mcpServers", SERVER),
    "droid": (".factory/mcp.json", "mcpServers", {"type": "stdio", **SERVER}),
    "copilot": (".github/mcp.json", "mcpServers", {"type": "local", **SERVER, "tools": ["*"]}),
    "kimi": (".kimi-code/mcp.json", "mcpServers", SERVER),
    "opencode": (
        "opencode.json",
        "mcp",
        {"type": "local", "command": ["coord-mcp", "stdio", "--default", "qa"]},
    ),
}


@pytest.mark.parametrize("program", SERVED_HERE)
def test_each_program_that_speaks_mcp_is_told_of_the_server(program: str) -> None:
    path, key, server = SERVED_HERE[program]
    made = {each.path: each for each in entries(program, "qa", printed(program), True)}
    renamed = {each.path: each for each in entries(program, "dev", printed(program, "dev"), True)}
    assert set(made) == {path, HOOKED[program][0]}
    before = json.dumps({"theme": "dark", key: {"mine": {"command": "x"}}}, indent=4) + "\n"
    for text in ("", before):
        done = made[path].add(text)
        assert json.loads(done)[key]["coord"] == server and made[path].add(done) == done
        changed = json.loads(renamed[path].add(done))[key]["coord"]
        assert json.dumps(changed) == json.dumps(server).replace('"qa"', '"dev"')
        assert renamed[path].remove(done) == text
    named = "command" if isinstance(server["command"], list) else "args"
    words = ["/opt/coord-mcp"] * (named == "command") + ["stdio", "--errors", "json"]
    own = {**server, "timeout": 9, named: words}
    kept = json.loads(made[path].add(json.dumps({key: {"coord": own}})))[key]["coord"]
    assert kept == {**own, named: [*words, "--default", "qa"]}, "a user's own words stay"
    with pytest.raises(BadData, match=f"{key}.coord is another program's"):
        made[path].add(json.dumps({key: {"coord": {"command": ["other"]}}}))


@pytest.mark.parametrize(
    ("words", "after"),
    [
        (["http", "--port", "9"], ["stdio", "--default", "qa"]),
        (["stdio", "--default=joe"], ["stdio", "--default", "qa"]),
        (["stdio", "--default", "joe", "--errors", "json"], ["stdio", "--default", "qa", "--errors", "json"]),
        (["--as", "joe", "stdio", 7], ["stdio", "--default", "qa", 7]),
        (["stdio", "--as=joe", "--default", "a", "--default"], ["stdio", "--default", "qa"]),
        (["stdio", 7], ["stdio", 7, "--default", "qa"]),
        ("stdio", ["stdio", "--default", "qa"]),
        (None, ["stdio", "--default", "qa"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("program", SERVED_HERE)
def test_an_entry_of_ours_that_does_not_fit_is_corrected(
    program: str, words: Any, after: list[object]
) -> None:
    """In the form of the program, whichever it is written in; a user's other fields stay."""
    path, key, server = SERVED_HERE[program]
    made = {each.path: each for each in entries(program, "qa", printed(program), True)}[path]
    apart: Json = {"command": "/opt/coord-mcp"} | ({"args": words} if words is not None else {})
    joined = {"command": ["/opt/coord-mcp", *(words if isinstance(words, list) else ())]}
    for own in (apart, joined):
        for field in ("env", "environment"):
            known = {**own, "type": "http", "timeout": 9, field: {"COORD_AGENT": "joe", "A": "b"}}
            done = made.add(json.dumps({key: {"coord": known}}))
            assert made.add(done) == done
            entry = json.loads(done)[key]["coord"]
            is_list = isinstance(server["command"], list)
            assert (
                [entry.pop("command")] if is_list else [entry.pop("command"), entry.pop("args")]
            ) == ([["/opt/coord-mcp", *after]] if is_list else ["/opt/coord-mcp", after])
            assert entry.pop("type", None) == server.get("type")
            assert entry == {"timeout": 9, field: {"A": "b"}}
    alone = {"coord": {**apart, "env": {"COORD_AGENT": "joe"}}}
    assert "env" not in json.loads(made.add(json.dumps({key: alone})))[key]["coord"]


def test_claude_code_s_entry_is_corrected_too() -> None:
    made = {each.path: each for each in entries("claude", "qa", printed("claude"), True)}[SERVERS]
    for args in ({}, {"args": ["http"]}, {"args": ["stdio", "--as", "joe"]}):
        known = {"command": "coord-mcp", **args, "env": {"COORD_AGENT": "joe", "A": "b"}}
        entry = json.loads(made.add(json.dumps({"mcpServers": {"coord": known}})))["mcpServers"]
        env = {"COORD_AGENT": "${COORD_AGENT:-qa}", "A": "b"}
        assert entry["coord"] == {"command": "coord-mcp", "args": ["stdio"], "env": env}


def test_the_server_acts_as_who_is_named_around_it_or_else_by_default(shell: Shell) -> None:
    for around, agent in (("", "agent:qa"), ("fixer", "agent:fixer")):
        shell("coord-mcp stdio --default qa </dev/null", COORD_AGENT=around, expect=None)
        joined = shell("ev replay --type agent.registered").lines
        assert joined[-1]["actor"]["agent_id"] == agent


def test_a_program_without_mcp_has_hooks_only() -> None:
    assert len(entries("pi", "qa", printed("pi"), True)) == 1
    assert [each.path for each in entries("droid", "qa", printed("droid"), False)] == [
        ".factory/settings.json"
    ]


@pytest.mark.parametrize(
    ("program", "text", "says"),
    [
        ("pi", "export default 1\n", "is not a file of coord"),
        ("copilot", '{"version": 1}', "is not a file of coord"),
        ("kimi", "hooks = 1", "hooks has a form that only its author can change"),
        ("kimi", "hooks = [1]", "hooks has a form that only its author can change"),
        ("kimi", "hooks = [", "not valid TOML"),
    ],
)
def test_what_another_wrote_in_our_place_is_refused(program: str, text: str, says: str) -> None:
    entry, *_ = entries(program, "qa", printed(program), True)
    with pytest.raises(BadData, match=re.escape(says)):
        entry.add(text)


def test_it_is_checked_and_a_file_of_the_home_is_given_back(shell: Shell, tmp_path: Path) -> None:
    shell.env["HOME"] = str(tmp_path)
    config = tmp_path / ".kimi-code/config.toml"
    config.parent.mkdir()
    config.write_text(BEFORE["toml"])
    row, server = shell("coord setup kimi --check", expect=1).lines
    assert (row["file"], row["change"]) == ("~/.kimi-code/config.toml", "changed")
    assert (server["file"], server["change"]) == (".kimi-code/mcp.json", "added")
    assert config.read_text() == BEFORE["toml"]
    shell("coord setup kimi --yes --as builder")
    rows = shell("coord setup kimi --check").lines
    assert [each["change"] for each in rows] == ["unchanged", "unchanged"]
    assert "coord-hooks start kimi --as" in config.read_text()
    shell("coord setup kimi --undo --yes")
    assert config.read_text() == BEFORE["toml"]
    shell("coord setup opencode --yes && coord setup opencode --undo --yes")
    assert not (shell.cwd / ".opencode").exists()
    assert state(shell) == {}, "no file is left"


def test_a_hook_of_ours_is_corrected_where_it_is() -> None:
    """With the user's own limit and matcher, and beside another hook in its group."""
    ours = {"type": "command", "command": "/opt/bin/coord-hooks edit --as old", "timeout": 60}
    other = {"type": "command", "command": "lint"}
    group = {"matcher": "Edit", "hooks": [other, ours]}
    new = 'coord-hooks edit --as "${COORD_AGENT:-qa}"'
    edit = {"PreToolUse": [mine(new, timeout=10) | {"matcher": "Edit|Write"}]}
    done = merge.with_hooks({"hooks": {"PreToolUse": [group]}}, edit)
    corrected = {"matcher": "Edit", "hooks": [other, ours | {"command": new}]}
    assert done["hooks"]["PreToolUse"] == [corrected]
    alone = merge.without_hooks(done, edit)
    assert alone == {"hooks": {"PreToolUse": [group | {"hooks": [other]}]}}


@pytest.mark.parametrize(
    ("command", "verb"),
    [
        ("coord-hooks edit --as x", "coord-hooks edit"),
        ("/a/b/coord-hooks start", "coord-hooks start"),
        ("msg hook claude", "msg hook"),
        ("msg send --to x", ""),
        ("echo coord-hooks edit", ""),
        ("my-coord-hooks edit", ""),
        ("", ""),
        (None, ""),
        (["msg", "hook"], ""),
    ],
)
def test_a_hook_is_known_by_its_first_words(command: Any, verb: str) -> None:
    assert merge.verb({"command": command}) == verb


def add_json(text: str) -> str:
    return texts.changed_json(text, lambda known: merge.with_word(known, "x", "y"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '{\n  "x": [\n    "y"\n  ]\n}\n'),
        ('{"a":1}', '{"a": 1, "x": ["y"]}'),
        ('{\n\t"a": 1\n}\n', '{\n\t"a": 1,\n\t"x": [\n\t\t"y"\n\t]\n}\n'),
        ('{\r\n    "a": 1\r\n}', '{\r\n    "a": 1,\r\n    "x": [\r\n        "y"\r\n    ]\r\n}'),
        ('\ufeff{"a": "é\\ud800"}', '\ufeff{"a": "\\u00e9\\ud800", "x": ["y"]}'),
        ('{"x": ["y"],   "a": 1.50}', '{"x": ["y"],   "a": 1.50}'),
        ('{"a": 123456789012345678901}', '{"a": 123456789012345678901, "x": ["y"]}'),
    ],
)
def test_indentation_and_line_ends_stay(before: str, after: str) -> None:
    assert add_json(before) == after


WRONG_JSON = [
    ('{\n  // why\n  "a": 1\n}', "has comments, which are not JSON and would be lost"),
    ('{\n  "a": 1,\n}', "not valid JSON: line 3, column 1: "),
    ("{", "not valid JSON: line 1, column 2"),
    ("[]", "not a JSON object"),
    ('{"a": 1, "a": 2}', '"a" is there twice'),
    ('{"b": {"a": 1, "a": 2}}', '"a" is there twice'),
    ('{"a": NaN}', "NaN is not JSON"),
    ('{"a": 1e999}', "1e999 is not a finite number"),
    ("[" * 100_000, "nested too deeply"),
    ('{"a": ' + "1" * 5_000 + "}", "not valid JSON"),
    ('{"x": {}}', "x is not a list"),
]


@pytest.mark.parametrize(("text", "says"), WRONG_JSON)
def test_json_that_cannot_be_changed_without_a_loss_is_refused(text: str, says: str) -> None:
    with pytest.raises(BadData, match=r"correct the file|remove one of them") as refused:
        add_json(text)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"hooks": []},
        {"hooks": {"Stop": {}}},
        {"mcpServers": 1},
        {"mcpServers": {"coord": {}}},
        {"mcpServers": {"coord": {"command": "other"}}},
    ],
)
def test_settings_of_another_form_are_refused(wrong: Json) -> None:
    with pytest.raises(BadData):
        merge.with_hooks(wrong, wanted("claude"))
        merge.with_server(wrong, "mcpServers", {"env": {"COORD_AGENT": "qa"}})


TOML = [
    "",
    "# mine\nmodel = 'x'\n",
    "model = 'x'",
    '[mcp_servers.other]\ncommand = "x"\n',
    "model = 'x'\r\n\r\n[a]\r\nb = 1\r\n",
    '[mcp_servers]\nother = { command = "x" }\n',
]


@pytest.mark.parametrize("before", TOML)
def test_a_table_is_added_to_toml_and_removed_again(before: str) -> None:
    added = texts.with_toml_server(before, "qa")
    assert added.startswith(before)
    server = tomllib.loads(added)["mcp_servers"]["coord"]
    assert server == {"command": "coord-mcp", "args": ["stdio"], "env": {"COORD_AGENT": "qa"}}
    assert texts.with_toml_server(added, "qa") == added
    renamed = texts.with_toml_server(added, "dev")
    assert renamed == added.replace('"qa"', '"dev"')
    removed = texts.without_toml_server(renamed)
    assert removed.rstrip("\r\n") == before.rstrip("\r\n")
    assert tomllib.loads(removed) == tomllib.loads(before)
    assert texts.without_toml_server(before) == before
    later = added + "\n[later]\nb = 1\n"
    assert tomllib.loads(texts.without_toml_server(later)) == tomllib.loads(
        before + "\n[later]\nb=1"
    )


OWN = '[mcp_servers.coord]\ncommand = "coord-mcp"\nargs = ["stdio"]\nenv = { COORD_AGENT = "x" }\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a = ", "not valid TOML"),
        ("mcp_servers = 1\n", "mcp_servers is not a table"),
        ('mcp_servers = { a = { command = "x" } }\n', "only its author can change"),
        ('[mcp_servers.coord]\ncommand = "other"\n', "mcp_servers.coord is another program's"),
        ("[mcp_servers.coord]\n", "mcp_servers.coord is another program's"),
        (f"{OWN}startup_timeout_sec = 9\n", "only its author can change"),
        (OWN.replace("args", "cwd = '/x'\nargs"), "only its author can change"),
    ],
)
def test_toml_that_cannot_be_changed_without_a_loss_is_refused(text: str, says: str) -> None:
    with pytest.raises(BadData) as refused:
        texts.with_toml_server(text, "qa")
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("named", "agent"),
    [
        (None, "claude-1"),
        ("", "claude-1"),
        ("qa", "qa"),
        ("agent:qa", "qa"),
        ("human:kim", "claude-1"),
    ],
)
def test_a_persons_name_is_not_given_to_the_program(named: str | None, agent: str) -> None:
    assert agent_of(named, "claude") == agent


def state(shell: Shell) -> dict[str, bytes]:
    """Every file outside the store and the repository."""
    return {
        str(path.relative_to(shell.cwd)): path.read_bytes()
        for path in shell.cwd.rglob("*")
        if path.is_file() and not {".git", ".coord"} & set(path.relative_to(shell.cwd).parts)
    }


def write(shell: Shell, path: str, text: str) -> Path:
    file = shell.cwd / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def changes(shell: Shell, line: str) -> dict[str, str]:
    return {row["file"]: row["change"] for row in shell(f"coord setup {line}").lines}


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_is_set_up_once_and_taken_back_byte_for_byte(shell: Shell, program: str) -> None:
    first, second = FILES[program]
    write(shell, first, '{ "theme": "dark",\n   "hooks": {"Stop": [] } }')
    before = state(shell)
    assert changes(shell, f"{program} --yes") == {first: "changed", second: "added"}
    done = state(shell)
    found = json.loads(done[first])
    assert found["theme"] == "dark"
    assert set(commands(found["hooks"])) == set(commands(wanted(program, "tester")))
    assert b"coord-mcp" in done[second]
    assert changes(shell, f"{program} --yes") == {first: "unchanged", second: "unchanged"}
    assert changes(shell, f"{program} --yes --as other") == {first: "changed", second: "changed"}
    assert b"tester" not in b"".join(state(shell).values())
    assert set(changes(shell, f"{program} --yes").values()) == {"unchanged"}, "the name stays"
    (row,) = (row for row in shell("coord doctor").lines if program in row["check"])
    assert row["status"] == "ok"
    (copy,) = (shell.cwd / f".coord/local/setup/{program}").glob(Path(first).name)
    assert copy.read_bytes() == before[first]
    assert changes(shell, f"{program} --undo --yes") == {first: "changed", second: "removed"}
    assert state(shell) == before
    refused = shell(f"coord setup {program} --undo --yes", expect=1)
    assert "nothing to undo" in refused.err


def test_what_was_changed_since_is_kept_by_undo(shell: Shell) -> None:
    write(shell, CLAUDE, '{"env": {"A": "1"}}')
    shell("coord setup claude --yes")
    file = shell.cwd / CLAUDE
    found = json.loads(file.read_text())
    found["hooks"]["Stop"].append(mine("say done"))
    found["env"]["B"] = "2"
    file.write_text(json.dumps(found))
    servers = shell.cwd / SERVERS
    servers.write_text(servers.read_text().replace('"coord":', '"mine": {}, "coord":'))
    assert changes(shell, "claude --yes --as other")[CLAUDE] == "changed"
    shell("coord setup claude --undo --yes")
    assert json.loads(file.read_text()) == {
        "env": {"A": "1", "B": "2"},
        "hooks": {"Stop": [mine("say done")]},
    }
    assert json.loads(servers.read_text()) == {"mcpServers": {"mine": {}}}


def test_without_consent_nothing_changes(shell: Shell) -> None:
    before = state(shell)
    dry = shell("coord setup codex --dry-run")
    assert dry.out.startswith(f"--- /dev/null\n+++ b/{HOOKS}\n")
    assert dry.err == ""
    refused = shell("coord setup codex", expect=2)
    assert "no terminal to ask on; use --yes or --dry-run" in refused.err
    terminal = Terminal(shell, 80)
    for answer, status in ((b"n\n", 1), (b"\n", 1), (b"\x04", 1)):
        lines = terminal.run(["coord", "setup", "codex"], answer)
        assert terminal.status == status
        assert any("Change these files? [y/N]" in line for line in lines)
        assert lines[-1].endswith("coord: nothing was changed")
    assert state(shell) == before
    assert not (shell.cwd / ".coord/local/setup").exists()
    terminal.run(["coord", "setup", "codex"], b"y\n")
    assert terminal.status == 0
    assert set(state(shell)) == {HOOKS, CONFIG}


def test_the_difference_cannot_steer_the_terminal(shell: Shell) -> None:
    write(shell, CLAUDE, '{"a": "\x1b]0;x\x07\u202e"}'.replace("\x1b]0;x\x07", "\x7f\x9b2J"))
    terminal = Terminal(shell, 80)
    terminal.run(["coord", "setup", "claude"], b"n\n")
    assert terminal.steering == b""
    assert "\\u{9b}" in terminal.printed.decode()


def test_a_file_that_changes_meanwhile_is_not_written(shell: Shell) -> None:
    from coord_coord.setup import Setup
    from coord_envelope.errors import TryAgain
    from coord_kernel.cli.call import Call

    file = write(shell, SERVERS, "{}")
    work = Setup(Call("tester"), "claude")
    file.write_text('{"mine": 1}')
    with pytest.raises(TryAgain):
        work.apply()
    assert state(shell) == {SERVERS: b'{"mine": 1}'}


ODD: list[tuple[str, int, str]] = [
    (f"mkdir .claude; echo '{{' > {CLAUDE}", 65, f"{CLAUDE}: not valid JSON: line 2"),
    (f"mkdir .claude; printf '\\377' > {CLAUDE}", 65, f"{CLAUDE}: not valid UTF-8 at byte 0"),
    (f"mkdir -p {CLAUDE}", 65, f"{CLAUDE}: "),
    (f"mkdir .claude; mkfifo {CLAUDE}", 65, f"{CLAUDE}: not a regular file"),
    (f"mkdir .claude; ln -s nothing {CLAUDE}", 65, "which is missing; remove the link"),
    (f"mkdir .claude; ln -s /etc/hostname {CLAUDE}", 77, "outside this directory"),
    ("ln -s /tmp .claude", 77, f"{CLAUDE}: a link to /tmp/settings.local.json, outside"),
    ("touch .claude", 65, ".claude: not a directory"),
    (f"mkdir .claude; ln -s settings.local.json {CLAUDE}", 65, f"{CLAUDE}: "),
    (f"mkdir .claude; head -c 2000000 /dev/zero > {CLAUDE}", 65, "more than 1,048,576 bytes"),
    ('echo \'{"mcpServers": {"coord": {}}}\' > .mcp.json', 65, "is another program's"),
]


@pytest.mark.parametrize(("make", "status", "says"), ODD, ids=lambda each: str(each)[:40])
def test_an_odd_file_is_one_clear_line_and_nothing_is_written(
    shell: Shell, make: str, status: int, says: str
) -> None:
    shell(make)
    before = shell("ls -lAR --time-style=full-iso . | grep -v coord").out
    done = shell("coord setup claude --yes", expect=status)
    assert done.err.count("\n") == 1
    assert says in done.err
    assert shell("ls -lAR --time-style=full-iso . | grep -v coord").out == before
    (row,) = (row for row in shell("coord doctor", expect=1).lines if "claude" in row["check"])
    assert row["status"] == "problem"


def test_a_link_within_the_work_tree_is_followed_and_the_mode_stays(shell: Shell) -> None:
    real = write(shell, "dotfiles/claude.json", "{}")
    real.chmod(0o640)
    (shell.cwd / ".claude").mkdir()
    (shell.cwd / CLAUDE).symlink_to("../dotfiles/claude.json")
    shell("coord setup claude --yes")
    assert (shell.cwd / CLAUDE).is_symlink()
    assert "coord-hooks" in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o640


def test_the_settings_are_those_of_the_work_tree(shell: Shell) -> None:
    shell("git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x")
    shell("git worktree add -q ../other; mkdir sub; cd sub; coord setup codex --yes")
    assert set(state(shell)) == {HOOKS, CONFIG}
    shell("cd ../other; coord setup claude --yes")
    assert (shell.cwd.parent / "other" / CLAUDE).exists()
    assert CLAUDE not in state(shell)


def test_what_is_missing_around_it_is_said(shell: Shell) -> None:
    assert "unknown program: emacs" in shell("coord setup emacs", expect=2).err
    done = shell(f"{BIN}/coord setup claude --yes", PATH="/usr/bin:/bin")
    assert f"add {BIN} to PATH, or no hook can run" in done.err
    assert "make one with `ev init`" in shell("rm -r .coord; coord setup claude", expect=69).err


def test_the_hooks_that_are_set_up_are_run(shell: Shell) -> None:
    """As Claude Code does: the command with a shell, its input on stdin."""
    shell("coord setup claude --yes --as qa")
    hooks = json.loads((shell.cwd / CLAUDE).read_text())["hooks"]
    shell("lease acquire 'file:src/**' --as fixer")
    (command,) = (text for _, text in commands(hooks) if text.startswith("coord-hooks edit"))
    call = {"session_id": "s", "tool_name": "Edit", "tool_input": {"file_path": "src/a.py"}}
    done = shell(command, json.dumps(call), COORD_AGENT="").one
    assert done["hookSpecificOutput"]["permissionDecision"] == "deny"


CONNECTED = {
    "claude": r"coord: coord-mcp stdio - .*Connected",
    "codex": r"coord +coord-mcp +stdio .*enabled",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_real_program_reads_what_was_set_up(shell: Shell, program: str, tmp_path: Path) -> None:
    """Offline: it lists its MCP servers, and Claude Code starts them, as it has leave to."""
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    pytest.importorskip("mcp", reason="the MCP SDK is not installed, so no server is set up")
    trust = f'[projects."{shell.cwd}"]\ntrust_level = "trusted"\n'
    write(shell, "../home/.codex/config.toml", trust)
    home = {"HOME": f"{tmp_path}/home", "CODEX_HOME": f"{tmp_path}/home/.codex"}
    assert not re.search(CONNECTED[program], shell(f"{program} mcp list", b"", 0, **home).out)
    shell(f"coord setup {program} --yes")
    assert re.search(CONNECTED[program], shell(f"{program} mcp list", b"", 0, **home).out)
