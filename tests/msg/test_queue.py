"""msg: a queue gives each message to one consumer, a channel each message to each reader once."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from itertools import pairwise

import pytest
from support import Shell


def at(minutes: int) -> str:
    return f"2026-01-02T{minutes // 60:02d}:{minutes % 60:02d}:00Z"


def texts(shell: Shell, command: str, minutes: int = 0) -> list[str]:
    return [event["body"]["subject"] for event in shell(command, COORD_NOW=at(minutes)).lines]


def queue(shell: Shell, *subjects: str, options: str = "") -> None:
    for subject in subjects:
        shell(f"msg send --to queue:q --subject {subject} {options}", COORD_NOW=at(0))


def test_each_message_goes_to_one_consumer_and_comes_back_when_its_visibility_is_over(
    shell: Shell,
) -> None:
    queue(shell, "one", "two")
    assert texts(shell, "msg recv queue:q --as a") == ["one"]
    assert texts(shell, "msg recv queue:q --as b") == ["two"]
    assert texts(shell, "msg recv queue:q --as c", 9) == []
    assert texts(shell, "msg recv queue:q --as c --max 5", 10) == ["one", "two"]
    row = shell("msg ls queue:q -n 1", COORD_NOW=at(11)).one
    assert (row["status"], row["holder"], row["deliveries"]) == ("claimed", "agent:c", 2)


def test_a_visibility_is_set_by_the_message_or_by_the_consumer(shell: Shell) -> None:
    queue(shell, "one", options="--visibility 1m")
    assert shell("msg recv queue:q", COORD_NOW=at(0)).one["$n"] == 1
    assert texts(shell, "msg recv queue:q", 0) == []
    assert shell("msg recv queue:q --visibility 1h", COORD_NOW=at(1)).one["$n"] == 2
    assert texts(shell, "msg recv queue:q", 60) == []
    assert texts(shell, "msg recv queue:q", 61) == ["one"]


def test_only_a_consumer_that_claimed_it_can_ack_and_a_late_ack_counts(shell: Shell) -> None:
    queue(shell, "one")
    message = shell("msg recv queue:q --as a", COORD_NOW=at(0)).one
    assert "not mail for agent:b" in shell(f"msg ack {message['event_id']} --as b", expect=1).err
    assert texts(shell, "msg recv queue:q --as b", 10) == ["one"]
    acked = shell("msg ack --as a", json.dumps(message), COORD_NOW=at(11)).one
    assert acked["body"] == {"kind": "done", "claim": message["$claim"]}
    assert texts(shell, "msg recv queue:q --as c", 30) == []
    assert shell("msg ls queue:q --all").one["status"] == "done"


def test_a_nacked_message_is_delivered_again_at_once_or_later(shell: Shell) -> None:
    queue(shell, "one")
    for n, (delay, comes) in enumerate((("", 0), ("--delay 5m", 5)), 1):
        assert shell("msg recv queue:q --as a", COORD_NOW=at(0)).one["$n"] == n
        nacked = shell(
            f"msg ls queue:q | msg nack --as a {delay} --reason why", COORD_NOW=at(0)
        ).one
        assert nacked["body"]["delay_ms"] == comes * 60_000
    assert texts(shell, "msg recv queue:q --as b", 4) == []
    again = shell("msg recv queue:q --as b", COORD_NOW=at(5)).one
    assert again["$n"] == 3
    for agent, minutes in (("a", 5), ("b", 15)):  # who had it before, and who is late
        done = shell(f"msg nack {again['event_id']} --as {agent}", expect=1, COORD_NOW=at(minutes))
        assert f"not claimed by agent:{agent}" in done.err


def test_a_message_nacked_with_a_delay_has_no_holder(shell: Shell) -> None:
    # History: until the delay was over, it was listed as claimed by the agent that had nacked it.
    queue(shell, "one", options="--max-deliveries 2 --body text")
    for minute, status in ((0, "waiting"), (5, "dead")):
        shell("msg recv queue:q --as a | msg nack --as a --delay 5m", COORD_NOW=at(minute))
        row = shell("msg ls queue:q", COORD_NOW=at(minute + 1)).one
        assert (row["status"], row.get("holder")) == (status, None)


def test_after_its_last_delivery_a_message_is_dead_until_it_is_requeued(shell: Shell) -> None:
    queue(shell, "one", options="--max-deliveries 2 --body text")
    assert [texts(shell, "msg recv queue:q", 10 * n) for n in range(3)] == [["one"], ["one"], []]
    assert texts(shell, "msg dead | msg show", 19) == []
    dead = shell("msg dead q", COORD_NOW=at(20)).one
    assert (dead["status"], dead["deliveries"], "holder" in dead) == ("dead", 2, False)
    assert shell("msg dead other", COORD_NOW=at(20)).out == ""
    assert shell("msg dead", COORD_NOW=at(20)).one == dead == shell(f"msg dead --at {at(20)}").one
    assert (
        "is claimed, not dead"
        in shell(f"msg requeue {dead['msg_id']}", expect=1, COORD_NOW=at(19)).err
    )
    fresh = shell(f"msg requeue {dead['id']}", COORD_NOW=at(20)).one
    assert (fresh["to"], fresh["cause"]) == (["queue:q"], dead["msg_id"])
    assert fresh["body"] == {"subject": "one", "text": "text", "max_deliveries": 2}
    assert fresh["refs"]["thread_id"] == dead["msg_id"]
    assert shell("msg dead", COORD_NOW=at(20)).out == ""
    assert (
        "is done, not dead"
        in shell(f"msg requeue {dead['msg_id']}", expect=1, COORD_NOW=at(20)).err
    )
    assert shell("msg recv queue:q", COORD_NOW=at(20)).one["event_id"] == fresh["event_id"]


def test_a_late_ack_of_a_dead_message_makes_it_done(shell: Shell) -> None:
    queue(shell, "one", options="--max-deliveries 1")
    message = shell("msg recv queue:q", COORD_NOW=at(0)).one
    assert len(shell("msg dead", COORD_NOW=at(10)).lines) == 1
    shell(f"msg ack {message['event_id']}", COORD_NOW=at(10))
    assert shell("msg dead", COORD_NOW=at(10)).out == ""


def test_an_expired_message_is_not_delivered(shell: Shell) -> None:
    queue(shell, "one", "two", options="--expires 5m")
    assert texts(shell, "msg recv queue:q", 4) == ["one"]
    assert texts(shell, "msg recv queue:q --max 9", 5) == []


def test_a_follower_takes_the_next_when_the_last_is_acked_or_nacked(shell: Shell) -> None:
    for subject in ("one", "two"):
        shell(f"msg send --to queue:q --subject {subject}")
    follower = shell.popen("msg recv queue:q -f --max 3 --as a", stdout=subprocess.PIPE)
    assert follower.stdout
    one = json.loads(follower.stdout.readline())
    assert shell("msg recv queue:q --as b").one["body"]["subject"] == "two", (
        "it took more than it can do"
    )
    shell("msg ack --as a", json.dumps(one))
    shell("msg ls queue:q | msg nack --as b")
    two = json.loads(follower.stdout.readline())
    assert (two["body"]["subject"], two["$n"]) == ("two", 2)
    shell("msg nack --as a", json.dumps(two))
    assert json.loads(follower.stdout.readline())["$n"] == 3
    assert follower.communicate(timeout=60)[0] == b""
    assert follower.returncode == 0


def test_a_follower_wakes_when_a_visibility_is_over(shell: Shell) -> None:
    shell("msg send --to queue:q --subject one --visibility 300ms; msg recv queue:q --as a")
    assert shell("msg recv queue:q --as b --wait 60s").one["$n"] == 2


def test_options_that_exclude_each_other_are_usage_errors(shell: Shell) -> None:
    for command in (
        "recv --cursor c",
        "recv chan:c --ack",
        "recv queue:q --ack-fd 3",
        "recv --visibility 1m",
    ):
        assert "cannot be used with" in shell(f"msg {command}", expect=2).err
    assert "not a queue or channel" in shell("msg recv agent:x", expect=2).err
    assert "not a queue" in shell("msg dead agent:x", expect=2).err
    assert "not a valid address" in shell("msg recv 'queue:A B'", expect=65).err
    assert "not a valid time" in shell("msg recv --wait soon", expect=2).err


def test_recv_with_ack_makes_a_message_done(shell: Shell) -> None:
    queue(shell, "one")
    assert texts(shell, "msg recv queue:q --ack") == ["one"]
    assert shell("msg ls queue:q --all").one["status"] == "done"


def test_each_agent_reads_a_channel_once(shell: Shell) -> None:
    shell("msg send --to chan:c --to chan:d --subject one; msg send --to all --subject two")
    for agent in ("a", "b"):
        assert texts(shell, f"msg recv chan:c --as {agent}") == ["one"]
        assert texts(shell, f"msg recv chan:c --as {agent}") == []
        assert texts(shell, f"msg recv all --as {agent}") == ["two"]
        assert texts(shell, f"msg recv --as {agent}") == []
    assert texts(shell, "msg recv chan:c --as a --cursor again") == ["one"]
    assert texts(shell, "msg recv chan:c --as b --cursor again") == []
    assert [row["status"] for row in shell("msg ls chan:c").lines] == ["sent"]


def test_max_limits_a_channel_and_the_next_call_continues(shell: Shell) -> None:
    shell("for n in 1 2 3 4 5; do msg send --to chan:c --subject $n; ev emit ci.passed; done")
    for expected in (["1", "2"], ["3", "4"], ["5"], []):
        assert texts(shell, "msg recv chan:c --max 2") == expected
    assert shell("msg recv chan:c --wait 50ms", expect=1).err == "msg: no message arrived\n"
    waiting = shell.popen("msg recv chan:c --wait 60s", stdout=subprocess.PIPE)
    shell("msg send --to chan:d --subject no; msg send --to chan:c --subject 6")
    assert json.loads(waiting.communicate(timeout=60)[0])["body"]["subject"] == "6"
    assert texts(shell, "msg recv chan:c") == []


def test_an_expired_message_in_a_channel_is_skipped(shell: Shell) -> None:
    shell(
        "msg send --to chan:c --subject old --expires 1m; msg send --to chan:c --subject new",
        COORD_NOW=at(0),
    )
    assert texts(shell, "msg recv chan:c --as a", 0) == ["old", "new"]
    assert texts(shell, "msg recv chan:c --as b", 1) == ["new"]


class Reader:
    """A follower of a channel, with a pipe for acks if it uses them."""

    def __init__(self, shell: Shell, acks: bool) -> None:
        self.give, self._take = -1, -1
        if acks:
            self._take, self.give = os.pipe()
            os.set_inheritable(self._take, True)
        option = f"--ack-fd {self._take}" if acks else ""
        kept = (self._take,) if acks else ()
        self.child = shell.popen(
            f"msg recv chan:c -f {option}", stdout=subprocess.PIPE, pass_fds=kept, bufsize=0
        )
        assert self.child.stdout
        self.out = self.child.stdout
        if acks:
            os.close(self._take)

    def line(self) -> dict[str, str]:
        return json.loads(self.out.readline())["body"]  # type: ignore[no-any-return]

    def kill(self) -> None:
        self.child.send_signal(signal.SIGKILL)
        self.child.wait(60)
        self.out.close()
        if self.give >= 0:
            os.close(self.give)


@pytest.mark.parametrize("acks", [False, True])
def test_a_killed_reader_of_a_channel_loses_messages_unless_it_acks(
    shell: Shell, acks: bool
) -> None:
    """The rows "after the cursor moved" of the manual's table, without and with --ack-fd."""
    shell("msg send --to chan:c --subject one")
    reader = Reader(shell, acks)
    assert reader.line() == {"subject": "one"}
    shell("msg send --to chan:c --subject two")
    assert reader.line() == {"subject": "two"}
    if acks:
        first = shell("msg ls chan:c").lines[0]["msg_id"]
        os.write(reader.give, first.encode() + b"\n")
    # The cursor of what was printed before is saved before the next is printed.
    shell("msg send --to chan:c --subject three")
    assert reader.line() == {"subject": "three"}
    reader.kill()
    left = texts(shell, "msg recv chan:c")
    assert left in ([["two", "three"]] if acks else [["three"], []])
    assert texts(shell, "msg recv chan:c") == []


