"""msg recv --require confirmed: of the clones that use it, one at a time has a message of a queue."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from proof.hub import Clone, Hub, at_once
from support import Done, Shell

RECV = "msg recv queue:q --require confirmed"
NOON, LATER = "2026-01-02T12:00:00Z", "2026-01-02T12:11:00Z"


@pytest.fixture
def hub(repo: Path, tmp_path: Path) -> Hub:
    return Hub(tmp_path, 2)


@pytest.fixture
def clones(hub: Hub) -> list[Clone]:
    """Two clones that both have two messages in a queue."""
    first, second = hub.clones
    first("for n in one two; do msg send --to queue:q --subject $n; done; ev sync", COORD_NOW=NOON)
    second("ev sync")
    return hub.clones


def subject(done: Done) -> tuple[str, int, str, int]:
    one = done.one
    return one["body"]["subject"], one["$n"], one["$level"], one["$token"]


def kinds(clone: Clone) -> list[str]:
    return [event["type"] for event in clone("ev replay --type 'msg.*' --not-type msg.sent").lines]


def test_two_clones_that_ask_at_the_same_time_get_different_messages(clones: list[Clone]) -> None:
    answers = at_once(clones, RECV)
    assert [(answer.status, answer.err) for answer in answers] == [(0, "")] * 2
    assert {subject(answer) for answer in answers} == {
        ("one", 1, "confirmed", 1),
        ("two", 1, "confirmed", 1),
    }
    clones[0]("ev sync")
    assert [clone("msg recv").out for clone in clones] == ["", ""], "to lose a message is no mail"
    assert [row["status"] for row in clones[0]("msg ls queue:q").lines] == ["claimed"] * 2


def test_one_clone_gets_a_message_and_the_other_learns_the_holder(clones: list[Clone]) -> None:
    first, second = clones
    assert subject(first(RECV)) == ("one", 1, "confirmed", 1)
    assert subject(second(RECV)) == ("two", 1, "confirmed", 1), (
        "it knew of no other claim, and took the next"
    )
    first("msg send --to queue:q --subject three; ev sync")
    second("ev sync")
    assert subject(second(RECV))[0] == "three"
    lost = first(RECV, expect=1)
    assert (lost.out, lost.err.partition(": ")[2].partition(": ")[2]) == (
        "",
        "claimed by agent:clone-1\n",
    )
    assert first(RECV).out == "", "now it knows, and there is nothing"
    assert first(f"{RECV} --wait 1ms", expect=1).err == "msg: no message arrived\n"


def test_messages_sent_in_two_clones_with_one_key_are_one_message(hub: Hub) -> None:
    """They are known to be one only since the clones met; the second clone releases its claim."""
    first, second = hub.clones
    for clone in hub.clones[::-1]:
        clone("msg send --to queue:q --subject one --key k")
    assert subject(first(RECV)) == ("one", 1, "confirmed", 1)
    lost = second(RECV, expect=1)
    assert lost.out == "" and lost.err.endswith(": claimed by agent:clone-0\n")
    assert second(RECV).out == ""


def test_without_the_remote_nothing_is_delivered_and_nothing_counts_as_a_delivery(
    clones: list[Clone],
) -> None:
    first, second = clones
    cut = first(f"{RECV} --max 2", expect=69, FLAKY="100")
    assert cut.out == "" and len(cut.err.splitlines()) == 1
    assert "not confirmed: " in cut.err and cut.err.endswith("; the message was released\n")
    assert [(row["status"], "deliveries" in row) for row in first("msg ls queue:q").lines] == [
        ("waiting", False)
    ] * 2
    assert subject(first(RECV)) == ("one", 1, "confirmed", 1)
    assert first(f"{RECV} -f", expect=69, FLAKY="100").out == ""
    assert subject(second(RECV)) == ("two", 1, "confirmed", 1)
    assert kinds(second).count("msg.confirmed") == 2


def test_a_message_not_acked_in_time_is_confirmed_for_another_clone(clones: list[Clone]) -> None:
    first, second = clones
    had = first(RECV, COORD_NOW=NOON)
    second("ev sync")
    assert subject(second(RECV, COORD_NOW=LATER)) == ("two", 1, "confirmed", 1), (
        "what waited stands before what comes back"
    )
    again = second(RECV, COORD_NOW=LATER)
    assert subject(again) == ("one", 2, "confirmed", 2), "a token is greater than all before"
    assert first(RECV, expect=1, COORD_NOW=LATER).out == ""
    acked = first("msg ack", had.out).one
    assert acked["body"]["claim"] == had.one["$claim"], "a late ack counts"
    first("ev sync")
    second("ev sync")
    assert [row["status"] for row in second("msg ls queue:q --all", COORD_NOW=LATER).lines] == [
        "done",
        "claimed",
    ]


def test_a_message_acked_in_another_clone_meanwhile_is_not_delivered(clones: list[Clone]) -> None:
    first, second = clones
    had = first(f"{RECV} --max 2", COORD_NOW=NOON)
    second("ev sync")
    first("msg ack; ev sync", had.out)
    late = second(RECV, expect=1, COORD_NOW=LATER)
    assert late.out == "" and late.err.endswith(": is done\n")
    assert second(RECV, COORD_NOW=LATER).out == ""


def test_the_claim_of_a_killed_consumer_is_settled_by_the_next_sync(
    clones: list[Clone],
) -> None:
    first, second = clones
    message = first("msg ls queue:q -n 1").one["msg_id"]
    claim = {"type": "msg.claimed", "refs": {"msg_id": message}}
    first(
        "ev emit",
        json.dumps({**claim, "body": {"n": 1, "vis_ms": 600_000, "require": "confirmed"}}),
    )
    assert subject(second(RECV))[0] == "one"
    assert "another agent's claim was confirmed" in first("ev sync", expect=1).err
    assert first("msg ls queue:q -n 1").one["holder"] == "agent:clone-1"
    assert first("msg recv; ev sync").err == ""


EARLY = """
import signal
from coord_kernel.sync.git import run
signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as in every tool
status, *_ = run(["false"], 60, stdin=b"x" * 1_000_000)
print(status, signal.getsignal(signal.SIGPIPE) is signal.SIG_DFL)
"""


def test_a_git_process_that_ends_before_it_reads_its_input_does_not_kill_the_tool(
    shell: Shell,
) -> None:
    """History: a tool whose connection was cut died of SIGPIPE silently, and its claims stayed open."""
    assert shell("python -", EARLY).out == "1 True\n"


def test_a_local_delivery_does_not_involve_the_arbiter(clones: list[Clone]) -> None:
    """History: each sync confirmed or conceded all deliveries; the second one of a message was always conceded."""
    first, second = clones
    for clone, when, n in ((first, NOON, 1), (second, NOON, 1), (first, LATER, 2)):
        events = clone("msg recv queue:q --max 2", COORD_NOW=when).lines
        assert [(event["$n"], event["$level"]) for event in events] == [(n, "local")] * 2
        assert clone("ev sync").err == ""
    second("ev sync")
    assert kinds(second) == ["msg.claimed"] * 6
    assert second("msg recv").out == ""


def test_without_a_remote_it_fails_before_it_claims_anything(shell: Shell) -> None:
    shell("msg send --to queue:q --subject one")
    before = shell("ev replay").out
    assert shell(RECV, expect=69).err.startswith("msg: no remote to confirm the claim; ")
    assert "not a valid level" in shell("msg recv queue:q --require strong", expect=2).err
    assert "cannot be used with" in shell("msg recv --require confirmed", expect=2).err
    assert shell("ev replay").out == before
    assert shell("msg recv queue:q --require local").one["$level"] == "local"
