"""msg: mail waits until it is acked, and is sent once."""

from __future__ import annotations

import json
import subprocess

import pytest
from support import Json, Shell

from coord_envelope import BadData, Event, Unreachable
from coord_msg import draft
from coord_msg.fold import Inbox

NOW = "2026-01-02T00:00:00.000Z"


def event(event_id: str, type_: str = "msg.sent", agent: str = "agent:b", **fields: object) -> Event:
    return Event(b"", {"event_id": event_id, "type": type_, "actor": {"agent_id": agent}, "body": {}, **fields})


def acked(event_id: str, of: str, agent: str = "agent:me", kind: str = "done") -> Event:
    return event(event_id, "msg.acked", agent, refs={"msg_id": of}, body={"kind": kind})


ME = ["agent:me"]


@pytest.mark.parametrize(
    ("waits", "events"),
    [
        ([], []),
        (["1"], [event("1", to=ME)]),
        (["1"], [event("1", "ci.failed", to=["agent:x", "agent:me"])]),
        ([], [event("1", to=["agent:x"])]),
        ([], [event("1", to=["all"])]),
        ([], [event("1", to=ME), acked("2", "1")]),
        (["1"], [event("1", to=ME), acked("2", "1", agent="agent:x")]),
        (["1"], [event("1", to=ME), acked("2", "1", kind="read")]),
        ([], [event("1", to=ME, body={"ack": "none"})]),
        ([], [event("1", to=ME, body={"expires_at": NOW})]),
        (["1"], [event("1", to=ME, body={"expires_at": "2026-01-02T00:00:00.001Z"})]),
        (["1"], [event("1", to=ME, body={"expires_at": 7, "ack": ["x"]}), event("2", to="agent:me"), acked("3", "9")]),
        (["1", "2", "3"], [event(n, to=ME) for n in ("3", "1", "2")]),
    ],
)
def test_what_waits_is_addressed_unacked_and_not_expired(waits: list[str], events: list[Event]) -> None:
    for order in (events, events[::-1], events * 2):
        inbox = Inbox("agent:me")
        inbox.add(order)
        assert [one.id for one in inbox.take(NOW)] == waits


def test_one_reader_is_given_mail_once() -> None:
    inbox = Inbox("agent:me")
    inbox.add([event("1", to=ME)])
    assert len(inbox.take(NOW)) == 1
    inbox.add([event("1", to=ME), event("2", to=ME)])
    assert [one.id for one in inbox.take(NOW)] == ["2"]


@pytest.mark.parametrize(
    "fields",
    [{}, {"to": []}, {"to": 7}, {"to": "robot:x"}, {"to": "a", "text": 7}, {"to": "a", "text": "x" * 32_769},
     {"to": "a", "subject": "ä" * 101}, {"to": "a", "bdy": "x"}, {"to": "a", "refs": []}],
)  # fmt: skip
def test_a_bad_message_is_refused(fields: Json) -> None:
    with pytest.raises(BadData):
        draft.message(fields)


@pytest.mark.parametrize("to", ["queue:q", "group:g", "chan:c", "all"])
def test_addresses_without_a_mailbox_yet_are_said_to_be_so(to: str) -> None:
    with pytest.raises(Unreachable, match="yet"):
        draft.message({"to": to})


def test_a_forwarded_event_keeps_its_refs_and_is_known_by_id_and_recipients() -> None:
    origin = {"event_id": "E", "type": "ci.failed", "refs": {"work_id": "W"}, "body": {"n": 1}, "hops": 2}
    origin["actor"] = {"agent_id": "agent:ci"}
    one, other = draft.forward(origin, {"to": ["qa", "dev"]}), draft.forward(origin, {"to": ["qa"]})
    assert one["body"] == {"subject": "ci.failed", "text": '{"n":1}'}
    assert (one["cause"], one["hops"], one["refs"]["work_id"]) == ("E", 3, "W")
    assert one == draft.forward(origin, {"to": ["agent:dev", "agent:qa"]})
    assert (one["to"], one["on_behalf_of"]) == (["agent:dev", "agent:qa"], "agent:ci")
    assert draft.forward(origin, {"to": ["qa"], "thread": "T"})["refs"]["thread_id"] == "T"
    assert one["idempotency_key"] != other["idempotency_key"]


def test_mail_is_sent_received_and_acked(shell: Shell) -> None:
    sent = shell("msg send --to agent:qa --to human:ada --subject 'Ready?' --body 'see -'").one
    assert sent["refs"] == {"thread_id": sent["event_id"]}
    assert shell("msg recv --as qa").out == shell("msg recv --as qa").out == shell("msg recv --as human:ada").out
    assert shell("msg recv --as other").out == ""
    ack = shell(f"msg ack --as qa msg-{sent['event_id'][-8:].lower()}").one
    assert (ack["type"], ack["refs"]["msg_id"]) == ("msg.acked", sent["event_id"])
    assert shell("msg recv --as qa").out == ""
    assert shell("msg recv --as human:ada").one["body"] == {"subject": "Ready?", "text": "see -"}
    assert shell(f"msg ack --as qa {sent['event_id']}").one["type"] == "msg.acked"


def test_what_is_not_yours_cannot_be_acked(shell: Shell) -> None:
    sent = shell("msg send --to qa --subject x -o id").out.strip()
    done = shell(f"msg ack --as other {sent} 00000000", expect=1)
    assert done.err.splitlines() == [
        f"msg: {sent}: is no mail of agent:other",
        "msg: 00000000: is no mail of agent:other",
    ]
    assert len(shell("ev replay").lines) == 1


