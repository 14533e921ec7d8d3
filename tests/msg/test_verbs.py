"""msg read, unread, ls --unread, ack --all, --severity, join --retain, and the filters of watch."""

from __future__ import annotations

import json

import pytest
from proof.witness import Watched
from support import Json, Shell

from coord_msg import fold


@pytest.fixture
def shell(shell: Shell) -> Shell:
    shell("for one in qa other; do msg join --as $one; done")
    return shell


def sent(shell: Shell, options: str = "--to qa", **env: str) -> str:
    return str(shell(f"msg send {options} --subject s --body b -o id", b"", 0, **env).out.strip())


def ids(shell: Shell, line: str) -> list[str]:
    return shell(f"msg {line} -o id").out.split()


def test_read_prints_the_mail_and_marks_it_once(shell: Shell) -> None:
    first, second = sent(shell), sent(shell)
    read = shell(f"msg read {first} {second} --as qa").lines
    assert [(mail["event_id"], mail["body"]["text"]) for mail in read] == [
        (first, "b"),
        (second, "b"),
    ]
    assert ids(shell, "ls qa --unread") == []
    assert ids(shell, "recv --as qa") == [first, second], "it waits for its ack"
    shell(f"msg read {first} --text --as qa")
    assert len(shell("ev replay --type msg.acked").lines) == 2, "reading again writes nothing"


def test_read_goes_on_after_mail_of_another(shell: Shell) -> None:
    theirs, ours = sent(shell, "--to other"), sent(shell)
    done = shell(f"msg read {theirs} nowhere {ours} --as qa", expect=1)
    assert done.one["event_id"] == ours
    assert done.err.count("not mail for agent:qa") == 2
    assert ids(shell, "ls other --unread") == [theirs]


def test_unread_mail_is_what_waits_and_was_not_read(shell: Shell) -> None:
    acked, read, again, new = (sent(shell) for _ in range(4))
    shell(f"msg ack {acked} --as qa; msg read {read} {again} --as qa; msg unread {again} --as qa")
    assert ids(shell, "ls --unread --as qa") == ids(shell, "ls qa --unread") == [again, new]
    assert ids(shell, "ls qa --unread --from other") == []
    assert ids(shell, "ls qa --unread -n 1") == [again]
    assert "agent's own mail" in shell("msg ls queue:q --unread", expect=2).err
    assert "--all" in shell("msg ls --unread --all", expect=2).err


def test_ack_all_is_of_all_mail_that_waits_for_the_caller(shell: Shell) -> None:
    mine, theirs = [sent(shell), sent(shell)], sent(shell, "--to other")
    queued = sent(shell, "--to queue:q")
    shell("msg recv queue:q --as qa")
    acks = shell("msg ack --all --as qa").lines
    assert [ack["refs"]["msg_id"] for ack in acks] == mine
    assert ids(shell, "ls other") == [theirs]
    assert shell(f"msg show {queued}").one["$status"] == "claimed"
    assert "nothing to do" in shell("msg ack --all --as qa").err
    assert "leave out either" in shell("msg ack --all x --as qa", expect=2).err


def found(shell: Shell, *words: str) -> list[str]:
    quoted = " ".join(f"'{word}'" for word in words)
    return [row["subject"] for row in shell(f"msg search {quoted}").lines]


def test_search_finds_words_of_subject_and_text_the_newest_first(shell: Shell) -> None:
    for n, text in enumerate(("the Login is slow", "a log of Grüße", "slow cars: login")):
        shell(f"msg send --to qa --subject 's{n}' --body '{text}'")
    shell('ev emit x.y --to qa --body \'{"text":"login elsewhere"}\'')
    shell("msg ack --all --as qa")
    assert found(shell, "login") == ["x.y", "s2", "s0"]
    assert found(shell, "login", "slow") == ["s2", "s0"]
    assert found(shell, '"is slow"') == ["s0"]
    assert found(shell, "log*", "s1") == ["s1"]
    assert found(shell, "grusse") == found(shell, "nowhere") == []
    assert found(shell, "grüße") == ["s1"]
    assert len(shell("msg search login -n 1").lines) == 1
    assert "no word" in shell("msg search '*'", expect=2).err


def test_what_was_redacted_is_not_found_and_in_no_index(shell: Shell) -> None:
    mail = shell("msg send --to qa --subject s --body xyzzy -o id").out.strip()
    assert found(shell, "xyzzy") == ["s"]
    shell(f"ev redact {mail} --reason gone")
    assert found(shell, "xyzzy") == []
    local = shell.cwd / ".coord/local"
    assert not [
        path for path in local.rglob("*") if path.is_file() and b"xyzzy" in path.read_bytes()
    ]


