"""ev emit: what is taken, what is refused, and what a refusal leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest
from support import ME, Shell, check_invariants, drafts, open_journal, open_store

GOOD = '{"type":"a.b","body":{"n":%d}}\n'


def test_flags_make_one_event(shell: Shell) -> None:
    line = "ev emit ci.failed --body '{\"n\":1}' --ref work_id=W --ref x=y=z --to qa --to human:ada --key k"
    event = shell(line.replace("--to qa", "--to agent:qa"), COORD_SESSION="s-1").one
    assert event["refs"] == {"work_id": "W", "x": "y=z"}
    assert event["to"] == ["agent:qa", "human:ada"]
    assert event["actor"] == {"agent_id": "agent:tester", "session_id": "s-1"}
    assert (event["idempotency_key"], event["body"]) == ("k", {"n": 1})


def test_a_body_comes_from_a_file_or_stdin(shell: Shell) -> None:
    (shell.cwd / "b.json").write_text('{ "n" : [1, 2.50, 12345678901234567890123] }\n')
    for line in ("ev emit a.b --body @b.json", "ev emit a.b --body - <b.json"):
        assert '"body":{"n":[1,2.5,12345678901234567890123]}' in shell(line).out


def test_type_alone_does_not_read_stdin(shell: Shell) -> None:
    writer = shell.popen("ev emit a.b", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert writer.wait(timeout=20) == 0


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("not json", "line 2: not JSON"),
        ("[]", "line 2: not a JSON object"),
        ('{"body":{}}', "line 2: type is missing"),
        ('{"type":"Bad","body":{}}', "line 2: not a valid type: 'Bad'; use"),
        ('{"type":"nodot"}', "not a valid type: 'nodot'; use namespace.verb"),
        ('{"type":"a.b","body":[]}', "body is not a JSON object"),
        ('{"type":"a.b","to":"robot:x"}', "line 2: to: not a valid address: 'robot:x'; use"),
        ('{"type":"a.b","to":[]}', "to is not a list"),
        ('{"type":"a.b","refs":{"a":1}}', "refs is not"),
        ('{"type":"a.b","seq":7}', "seq is set by the journal"),
        ('{"type":"a.b","ts":"2026-01-01T00:00:00.000Z"}', "ts is set by the journal"),
        ('{"type":"a.b","boddy":{}}', "field 'boddy'"),
        ('{"type":"a.b","hops":33}', "loop"),
        ('{"type":"a.b","actor":{"agent_id":"agent:other"}}', "actor.agent_id is not agent:tester"),
        ('{"type":"a.b","body":{"x":NaN}}', "NaN"),
        ('{"type":"a.b","body":{"x":"\\ud800"}}', "not JSON"),
        ('{"type":"a.b","body":{"x":"%s"}}' % ("x" * 1_100_000), "longer than 1,048,576"),
        ('{"type":"a.b","body":{"token":"ghp_%s"}}' % ("a" * 36), "credential"),
        ('{"type":"work.nope"}', "unknown kernel type 'work.nope'"),
        ('{"type":"work.created","body":{}}', "'title' is a required property"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else None,
)
def test_a_bad_line_among_good_ones_is_named_and_costs_only_itself(
    shell: Shell, line: str, says: str
) -> None:
    status = 77 if says == "credential" else 65
    done = shell("ev emit", f"{GOOD % 1}{line}\n{GOOD % 3}", expect=status)
    assert [event["body"]["n"] for event in done.lines] == [1, 3]
    assert says in done.err
    assert done.err.startswith("ev: line 2: ")
    assert done.err.count("\n") == 1
    assert shell("ev replay").out == done.out
    check_invariants(open_store(shell.cwd))


@pytest.mark.parametrize(
    "line",
    ["ev emit Bad", "ev emit a.b --body 1", "ev emit a.b --body '{'", "ev emit a.b --to x:y", "ev emit a.b --ref x",
     "ev emit a.b --ref x=1 --ref x=2", "ev emit a.b --as Bad", "ev emit work.created", "ev emit a.b --as robot:x"],
)  # fmt: skip
def test_a_bad_event_is_65_and_one_line_and_writes_nothing(shell: Shell, line: str) -> None:
    done = shell(line, expect=65)
    assert (done.out, done.err.count("\n")) == ("", 1)
    assert shell("ev replay").out == ""


def test_an_unknown_agent_form_in_the_environment_is_65(shell: Shell) -> None:
    assert "robot:x" in shell("ev emit a.b", expect=65, COORD_AGENT="robot:x").err


def test_no_agent_and_no_terminal_is_usage(shell: Shell) -> None:
    assert (
        "no agent name; set COORD_AGENT or use --as NAME"
        in shell("ev emit a.b", expect=2, COORD_AGENT="").err
    )


def test_a_missing_store_says_how_to_make_one(shell: Shell) -> None:
    assert (
        "make one with `ev init`"
        in shell("cd .. && ev emit a.b", expect=69, HOME=str(shell.cwd)).err
    )


def test_a_missing_body_file_is_named(shell: Shell) -> None:
    assert (
        shell("ev emit a.b --body @gone.json", expect=74).err
        == "ev: gone.json: no such file or directory\n"
    )


def test_what_could_not_be_read_or_printed_is_named(shell: Shell) -> None:
    # Of a directory there was no name; and "make room" was said of the store, which had the event.
    for tool in ("ev emit a.b", "msg send --to tester", "wk new x --desc"):
        line = f"{tool} {'' if tool.endswith('--desc') else '--body'} @/tmp"
        assert ": /tmp: is a directory" in shell(line, expect=74).err
    assert (
        "ev: standard output: no space left on device"
        in shell("ev emit a.b >/dev/full", expect=74).err
    )
    assert "ev: standard output: bad file descriptor" in shell("ev emit a.b >&-", expect=74).err


def test_failures_as_json(shell: Shell) -> None:
    error = json.loads(shell("ev emit --errors json", "x\n", expect=65).err)
    assert (error["tool"], error["status"], error["where"]) == ("ev", 65, "line 1")
    assert json.loads(shell("ev tail --errors json --nope", expect=2).err)["status"] == 2


def test_blank_lines_a_missing_last_newline_and_annotations_are_fine(shell: Shell) -> None:
    done = shell("ev emit", '\n  \n{"type":"a.b","$dup":true,"$x":1}\n\n{"type":"a.c"}')
    assert [event["type"] for event in done.lines] == ["a.b", "a.c"]
    assert "$" not in shell("ev replay").out


def test_a_whole_event_sets_off_a_new_one(shell: Shell) -> None:
    first = shell("ev emit a.b --body '{\"n\":1}' --as other").one
    second = shell("ev replay | ev emit").one
    assert (second["cause"], second["hops"], second["body"]) == (first["event_id"], 1, {"n": 1})
    assert second["actor"] == {"agent_id": "agent:tester", "on_behalf_of": "agent:other"}
    assert shell(f"ev emit a.c --cause {second['event_id'][-8:].lower()}").one["hops"] == 2


def test_a_loop_of_pipes_ends(shell: Shell) -> None:
    shell("ev emit a.b")
    for _ in range(33):
        done = shell("ev tail -n 1 | ev emit", expect=None)
    assert done.status == 65
    assert "loop" in done.err
    assert len(shell("ev replay").lines) == 33


def test_each_event_is_acked_before_the_producer_goes_on(shell: Shell) -> None:
    """A slow producer is never held back for a batch to fill: it gets its ack with stdin still open."""
    writer = shell.popen("ev emit", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert writer.stdin and writer.stdout
    for n in range(3):
        writer.stdin.write((GOOD % n).encode())
        writer.stdin.flush()
        acked = writer.stdout.readline()
        assert acked == shell("ev tail -n 1").out.encode()
    writer.stdin.close()
    assert writer.wait(timeout=20) == 0


def test_what_waits_is_one_batch(shell: Shell) -> None:
    """1,000 waiting lines take few fdatasyncs, counted by strace where it is there."""
    if subprocess.run(["which", "strace"], capture_output=True).returncode:
        pytest.skip("strace is not installed")
    lines = "".join(GOOD % n for n in range(1000))
    (shell.cwd / "in").write_text(lines)
    shell("strace -f -e trace=fdatasync,fsync -o trace ev emit <in >/dev/null")
    assert (shell.cwd / "trace").read_text().count("fdatasync(") <= 3


def test_ids_only(shell: Shell) -> None:
    ids = shell("ev emit -o id", GOOD % 1 + GOOD % 2).out.split()
    assert ids == [event["event_id"] for event in shell("ev replay").lines]


def test_a_dup_is_printed_as_the_first_and_not_written(shell: Shell) -> None:
    line = '{"type":"a.b","idempotency_key":"k"}\n'
    first, again = shell("ev emit", line + line).lines
    assert again == {**first, "$dup": True}
    assert len(shell("ev replay").lines) == 1
    assert "'k' was used" in shell("ev emit", line.replace("}", ',"body":{"n":1}}'), expect=65).err


def test_at_a_terminal_without_arguments_there_is_a_hint(shell: Shell) -> None:
    status, text = on_terminal(shell, ["ev", "emit"])
    assert status == 2
    assert "JSON lines on stdin" in text


def test_a_person_at_a_terminal_is_known_and_gets_a_table(shell: Shell) -> None:
    shell.env["COORD_AGENT"] = ""
    status, text = on_terminal(
        shell, ["ev", "emit", "a.b", "--body", '{"x":"\\u001b[31mred\u202e"}']
    )
    assert status == 0
    assert "human:" in text
    assert "a.b" in text
    assert "\x1b[31mred" not in text and "\u202e" not in text
    status, text = on_terminal(shell, ["ev", "tail", "-o", "jsonl"])
    assert json.loads(text)["body"]["x"] == "\x1b[31mred\u202e"
    assert "\u202e" not in text


def test_no_column_vanishes_on_a_narrow_terminal(shell: Shell) -> None:
    """History: fitted into 80 columns, a long row lost its id and kept its text."""
    event = shell("ev emit a.b --body -", json.dumps({"text": "x" * 500})).one
    _, text = on_terminal(shell, ["ev", "tail"])
    rows = text.splitlines()
    assert f"  tester a.b ev-{event['event_id'][-8:].lower()} xxx" in rows[0]
    assert len(rows) == 1
    assert len(rows[0]) <= 120
    assert rows[0].endswith("…")


def on_terminal(shell: Shell, argv: list[str]) -> tuple[int, str]:
    """Run a command on a pseudo terminal; its status and all it showed."""
    import pty

    pid, fd = pty.fork()
    if not pid:
        os.chdir(shell.cwd)
        os.execvpe(argv[0], argv, {**shell.env, "TERM": "dumb", "COLUMNS": "120"})
    shown = b""
    try:
        while chunk := os.read(fd, 4096):
            shown += chunk
    except OSError:
        pass  # Linux says EIO where the other side is closed
    status: Any = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return status, shown.decode()


def test_a_closed_stdout_is_an_error_and_never_the_journal(shell: Shell) -> None:
    shell("ev emit a.b")
    for closed in (">&-", ">&- 2>&-", "<&- >&- 2>&-"):
        shell(f"ev emit a.b {closed}", expect=74)
    assert len(shell("ev replay").lines) == 4
    assert shell("ev verify").out == ""


def test_a_missing_local_directory_is_made_again(shell: Shell) -> None:
    first = shell("ev emit a.b").one
    shell("rm -r .coord/local")
    second = shell("ev emit a.b --key k").one
    assert second["writer"] != first["writer"]
    assert len(shell("ev replay").lines) == 2


def test_an_invalid_pinned_clock_is_reported(shell: Shell) -> None:
    assert (
        "not a valid time: COORD_NOW=noon" in shell("ev emit a.b", expect=2, COORD_NOW="noon").err
    )


def test_short_addresses_become_full_ones(shell: Shell) -> None:
    shell('ev emit a.b --to bob; echo \'{"type":"a.b","to":["bob","human:ada"]}\' | ev emit')
    assert [event["to"] for event in shell("msg recv --as bob").lines] == [
        ["agent:bob"],
        ["agent:bob", "human:ada"],
    ]


def test_a_body_that_could_not_be_read_again_is_refused(shell: Shell) -> None:
    deep = '{"x":' * 128 + "0" + "}" * 128
    assert "nested" in shell("ev emit a.b --body -", deep, expect=65).err


def test_an_empty_key_is_refused_not_dropped(shell: Shell) -> None:
    """History: `--key "$UNSET"` was silently not idempotent."""
    assert "idempotency_key" in shell("ev emit a.b --key ''", expect=65).err
    assert "--body" in shell("ev emit a.b --body ''", expect=65).err


def test_a_full_stderr_or_odd_bytes_do_not_change_the_status(shell: Shell) -> None:
    shell("ev emit bad 2>/dev/full", expect=65)
    shell("ev show $'\\xff' --errors json", expect=1)


def test_failures_are_reported_in_the_order_of_the_lines(shell: Shell) -> None:
    shell("ev emit a.b --key k")
    lines = '{"type":"a.b","idempotency_key":"k","body":{"n":1}}\nbad\n{"type":"a.b","to":"x:y"}\n'
    told = shell("ev emit", lines, expect=65).err.splitlines()
    assert [line[:11] for line in told] == ["ev: line 1:", "ev: line 2:", "ev: line 3:"]


def test_an_ambiguous_cause_costs_only_its_own_line(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """History: the whole batch was dropped, without a line number."""
    from coord_envelope import world

    monkeypatch.setattr(world, "entropy", lambda n: b"\1" * n)
    one, _ = open_journal(shell.cwd).append(ME, drafts(2))
    lines = f'{GOOD % 1}{{"type":"a.b","cause":"{one.id[-5:]}"}}\n{GOOD % 3}'
    done = shell("ev emit", lines, expect=2)
    assert len(done.lines) == 2
    assert done.err.startswith("ev: line 2: ")


@pytest.mark.parametrize(
    "line",
    ["ev emit a.b --cause $'\\xff'", "ev emit a.b --body @/dev/zero", "ev emit a.b --key $'\\xff'"],
)
def test_odd_options_are_one_line(shell: Shell, line: str) -> None:
    assert shell(line, expect=65).err.count("\n") == 1
