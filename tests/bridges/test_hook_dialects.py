"""Hooks of many programs: what they were seen to give is understood, and answered in their dialect."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import pytest
from support import Json, Shell

from bridges import recorded
from coord_hooks.edits import paths_of
from coord_hooks.pieces import hooks as pieces
from coord_hooks.plugins import plugin
from coord_hooks.programs import PROGRAMS
from coord_kernel.cli import dialects

SEEN = tuple(recorded.FIELDS)
"""The programs whose hooks were recorded; the others run our plugin."""


def fire(shell: Shell, program: str, fields: Json) -> list[str]:
    """What the printed hooks that fit an event print, each."""
    wanted = pieces(program, "qa").get(fields["hook_event_name"], [])
    fitting = [
        hook["command"]
        for tools, hook in wanted
        if (not tools or re.fullmatch(tools, fields.get("tool_name", "")))
        and "asyncRewake" not in hook
    ]
    return [shell(line, json.dumps(fields), COORD_AGENT="").out for line in fitting]


def told(program: str, name: str, outputs: list[str]) -> str:
    """What the program shows to its model of what its hooks printed at an event."""
    form = recorded.TOLD[program]
    if form == "text":
        return "".join(outputs) if name == "UserPromptSubmit" else ""
    answers: list[Any] = [json.loads(output) for output in outputs]
    if name == "Stop":
        goes_on = "deny" if program == "gemini" else "block"
        return "".join(one["reason"] for one in answers if one.get("decision") == goes_on)
    nested = (one.get("hookSpecificOutput", {}) if form == "nested" else one for one in answers)
    return "\n".join(one.get("additionalContext", "") for one in nested)


def refused(program: str, outputs: list[str]) -> str:
    """Why a program does not use a tool; "" if it does."""
    for output in outputs:
        answer = json.loads(output) if output else {}
        if program == "gemini" and answer.get("decision") == "deny":
            return str(answer["reason"])
        nested = {} if program == "gemini" else answer.get("hookSpecificOutput", {})
        own = answer if program == "copilot" else nested
        if own.get("permissionDecision") == "deny":
            return str(own["permissionDecisionReason"])
    return ""


@pytest.mark.parametrize("program", SEEN)
def test_a_recorded_session_is_told_its_mail_and_refused_an_edit(
    shell: Shell, program: str
) -> None:
    repo = str(shell.cwd)
    shell("msg send --to qa --subject 'sent before' --as fixer --force; mkdir src; touch src/a.py")
    shell("lease acquire file:src/a.py --ttl 20m --as fixer")
    item = shell("wk new 'Write the parser' -o id").out.strip()
    shell(f"wk claim {item} --as qa", COORD_SESSION="s1")
    start = fire(shell, program, recorded.event(program, "SessionStart", repo, source="startup"))
    prompt = fire(shell, program, recorded.event(program, "UserPromptSubmit", repo, prompt="go"))
    first = told(program, "SessionStart", start) + told(program, "UserPromptSubmit", prompt)
    assert first.count("You are agent:qa.") == 1
    assert first.index("You hold wk-") < first.index("coord: agents here share")
    assert "sent before" in first
    again = fire(shell, program, recorded.event(program, "UserPromptSubmit", repo, prompt="on"))
    assert told(program, "UserPromptSubmit", again).strip() == ""

    edit = recorded.tool(program, "PreToolUse", repo, recorded.EDITS[program])
    assert "is held by agent:fixer as file:src/a.py" in refused(program, fire(shell, program, edit))
    read = recorded.tool(program, "PreToolUse", repo, recorded.READS[program])
    assert refused(program, fire(shell, program, read)) == ""

    shell("msg send --to qa --subject 'sent meanwhile' --as fixer")
    after = recorded.tool(program, "PostToolUse", repo, recorded.READS[program])
    stop = recorded.event(program, "Stop", repo, **recorded.STOPS[program])
    texts = told(program, "PostToolUse", fire(shell, program, after))
    texts += told(program, "Stop", fire(shell, program, stop))
    assert texts.count("sent meanwhile") == (program != "kimi")
    shown = shell("ev replay --type msg.acked").lines
    assert len(shown) == 1 + (program != "kimi"), "delivered is only what the model was shown"

    (handoff,) = shell("ev replay --type handoff.written").lines
    assert handoff["refs"]["work_id"] == item
    says = any("SAID" in str(text) for text in recorded.STOPS[program].values())
    assert handoff["body"].get("done", "") == ("SAID" if says else "")
    (begun,) = shell("ev replay --type session.started").lines
    assert begun["actor"] == {"agent_id": "agent:qa", "session_id": "s1"}
    assert begun["body"]["cwd"] == repo
    fire(shell, program, recorded.event(program, "SessionEnd", repo, reason="other"))
    assert shell(f"wk show {item}").one["status"] == "ready"


def test_a_program_that_reads_the_variables_itself_expands_none(shell: Shell) -> None:
    """History: Droid took `$COORD_SESSION` as it is, and each of its hooks was a child's."""
    repo, path = str(shell.cwd), shell.cwd.parent / "variables"
    start = recorded.event("droid", "SessionStart", repo, CLAUDE_ENV_FILE=str(path))
    fire(shell, "droid", start)
    lines = [line.removeprefix("export ") for line in path.read_text().splitlines()]
    variables: Json = dict(line.split("=", 1) for line in lines)
    assert variables == {
        "COORD_AGENT": "agent:qa",
        "COORD_SESSION": "s1",
        "COORD_SHELL": "s1",
    }
    shell("msg send --to qa --subject x")
    after = recorded.tool("droid", "PostToolUse", repo, recorded.READS["droid"])
    shell("msg hook droid --as qa", json.dumps(after), **variables)
    (ack,) = shell("ev replay --type msg.acked").lines
    assert ack["actor"] == {"agent_id": "agent:qa", "session_id": "s1"}
    assert shell("wk new x", **variables).one["actor"] == ack["actor"]


