"""coord-hooks: the settings are what the programs document; the hooks are short and never block."""

from __future__ import annotations

import json
import re
import runpy
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from bridges.hook_forms import ANSWER, context, edits, fire, given, hook, pasted, patches
from support import Done, Json, Shell

from coord_hooks.argv import TABLE
from coord_hooks.prime import PRIME
from coord_hooks.programs import PROGRAMS as KNOWN

ROOT = Path(__file__).parent.parent.parent
PROGRAMS = ("claude", "codex")
MOST = {"claude": 10_000, "codex": 2_500 * 3}
"""Characters of context that a program accepts; Codex counts tokens, at least 3 characters each."""


def tokens(text: str) -> int:
    """An upper bound of the tokens that any model's tokenizer makes of English and commands.

    One token for every 4 letters of a word, every 3 digits, each sign and each line, rounded up.
    (Tokenizers have most words as one token.)
    """
    pieces = ((r"[^\W\d_]+", 4), (r"\d+", 3), (r"[^\w\s]|_|\n", 1))
    return sum(
        -(-len(found) // size) for pattern, size in pieces for found in re.findall(pattern, text)
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_settings_are_only_printed(shell: Shell, program: str) -> None:
    before = shell("git status --porcelain --ignored; ls -A").out
    done = shell(f"coord-hooks settings {program} --as qa")
    assert done.err.startswith(f"coord-hooks: paste this into .{program}/")
    assert done.err.endswith("; nothing was changed\n")
    events = pasted(shell, program)
    every = {"SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "PreCompact"}
    every |= {"Stop", "SessionEnd"} | ({"Notification"} if program == "claude" else set())
    assert set(events) == every
    kept = json.loads(shell(f"coord-hooks settings {program} --as qa --keep").out)
    assert set(kept["hooks"]) == every - {"SessionEnd"}
    assert shell("git status --porcelain --ignored; ls -A").out == before


def test_an_unknown_program_or_a_missing_name_is_an_error(shell: Shell) -> None:
    assert (
        "unknown program: emacs; known programs: claude, codex, "
        in shell("coord-hooks settings emacs", expect=2).err
    )
    assert "no agent name" in shell("coord-hooks settings claude", COORD_AGENT="", expect=2).err


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_session_from_its_start_to_its_end(shell: Shell, program: str) -> None:
    """The pasted commands as the program runs them, with another agent's mail and lease."""
    env = {"CLAUDE_ENV_FILE": str(shell.cwd / "env"), "COORD_AGENT": ""}
    assert PRIME in context(fire(shell, program, given("SessionStart", source="startup"), **env))
    shell("msg send --to qa --subject 'lint is red' --as fixer")
    shell("lease acquire 'file:src/**' --as fixer")
    notice = context(fire(shell, program, given("UserPromptSubmit", prompt="go"), **env))
    assert "agent:fixer" in notice and "lint is red" in notice
    assert context(fire(shell, program, given("UserPromptSubmit", prompt="on"), **env)) == ""
    tool = KNOWN[program]["editors"].split("|")[0]
    blocked = {
        "claude": edits("src/a.py"),
        "codex": patches("*** Update File: src/a.py", "@@", "-a", "+b"),
    }
    refused, _ = fire(shell, program, blocked[program], **env)
    assert refused["hookSpecificOutput"]["permissionDecision"] == "deny"
    assert (
        "is held by agent:fixer as file:src/**"
        in refused["hookSpecificOutput"]["permissionDecisionReason"]
    )
    assert fire(shell, program, edits("doc/a.md", tool), **env) == [{}, {}]
    reads = given("PreToolUse", tool_name="Bash", tool_input={"command": "cat src/a.py"})
    assert fire(shell, program, reads, **env) == [{}] * (1 + (program == "codex"))
    assert fire(shell, program, given("Stop", stop_hook_active=False), **env) == [{}, {}]
    assert fire(shell, program, given("SessionEnd", reason="logout"), **env) == [{}]


def test_shell_commands_of_the_session_act_for_the_agent(shell: Shell) -> None:
    file = shell.cwd / "env"
    file.write_text("export OTHER=1\n")
    hook(
        shell,
        "coord-hooks start --as qa",
        given("SessionStart", session_id="a 'b'"),
        CLAUDE_ENV_FILE=str(file),
    )
    assert file.read_text().startswith("export OTHER=1\n")
    done = shell(". ./env; wk new x", COORD_AGENT="").one
    assert done["actor"] == {"agent_id": "agent:qa", "session_id": "a 'b'"}
    shell("msg send --to qa --subject x")  # it is known from its start on


def test_a_name_in_the_environment_overrides_the_pasted_one(shell: Shell) -> None:
    (first, *_) = pasted(shell, "claude")["SessionStart"]
    assert (
        "agent:other"
        in hook(shell, first[1], given("SessionStart"), COORD_AGENT="other")["hookSpecificOutput"][
            "additionalContext"
        ]
    )


def test_an_own_lease_does_not_refuse_an_edit(shell: Shell) -> None:
    """A lease of this session, or without a session (its MCP server's). One of another session does."""
    for session, answer in (("s1", {}), ("", {}), ("s2", None)):
        one = shell("lease acquire file:a.py --as qa", COORD_SESSION=session).one["refs"][
            "lease_id"
        ]
        found = hook(shell, "coord-hooks edit --as qa", edits("a.py"))
        assert found == answer if answer is not None else "hookSpecificOutput" in found
        shell(f"lease release {one} --as qa", COORD_SESSION=session)


def test_every_file_of_a_patch_is_checked(shell: Shell) -> None:
    shell("lease acquire file:b.py file:d.py --as fixer")
    for lines, held in (
        (("*** Add File: a.py", "+*** Update File: b.py"), ()),
        (("*** Update File: a.py", "*** Move to: b.py"), ("b.py",)),
        (("*** Delete File: d.py", "*** Update File: b.py"), ("d.py", "b.py")),
        (("*** Update File: /etc/passwd", "*** Update File: b.py"), ("b.py",)),
        (("*** Update File: /etc/passwd", "*** Update File: --help"), ()),
    ):
        found = hook(shell, "coord-hooks edit --as qa", patches(*lines))
        reason = found["hookSpecificOutput"]["permissionDecisionReason"] if found else ""
        assert [f"{path}: is held by agent:fixer" in reason for path in ("b.py", "d.py")] == [
            path in held for path in ("b.py", "d.py")
        ], lines


def test_the_end_gives_back_only_what_the_session_holds(shell: Shell) -> None:
    ids = [shell(f"wk new {n} -o id").out.strip() for n in range(4)]
    for item, session, agent in zip(
        ids, ("s1", "s2", "s1", "s1"), ("qa", "qa", "fixer", "qa"), strict=True
    ):
        shell(f"wk claim {item} --as {agent}", COORD_SESSION=session)
        shell(f"lease acquire x-a:{item} --as {agent}", COORD_SESSION=session)
    assert hook(shell, "coord-hooks end --as qa", given("SessionEnd", reason="logout")) == {}
    assert [shell(f"wk show {item}").one["status"] for item in ids] == [
        "ready",
        "active",
        "active",
        "ready",
    ]
    assert len(shell("lease ls").lines) == 2
    released = shell("ev replay --type work.released").lines
    assert len(released) == 2
    assert all("the session ended: logout" in json.dumps(one["body"]) for one in released)
    assert hook(shell, "coord-hooks end --as qa", given("SessionEnd", reason="logout")) == {}


class Program:
    """A coding agent with the pasted hooks: a session of it, and the environment of its shell."""

    def __init__(self, shell: Shell, session: str, *, env: Json, shell_id: str = "") -> None:
        self.shell, self.session, self.env = shell, session, env
        self.shell_id = shell_id or session
        self.file = shell.cwd.parent / f"env-{self.shell_id}"

    def fire(self, event: str, **more: Any) -> list[Any]:
        """Its hooks at an event, which do not see what is for its shell."""
        stdin = json.dumps({"session_id": self.session, "hook_event_name": event, **more})
        return fire(self.shell, "claude", stdin, CLAUDE_ENV_FILE=str(self.file), **self.env)

    def run(self, line: str) -> Done:
        """A command in its shell."""
        env = self.env | {"CLAUDE_CODE_SESSION_ID": self.shell_id}
        return self.shell(f". {self.file}; {line}", **env)

    def variables(self) -> Json:
        """What a program that is started in its shell inherits."""
        names = "COORD_AGENT|COORD_SESSION|COORD_SHELL|CLAUDE_CODE_SESSION_ID"
        lines = self.run(f"env | grep -E '^({names})='").out.splitlines()
        return dict(line.split("=", 1) for line in lines)


def holding(program: Program) -> str:
    """Claim an item and lease a file in the program's shell; the item's id."""
    item = program.run("wk new x -o id").out.strip()
    program.run(f"wk claim {item}; lease acquire file:{item}")
    return item


def held(shell: Shell, item: str) -> tuple[str, int]:
    leases = [row for row in shell("lease ls").lines if f"file:{item.lower()}" in row["resources"]]
    return str(shell(f"wk show {item}").one["status"]), len(leases)


NONE: Json = {"COORD_AGENT": "", "COORD_SESSION": ""}


def test_the_end_of_a_child_leaves_the_work_of_its_parent(shell: Shell) -> None:
    """History: a program started in a session's shell inherited the session, and ended it."""
    parent = Program(shell, "s1", env=NONE)
    parent.fire("SessionStart", source="startup")
    item = holding(parent)
    child = Program(shell, "s2", env=parent.variables())
    (start, *_) = child.fire("SessionStart", source="startup")
    name = child.run("wk new y").one["actor"]
    assert re.fullmatch(r"agent:qa[/.]child-\d+", name["agent_id"])
    assert name["session_id"] == "s2"
    assert name["agent_id"] in start["hookSpecificOutput"]["additionalContext"]
    other = holding(child)
    shell(f"msg send --to {name['agent_id']} --subject 'for the child' --as qa")
    assert "for the child" in context(child.fire("UserPromptSubmit", prompt="go"))
    child.fire("SessionEnd", reason="other")
    assert held(shell, other) == ("ready", 0)
    assert held(shell, item) == ("active", 1)
    assert item[-8:].lower() in parent.run("wk mine").out
    parent.fire("SessionEnd", reason="logout")
    assert held(shell, item) == ("ready", 0)


def test_without_hooks_a_child_is_not_its_parent_either(shell: Shell) -> None:
    """Its tools, and those of its MCP server, know the session by the program's own variable."""
    parent = Program(shell, "s1", env=NONE)
    parent.fire("SessionStart", source="startup")
    mine: Json = {"CODEX_SESSION_ID": "s3"}
    actor = shell("wk new x", **parent.variables() | mine).one["actor"]
    assert actor["session_id"] == "s3"
    assert re.fullmatch(r"agent:qa[/.]child-\d+", actor["agent_id"])
    named = shell("wk new x --as other", **parent.variables() | mine).one["actor"]
    assert named == {"agent_id": "agent:other", "session_id": "s3"}
    inside = Program(shell, "s4", env={**NONE, "COORD_AGENT": "codex-1", "CODEX_SESSION_ID": "s3"})
    inside.fire("SessionStart", source="startup")
    actor = inside.run("wk new x").one["actor"]
    assert actor["session_id"] == "s4"
    assert re.fullmatch(r"agent:codex-1[/.]child-\d+", actor["agent_id"])


@pytest.mark.parametrize("variable", ["CLAUDE_CODE_SESSION_ID", "CODEX_SESSION_ID"])
def test_hooks_and_tools_of_one_program_are_one_session(shell: Shell, variable: str) -> None:
    """As MCP servers and Codex's shell have it: no COORD_SESSION, but the program's own."""
    mine: Json = {variable: "s1"}
    item = shell("wk new x -o id").out.strip()
    shell(f"wk claim {item}; lease acquire file:{item} --as qa", **mine)
    shell(f"wk release {item}; wk claim {item} --as qa", **mine)
    end = given("SessionEnd", reason="other")
    assert hook(shell, "coord-hooks end --as qa", end, **mine) == {}
    assert held(shell, item) == ("ready", 0)


def test_a_subagent_neither_begins_nor_ends_anything(shell: Shell) -> None:
    """It has its parent's session. History: Codex's subagents were told the mail, their parent not."""
    program = Program(shell, "s1", env=NONE)
    program.fire("SessionStart", source="startup")
    item = holding(program)
    shell("msg send --to qa --subject 'for the main agent'")
    sub = {"agent_id": "a1", "agent_type": "general-purpose"}
    for event in ("SessionStart", "UserPromptSubmit", "Stop", "SessionEnd"):
        assert set(map(str, program.fire(event, **sub))) == {"{}"}, event
    assert held(shell, item) == ("active", 1)
    assert "for the main agent" in context(program.fire("UserPromptSubmit", prompt="go"))
    shell("lease acquire 'file:src/**' --as fixer")
    tool = {"tool_name": "Edit", "tool_input": {"file_path": "src/a.py"}}
    refused, _ = program.fire("PreToolUse", **tool, **sub)
    assert refused["hookSpecificOutput"]["permissionDecision"] == "deny"


def test_a_fork_holds_and_gives_back_its_own(shell: Shell) -> None:
    """Claude Code starts a fork with the id of the session that it forked; its shell has the new one."""
    first = Program(shell, "old", env=NONE)
    first.fire("SessionStart", source="startup")
    kept = holding(first)
    fork = Program(shell, "old", env=NONE, shell_id="new")
    fork.fire("SessionStart", source="resume")
    item = holding(fork)
    fork.session = "new"
    fork.fire("SessionEnd", reason="other")
    assert held(shell, item) == ("ready", 0)
    assert held(shell, kept) == ("active", 1)


def test_a_session_that_is_resumed_keeps_what_it_holds_if_asked(shell: Shell) -> None:
    """`claude -p` ends a session after each turn, and `--resume` goes on with it."""
    turn = Program(shell, "s1", env={**NONE, "COORD_KEEP": "1"})
    turn.fire("SessionStart", source="startup")
    item = holding(turn)
    turn.fire("SessionEnd", reason="other")
    assert held(shell, item) == ("active", 1)
    last = Program(shell, "s1", env=NONE)
    last.fire("SessionStart", source="resume")
    last.run(f"wk comment {item} 'second turn'")
    last.fire("SessionEnd", reason="other")
    assert held(shell, item) == ("ready", 0)


def test_a_session_says_what_it_does_at_most_once_a_minute_unless_that_changes(
    shell: Shell,
) -> None:
    """Beats are live: none is in the journal, so none is synced."""
    steps: tuple[tuple[str, str, Json], ...] = (
        ("09:00:00", "UserPromptSubmit", {}),
        ("09:00:10", "PreToolUse", {"tool_name": "Bash"}),
        ("09:00:59", "PostToolUse", {"tool_name": "Bash"}),
        ("09:01:00", "PreToolUse", {"tool_name": "Bash"}),
        (
            "09:01:05",
            "Notification",
            {"message": "asks to run rm", "notification_type": "permission_prompt"},
        ),
        ("09:01:06", "Notification", {"message": "asks again"}),
        ("09:01:20", "PostToolUse", {"tool_name": "Bash"}),
        ("09:01:30", "Stop", {}),
        ("09:02:31", "Notification", {"message": "is idle", "notification_type": "idle_prompt"}),
        ("09:02:32", "Other", {}),
    )
    for clock, event, more in steps:
        now = f"2026-06-01T{clock}Z"
        assert hook(shell, "coord-hooks seen --as qa", given(event, **more), COORD_NOW=now) == {}
    beats = shell("ev tail --type agent.seen").lines
    assert [(beat["ts"][11:19], beat["body"]) for beat in beats] == [
        ("09:00:00", {"status": "busy"}),
        ("09:01:00", {"status": "busy", "tool": "Bash"}),
        ("09:01:05", {"status": "waiting", "why": "asks to run rm"}),
        ("09:01:20", {"status": "busy", "tool": "Bash"}),
        ("09:01:30", {"status": "idle"}),
        ("09:02:31", {"status": "idle"}),
    ]
    assert {beat["actor"]["session_id"] for beat in beats} == {"s1"}
    assert shell("ev replay --type agent.seen").out == ""


def test_a_session_starts_once_and_ends_what_it_started(shell: Shell) -> None:
    for source in ("startup", "compact"):
        hook(
            shell,
            "coord-hooks start --as qa",
            given("SessionStart", source=source, cwd=str(shell.cwd)),
        )
    hook(shell, "coord-hooks end --as qa", given("SessionEnd", reason="logout"), COORD_KEEP="1")
    hook(shell, "coord-hooks end --as qa", given("SessionEnd", reason="logout"))
    hook(shell, "coord-hooks start --as qa", given("SessionStart", source="resume"))
    first, ended, second = shell("ev replay --type 'session.*'").lines
    assert (first["body"], second["body"]) == ({"cwd": str(shell.cwd)}, {})
    assert ended["body"] == {"how": "exit", "start": first["event_id"], "why": "logout"}
    assert {event["type"] for event in (first, second)} == {"session.started"}


def test_a_patch_in_a_shell_command_is_checked_where_it_applies(shell: Shell) -> None:
    shell("lease acquire file:src/b.py --as fixer; mkdir src")
    patch = "*** Begin Patch\n*** Update File: b.py\n*** End Patch\n"
    for before, denied in (
        ("cd src && ", True),
        ("cd 'src'; ", True),
        ("", False),
        ("cd ' ", False),
    ):
        command = f"{before}apply_patch <<'EOF'\n{patch}EOF\n"
        line = given("PreToolUse", tool_name="Bash", tool_input={"command": command})
        answer, _ = fire(shell, "codex", line, COORD_AGENT="")
        assert bool(answer) == denied, before


@pytest.mark.parametrize("command", ["start", "edit", "seen", "end"])
@pytest.mark.parametrize(
    ("line", "stdin", "says"),
    [
        ("coord-hooks {} --as qa", "{", "not JSON"),
        ("coord-hooks {} --as qa", "[]", "not a JSON object"),
        ("coord-hooks {} --as 'a b'", "{}", "not a valid address"),
        ("coord-hooks {}", "{}", "no agent name"),
        ("coord-hooks {} --bogus", "{}", "No such option"),
        ("coord-hooks {} --as qa", '{"cwd":"/nowhere"}', ""),
    ],
)
def test_it_never_fails(shell: Shell, command: str, line: str, stdin: str, says: str) -> None:
    done = shell(line.format(command), stdin, COORD_AGENT="")
    assert done.err.count("\n") <= 1
    assert says in done.err
    jsonschema.validate(done.one, ANSWER)


@pytest.mark.parametrize("command", ["start", "edit", "seen", "end"])
@pytest.mark.parametrize(
    "damage", ["rm -r .coord", "chmod o+w .coord", "rm -r .coord/journal; touch .coord/journal"]
)
def test_a_broken_store_stops_nothing(shell: Shell, command: str, damage: str) -> None:
    done = shell(f"{damage}; coord-hooks {command} --as qa", edits("a.py"))
    assert command == "start" or done.out == "{}\n"


def test_a_program_that_leaves_stdin_open_is_answered(shell: Shell) -> None:
    process = shell.popen("coord-hooks edit --as qa", stdin=-1, stdout=-1)
    assert process.stdin and process.stdout
    process.stdin.write(edits("a.py").encode())
    process.stdin.flush()
    assert process.stdout.read() == b"{}\n"
    process.stdin.close()
    assert process.wait() == 0


@pytest.mark.parametrize("program", PROGRAMS)
def test_context_over_the_limit_is_cut_between_messages_and_says_how_to_continue(
    shell: Shell, program: str
) -> None:
    shell("msg join --as qa")
    lines = (json.dumps({"to": "qa", "subject": f"{n:03d} {'x' * 190}"}) + "\n" for n in range(200))
    shell("msg send", "".join(lines))
    text = context(fire(shell, program, given("SessionStart", source="startup"), COORD_AGENT=""))
    assert len(text) <= MOST[program]
    pointers = [line for line in text.split("\n") if line.startswith("msg-")]
    assert all(
        re.fullmatch(r"msg-\w{8} from agent:tester, .* ago: \d{3} x{116}…", line)
        for line in pointers
    )
    assert f"+{200 - len(pointers)} more" in text
    assert "msg recv --text" in text


def test_the_prime_is_short() -> None:
    assert tokens(PRIME) < 600
    assert tokens("msg received\n123456!") == 1 + 2 + 1 + 2 + 1


def test_the_prime_is_true(shell: Shell) -> None:
    """Each of its commands works, with ids and words filled in."""
    lines = [
        line.partition(" # ")[0]
        for line in PRIME.split("\n")
        if re.match(r"(wk|msg|lease|run|ev) ", line)
    ]
    assert {shlex.split(line)[0] for line in lines} == {"wk", "msg", "lease", "run", "ev"}
    shell("msg join --as fixer")
    for number, example in enumerate(lines):
        line = example
        tool, verb, *_ = shlex.split(line)
        make = {
            "wk": "wk new x",
            "msg": "msg send --to tester --subject x",
            "run": "run request true",
        }
        made = make.get(tool, f"lease acquire x-a:{number}")
        which = shell(f"{made} -o id").out.strip()
        if (tool, verb) == ("wk", "release"):
            shell(f"wk claim {which}")
        if verb == "logs":
            shell("run worker --once --as worker")
        words = {
            "ID": which,
            "TITLE": "'a title'",
            "TEXT": "'a text'",
            "NAME": "fixer",
            "CMD": "true",
        }
        for word, stands_for in words.items():
            line = re.sub(rf"\b{word}\b", stands_for, line)
        shell(line)
        brief = line.replace(f"{tool} {verb}", f"{tool} {verb} -o brief")
        assert shell(brief, expect=None).status != 2, brief
    assert shell("coord-hooks prime --as nobody").out == PRIME


def test_the_table_matches_the_application() -> None:
    assert runpy.run_path(str(ROOT / "tools/table.py"))["table"]("hooks") == TABLE, "make table"