def test_the_tools_meet_in_a_pipe(shell: Shell) -> None:
    shell("msg send --to qa --subject one; msg send --to qa --subject two; msg send --to qa --subject three")
    assert len(shell("msg recv --as qa | head -2 | msg ack --as qa").lines) == 2
    assert shell("msg recv --as qa").one["body"]["subject"] == "three"
    assert len(shell("msg recv --as qa --ack").lines) == 1
    assert shell("msg recv --as qa").out == ""


def test_a_text_comes_from_a_file_or_stdin(shell: Shell) -> None:
    (shell.cwd / "note").write_text("line one\nline two\n")
    assert shell("msg send --to qa --body @note").one["body"] == {"text": "line one\nline two\n"}
    assert shell("msg send --to qa --body -", "from stdin").one["body"] == {"text": "from stdin"}
    assert "not UTF-8 at byte 1" in shell("msg send --to qa --body -", b"a\xff", expect=65).err


def test_lines_on_stdin_share_the_flags(shell: Shell) -> None:
    lines = '{"subject":"one"}\n{"to":["human:ada"],"text":"two"}\nbad\n{"subject":"three"}\n'
    done = shell("msg send --to qa --thread T", lines, expect=65)
    assert [one["to"] for one in done.lines] == [["agent:qa"], ["human:ada"], ["agent:qa"]]
    assert {one["refs"]["thread_id"] for one in done.lines} == {"T"}
    assert done.err.startswith("msg: line 3: not JSON")


def test_replaying_a_pipe_of_events_sends_nothing_twice(shell: Shell) -> None:
    shell("for n in 1 2 3; do ev emit ci.failed --body '{\"n\":'$n'}'; done")
    for _ in range(2):
        assert len(shell("ev replay --type ci.failed | msg send --to qa").lines) == 3
    assert len(shell("msg recv --as qa").lines) == 3
    assert len(shell("ev replay --type ci.failed | msg send --to human:ada").lines) == 3


def test_any_event_addressed_to_you_is_mail(shell: Shell) -> None:
    shell("ev emit ci.failed --to agent:qa --body '{\"n\":1}'")
    assert shell("msg recv --as qa | msg ack --as qa").one["type"] == "msg.acked"
    assert shell("msg recv --as qa").out == ""


def test_follow_prints_what_waits_then_what_comes_each_once(shell: Shell) -> None:
    shell("msg send --to qa --subject old; msg send --to other --subject no")
    follower = shell.popen("msg recv --follow --as qa --ack", stdout=subprocess.PIPE)
    assert follower.stdout
    assert json.loads(follower.stdout.readline())["body"]["subject"] == "old"
    for subject in ("new", "newer"):
        shell(f"msg send --to qa --subject {subject}")
        assert json.loads(follower.stdout.readline())["body"]["subject"] == subject
    shell("msg send --to qa --subject last")
    assert json.loads(follower.stdout.readline())["body"]["subject"] == "last"
    follower.terminate()
    assert follower.communicate(timeout=20)[0] == b""


def test_no_recipient_or_no_message_is_said(shell: Shell) -> None:
    assert "to is missing" in shell("msg send --subject x", expect=65).err
    assert "--key is for one message" in shell("msg send --key k --to qa", expect=2).err
    assert "says who acts" in shell("msg recv", expect=2, COORD_AGENT="").err


def test_nobody_else_can_keep_mail_waiting(shell: Shell) -> None:
    """History: an ack had an idempotency key, and who used it first kept the mail in another's inbox for ever."""
    sent = shell("msg send --to qa --subject x -o id").out.strip()
    shell(f'ev emit msg.acked --as mallory --key ack:{sent}:agent:qa --ref msg_id={sent} --body \'{{"kind":"done"}}\'')
    assert len(shell("msg recv --as qa --ack").lines) == 1
    assert shell("msg recv --as qa").out == ""


def test_short_ids_of_ours_resolve_on_stdin_and_foreign_ones_are_kept(shell: Shell) -> None:
    thread = shell("msg send --to qa --subject x -o id").out.strip()
    lines = [{"to": "qa", "thread": f"msg-{thread[-8:].lower()}"}, {"to": "qa", "work": f"bd-{thread[-8:]}"}]
    one, two = shell("msg send", "\n".join(map(json.dumps, lines))).lines
    assert one["refs"]["thread_id"] == thread
    assert two["refs"]["work_id"] == f"bd-{thread[-8:]}"


def test_a_null_event_id_is_none_and_a_whole_event_needs_a_type(shell: Shell) -> None:
    """History: two texts were lost, the second as a duplicate of "forward:None"."""
    lines = '{"event_id":null,"to":"x","text":"a"}\n{"event_id":null,"to":"x","text":"b"}\n'
    assert [one["body"]["text"] for one in shell("msg send", lines).lines] == ["a", "b"]
    assert "no type" in shell("msg send", '{"event_id":"x","to":"x"}', expect=65).err


@pytest.mark.parametrize("field", ['"thread":-5', '"work":["a-b"]', '"cause":7'])
def test_fields_of_another_kind_are_one_line(shell: Shell, field: str) -> None:
    done = shell("msg send", f'{{"to":"a","text":"x",{field}}}\n{{"to":"a","text":"y"}}\n', expect=65)
    assert len(done.lines) == 1
    assert done.err.startswith("msg: line 1: ")


def test_an_own_ack_is_no_mail_even_if_it_is_addressed_to_its_author() -> None:
    inbox = Inbox("agent:me")
    ack = event("2", "msg.acked", "agent:me", refs={"msg_id": "1"}, body={"kind": "done"}, to=ME)
    inbox.add([event("1", to=ME), ack])
    assert inbox.take(NOW) == []