@pytest.mark.parametrize(
    ("stdin", "status"),
    [
        ({"notification_type": "permission_prompt", "message": "May I?"}, "waiting"),
        ({"notification_type": "idle_prompt"}, "idle"),
        ({"notification_type": "ToolPermission"}, "waiting"),
        ({"notification_type": "auth_success", "title": "Welcome"}, None),
    ],
)
def test_a_notice_says_that_a_person_is_asked_only_if_one_is(
    shell: Shell, stdin: Json, status: str | None
) -> None:
    line = json.dumps({"session_id": "s1", "hook_event_name": "Notification", **stdin})
    shell("coord-hooks seen qwen --as qa", line)
    beats = shell("ev tail --type agent.seen").lines
    assert [beat["body"]["status"] for beat in beats] == ([status] if status else [])


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_is_printed_is_what_the_program_reads(shell: Shell, program: str) -> None:
    text = shell(f"coord-hooks settings {program} --as 'qa'", COORD_AGENT="").out
    form = PROGRAMS[program]["form"]
    if form == "toml":
        tables = tomllib.loads(text)["hooks"]
        commands = [table["command"] for table in tables]
        assert {table["event"] for table in tables} <= set(dialects.DIALECTS["plain"]["moments"])
    elif form == "plugin":
        commands = []
        assert text == plugin(program, "qa") + "\n"
        assert '|| "qa"' in text and 'AGENT"' not in text and "KEEP" not in text
    elif form == "list":
        value = json.loads(text)
        assert value["version"] == 1
        commands = [hook["command"] for hooks in value["hooks"].values() for hook in hooks]
    else:
        groups = [group for each in json.loads(text)["hooks"].values() for group in each]
        commands = [hook["command"] for group in groups for hook in group["hooks"]]
    for command in commands:
        assert re.match(r"(msg hook|coord-hooks (start|seen|edit|end)) ", command)
        assert command.endswith('--as "${COORD_AGENT:-qa}"')
    kept = shell(f"coord-hooks settings {program} --as qa --keep").out
    ends = "const keep = false" if form == "plugin" else "coord-hooks end"
    assert (ends in text, ends in kept) == (True, False)


def test_an_unknown_program_is_refused_and_marks_no_mail(shell: Shell) -> None:
    shell("msg send --to qa --subject x --as fixer --force")
    event = json.dumps({"session_id": "s1", "hook_event_name": "SessionStart"})
    for line in ("msg hook emacs --as qa", "coord-hooks start emacs --as qa"):
        done = shell(line, event)
        assert done.out == "{}\n"
        assert "unknown program: emacs; known programs: claude, codex, " in done.err
    wrong = json.dumps({"session_id": "s1", "hook_event_name": "BeforeAgent"})
    assert "unsupported event: BeforeAgent" in shell("msg hook claude --as qa", wrong).err
    assert shell("ev replay --type msg.acked").out == ""


@pytest.mark.parametrize(
    ("fields", "paths"),
    [
        ({"file_path": "a"}, ["a"]),
        ({"filePath": "a"}, ["a"]),
        ({"notebook_path": "a"}, ["a"]),
        ({"path": "a"}, ["a"]),
        ({"file_path": 1, "command": None}, []),
        ({"command": "cat a"}, []),
        ({"command": "P"}, ["a"]),
        ({"input": "P"}, ["a"]),
        ({"patchText": "P"}, ["a"]),
        ({"command": "cd src && apply_patch <<'EOF'\nP"}, ["src/a"]),
        ({"command": "cd src; apply_patch <<'EOF'\nP"}, ["src/a"]),
        ({"command": "  cd  'src' &&  apply_patch <<'EOF'\nP"}, ["src/a"]),
        ({"command": "cd -- src\napply_patch <<'EOF'\nP"}, ["src/a"]),
        ({"command": "set -e; cd src && cd lib && apply_patch <<EOF\nP"}, ["src/lib/a"]),
        ({"command": "cd /srv && apply_patch <<EOF\nP"}, ["/srv/a"]),
        ({"command": "(cd src && apply_patch <<'EOF'\nP"}, ["src/a"]),
        ({"command": "echo cd src && apply_patch <<'EOF'\nP"}, ["a"]),
        ({"command": "cd ' && apply_patch <<'EOF'\nP"}, ["a"]),
        ("no object", []),
    ],
)
def test_which_files_a_tool_changes(fields: Any, paths: list[str]) -> None:
    patch = "*** Begin Patch\n*** Update File: a\n*** End Patch\n"
    if isinstance(fields, dict):
        fields = {
            name: re.sub("P$", patch, text) if isinstance(text, str) else text
            for name, text in fields.items()
        }
    assert paths_of(fields) == paths


def test_every_program_has_a_dialect_and_settings() -> None:
    assert set(dialects.PROGRAMS) == set(PROGRAMS)
    assert set(dialects.PROGRAMS.values()) == set(dialects.DIALECTS)