def test_a_reader_killed_before_or_while_it_prints_gets_the_message_again(
    shell: Shell,
) -> None:
    """The first rows of the manual's table: a full pipe stops it in the middle of a line."""
    for n in range(3):
        (shell.cwd / "long").write_text("x" * 30_000)
        shell(f"msg send --to chan:c --to agent:tester --to queue:q --subject {n} --body @long")
    for command, left in (("recv -f", 3), ("recv chan:c -f", 3), ("recv queue:q --max 3", 0)):
        follower = shell.popen(f"msg {command}", stdout=subprocess.PIPE, bufsize=0)
        assert follower.stdout
        assert select.select([follower.stdout], [], [], 60)[0]
        torn = os.read(
            follower.stdout.fileno(), 100
        )  # 64 KiB fit into the pipe, and then it has to wait
        follower.kill()
        follower.wait(60)
        follower.stdout.close()
        assert torn.startswith(b'{"event_id"') and not torn.endswith(b"\n")
        again = shell(f"msg {command.removesuffix(' -f')}").lines
        assert len(again) == left, command
    held = [row["status"] for row in shell("msg ls queue:q").lines]
    assert held == ["claimed"] * 3, "what a killed consumer took is hidden, and not lost"


def test_consumers_that_claim_at_the_same_time_never_get_the_same_message(shell: Shell) -> None:
    lines = "".join(json.dumps({"to": "queue:q", "subject": str(n)}) + "\n" for n in range(24))
    shell("msg send", lines)
    shell(" ".join(f"msg recv queue:q --max 4 --as a{n} >out{n} &" for n in range(6)) + " wait")
    taken = [
        json.loads(raw)["event_id"]
        for n in range(6)
        for raw in (shell.cwd / f"out{n}").read_text().splitlines()
    ]
    assert len(taken) == 24
    assert all(one != other for one, other in pairwise(sorted(taken)))