def test_a_severity_is_shown_wherever_mail_is(shell: Shell) -> None:
    mail = sent(shell, "--to qa --severity critical")
    assert shell("msg ls qa").one["severity"] == "critical"
    assert "Severity: critical\n" in shell(f"msg show {mail} --text").out
    event = json.dumps({"hook_event_name": "SessionStart", "session_id": "s"})
    notice = shell("msg hook claude --as qa", stdin=event).out
    assert "ago, critical: s" in notice
    refused = shell("msg send --to qa --subject s --body b --severity urgent", expect=65).err
    assert "low, medium, high, critical" in refused
    lines = json.dumps({"to": "qa", "text": "b", "severity": "low"})
    assert shell("msg send", stdin=lines).one["body"]["severity"] == "low"


def test_what_is_not_a_severity_in_an_event_of_others_is_shown_nowhere(shell: Shell) -> None:
    body = json.dumps({"subject": "s", "severity": "\x1b[2J"})
    shell("ev emit x.y --to qa --body -", stdin=body)
    assert "severity" not in shell("msg ls qa").one


def test_a_channel_is_read_as_far_back_as_was_asked(shell: Shell) -> None:
    now = "2026-11-30T12:00:00Z"
    old = sent(shell, "--to chan:ops", COORD_NOW="2026-11-20T00:00:00Z")
    new = sent(shell, "--to chan:ops", COORD_NOW=now)
    joined = shell("msg join chan:ops --retain 7d --as qa", COORD_NOW=now).one
    assert joined["body"] == {"set": {"retain_ms": {"chan:ops": 7 * 86_400_000}}}
    assert shell("msg join chan:ops --retain 7d --as qa", COORD_NOW=now).out == ""

    def seen(line: str, agent: str) -> list[str]:
        return shell(f"msg {line} -o id --as {agent}", COORD_NOW=now).out.split()

    assert seen("ls chan:ops", "qa") == seen("recv chan:ops", "qa") == [new]
    assert seen("ls chan:ops --all", "qa") == [old, new]
    assert seen("recv chan:ops", "other") == [old, new]
    shell("msg leave chan:ops --as qa")
    assert seen("ls chan:ops", "qa") == [old, new]
    assert "needs a channel" in shell("msg join devs --retain 7d", expect=2).err


def test_of_concurrent_retentions_the_same_counts_in_every_store() -> None:
    def updated(at: str, ms: object, base: list[str]) -> Json:
        return {
            "event_id": at,
            "ts": "",
            "writer": at,
            "type": "agent.updated",
            "actor": {"agent_id": "agent:a"},
            "base": base,
            "body": {"set": {"retain_ms": {"chan:c": ms}}},
        }

    def state(*events: Json) -> Json:
        from coord_envelope import Event

        folded: Json = {}
        for event in events:
            folded = fold.step(folded, Event(b"", event))
        return folded

    first, later, beside = updated("1", 10, []), updated("3", None, ["1"]), updated("2", 20, ["1"])
    assert fold.retained_ms(state(first), "chan:c") == 10
    assert fold.retained_ms(state(first, beside, later), "chan:c") is None
    assert fold.retained_ms(state(first, beside), "chan:c") == 20
    assert fold.retained_ms(state(updated("1", "soon", [])), "chan:c") == fold.LONGEST_MS
    assert fold.retained_ms(None, "chan:c") is None


def test_watch_prints_mail_events_that_pass_the_filters(shell: Shell) -> None:
    with Watched(shell, "msg watch --type msg.acked") as watch:
        shell("ev emit x.y")
        mail = sent(shell)
        shell(f"msg ack {mail} --as qa")
        assert mail.encode() in (line := watch.line())
        assert b'"msg.acked"' in line
    with Watched(shell, "msg watch --not-type msg.acked") as watch:
        shell("ev emit x.y")
        assert sent(shell).encode() in watch.line()


def test_mail_about_an_item_is_listed_by_it(shell: Shell) -> None:
    item, other = shell("wk new One -o id; wk new Two -o id").out.split()
    about = sent(shell, f"--to qa --work {item}")
    sent(shell, f"--to qa --work {other}")
    sent(shell)
    short = f"wk-{item[-8:].lower()}"
    assert [row["msg_id"] for row in shell(f"msg ls --work {short}").lines] == [about]
    assert not shell(f"msg ls other --work {item}").lines
    shell(f"msg ack {about} --as qa")
    assert not shell(f"msg ls --work {item}").lines
    assert len(shell(f"msg ls --all --work {item}").lines) == 1
    shell(f"msg ls --unread --work {item}", expect=2)


def test_a_message_without_words_asks_for_them(shell: Shell) -> None:
    done = shell("msg send --to tester </dev/null", expect=2)
    assert "no message; give --subject or --body" in done.err
