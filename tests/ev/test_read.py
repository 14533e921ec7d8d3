"""ev tail, replay, show, watch, agents, verify, stats: what is printed, and how a follow begins and ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess

import pytest
from support import ME, Shell, drafts, open_journal, segment


def numbers(text: str) -> list[int]:
    return [json.loads(line)["body"]["n"] for line in text.splitlines()]


@pytest.fixture
def ten(shell: Shell) -> Shell:
    open_journal(shell.cwd).append(ME, drafts(10))
    return shell


def test_tail_is_the_newest_ten_or_as_asked(shell: Shell) -> None:
    open_journal(shell.cwd).append(ME, drafts(15))
    assert numbers(shell("ev tail").out) == list(range(5, 15))
    assert numbers(shell("ev tail -n 2").out) == [13, 14]
    assert shell("ev tail -n 0").out == ""
    assert shell("ev tail -n -1", expect=2).out == ""


def test_replay_is_the_stored_bytes_in_order(ten: Shell) -> None:
    assert ten("ev replay").out.encode() == segment(ten.cwd).read_bytes()
    assert numbers(ten("ev replay --type 'test.*' --not-type x.y --agent tester").out) == list(
        range(10)
    )
    assert ten("ev replay --not-agent tester").out == ""


def test_replay_until_and_since(shell: Shell) -> None:
    for day in (1, 2, 3):
        shell(f"ev emit a.b --body '{{\"n\":{day}}}'", COORD_NOW=f"2026-01-0{day}T12:00:00Z")
    assert numbers(shell("ev replay --until 2026-01-02T12:00:00Z").out) == [1, 2]
    assert numbers(shell("ev replay --since 2026-01-02").out) == [2, 3]
    assert numbers(shell("ev tail --since 36h", COORD_NOW="2026-01-03T13:00:00Z").out) == [2, 3]
    assert "not a valid time" in shell("ev tail --since yesterday", expect=2).err


def test_show_takes_full_and_short_ids_and_goes_on_after_a_miss(ten: Shell) -> None:
    ids = ten("ev replay -o id").out.split()
    done = ten(f"ev show {ids[3]} 0000 {ids[5][-8:].lower()}", expect=1)
    assert numbers(done.out) == [3, 5]
    assert done.err == "ev: 0000: no such event\n"
    # Not `ev replay | head`: it may write twice, and dies of the second if head has left.
    assert numbers(ten("ev replay >all; head -2 all | ev show").out) == [0, 1]
    assert numbers(ten("ev replay -o id >ids; head -2 ids | ev show -").out) == [0, 1]


def test_a_closed_reader_ends_a_replay_silently(shell: Shell) -> None:
    open_journal(shell.cwd).append(ME, drafts(3000))
    done = shell("ev replay | head -1; echo ${PIPESTATUS[0]}")
    assert done.out.endswith("}\n141\n")
    assert done.err == ""


def test_verify_names_file_offset_and_reason_and_exits_1(ten: Shell) -> None:
    assert ten("ev verify").out == ""
    path = segment(ten.cwd)
    lines = path.read_bytes().split(b"\n")
    damage = {1: b"\0" * 9, 3: lines[3][:40] + lines[4][60:], 5: b"half", 7: b"y" * 10_000_000}
    path.write_bytes(
        b"\n".join(damage.get(place, line) for place, line in enumerate(lines)) + b'{"torn'
    )
    done = ten("ev verify", expect=1)
    found = [(report["file"], report["reason"][:12]) for report in done.lines]
    assert {file for file, _ in found} == {str(path.relative_to(ten.cwd / ".coord"))}
    assert len(found) == 5
    assert found[3][1] == "longer than "
    assert found[4][1] == "torn tail: n"
    content = path.read_bytes()
    assert all(content[r["offset"] - 1 : r["offset"]] in (b"\n", b"") for r in done.lines)
    assert numbers(ten("ev replay").out) == [0, 2, 4, 6, 8, 9]


def test_a_torn_tail_alone_is_no_damage(ten: Shell) -> None:
    with segment(ten.cwd).open("ab") as file:
        file.write(b'{"event')
    assert len(ten("ev verify").lines) == 1


def test_an_event_from_the_future_is_flagged(shell: Shell) -> None:
    shell("ev emit a.b", COORD_NOW="2030-01-01T00:00:00Z")
    assert (
        "in the future"
        in shell("ev verify", expect=1, COORD_NOW="2029-12-31T23:00:00Z").one["reason"]
    )
    shell("ev verify", COORD_NOW="2029-12-31T23:56:00Z")


def test_agents_and_stats(shell: Shell) -> None:
    shell("ev emit a.b --as one", COORD_NOW="2026-01-01T00:00:00Z")
    shell(
        'ev emit agent.registered --body \'{"kind":"human"}\' --as human:ada',
        COORD_NOW="2026-01-01T01:00:00Z",
    )
    shell("ev emit a.c --as one", COORD_NOW="2026-01-01T02:00:00Z")
    one, ada = shell("ev agents").lines
    assert (one["agent_id"], one["events"], one["last_seen"]) == (
        "agent:one",
        2,
        "2026-01-01T02:00:00.000Z",
    )
    assert (ada["agent_id"], ada["kind"]) == ("human:ada", "human")
    assert (
        shell("ev agents --active", COORD_NOW="2026-01-01T02:29:00Z").one["agent_id"] == "agent:one"
    )
    stats = shell("ev stats").one
    assert (stats["events"], stats["streams"]) == (3, 2)
    assert stats["types"] == {"a.b": 1, "agent.registered": 1, "a.c": 1}


def test_an_agent_that_only_a_job_has_begun_is_known_by_name(shell: Shell) -> None:
    body = '{"agent":"agent:mute","session":"s1","run":"01KF4QBCFS000HY2KBEWSW1ZZE"}'
    shell(f"ev emit session.started --as worker --body '{body}'", COORD_NOW="2026-01-01T00:00:00Z")
    row = shell("ev agents mute").one
    assert (row["agent_id"], row["events"], row["last_seen"]) == ("agent:mute", 0, None)
    assert row["sessions"][0]["session"] == "s1"
    assert "no such agent" in shell("ev agents other", expect=1).err


def test_a_clock_that_was_ahead_is_no_sign_of_life(shell: Shell) -> None:
    now = "2026-01-01T10:00:00Z"
    shell("ev emit a.b --as one", COORD_NOW="2030-01-01T00:00:00Z")
    shell("ev emit a.b --as two", COORD_NOW="2026-01-01T10:04:00Z")  # within what clocks differ
    assert [row["agent_id"] for row in shell("ev agents --active", COORD_NOW=now).lines] == [
        "agent:two"
    ]
    assert {
        row["agent_id"]: row["last_seen"] for row in shell("ev agents", COORD_NOW=now).lines
    } == {
        "agent:one": None,
        "agent:two": "2026-01-01T10:04:00.000Z",
    }
    item = shell("wk new x -o id", COORD_NOW=now).out.strip()
    shell(f"wk claim {item} --as one", COORD_NOW="2026-01-01T11:00:00Z")
    steal = f"wk claim {item} --steal --reason gone"
    shell(steal, expect=1, COORD_NOW="2026-01-01T11:29:00Z")
    shell(steal, COORD_NOW="2026-01-01T11:31:00Z")
    shell("msg send --to one --body hello", COORD_NOW=now)  # the agent is known nevertheless


def line_of(follower: subprocess.Popen[bytes]) -> int:
    assert follower.stdout
    return int(json.loads(follower.stdout.readline())["body"]["n"])


def test_follow_prints_what_was_and_what_comes_from_anyone(ten: Shell) -> None:
    follower = ten.popen("ev tail -f -n 2", stdout=subprocess.PIPE)
    assert [line_of(follower), line_of(follower)] == [8, 9]
    for agent in ("tester", "new-one", "new-two", "tester"):
        ten(f"ev emit a.b --body '{{\"n\":77}}' --as {agent}")
        assert line_of(follower) == 77
    follower.send_signal(signal.SIGTERM)
    assert follower.wait(timeout=20) == -signal.SIGTERM


def test_follow_crosses_segments(ten: Shell) -> None:
    follower = ten.popen("ev tail -f -n 1", stdout=subprocess.PIPE)
    assert line_of(follower) == 9
    big = [{"type": "a.b", "body": {"n": n, "x": "x" * 50_000}} for n in range(50)]
    for n in range(0, 50, 10):
        open_journal(ten.cwd).append(ME, big[n : n + 10])
    assert [line_of(follower) for _ in range(50)] == list(range(50))
    follower.send_signal(signal.SIGINT)
    assert follower.wait(timeout=20) == -signal.SIGINT


def test_follow_ends_when_its_reader_is_gone_even_if_nothing_comes(ten: Shell) -> None:
    read, write = os.pipe()
    follower = ten.popen("ev tail -f -n 1", stdout=write)
    os.close(write)
    assert b'"n":9' in os.read(read, 65536)
    os.close(read)
    assert follower.wait(timeout=20) == 0


def test_watch_prints_only_what_comes(ten: Shell) -> None:
    """Begun is what printed the first event made after it; whatever came before must not be there."""
    follower = ten.popen("ev watch --type a.go --type test.tick", stdout=subprocess.PIPE)
    assert follower.stdout
    os.set_blocking(follower.stdout.fileno(), False)
    while not (line := follower.stdout.readline()):
        ten("ev emit a.go --body '{\"n\":1}'")
    assert json.loads(line)["type"] == "a.go"
    follower.terminate()
    follower.communicate(timeout=20)


def test_a_named_cursor_goes_on_where_it_was(ten: Shell) -> None:
    assert numbers(ten("ev tail --cursor c").out) == list(range(10))
    assert ten("ev tail --cursor c").out == ""
    open_journal(ten.cwd).append({"agent_id": "agent:late"}, drafts(2))
    assert numbers(ten("ev tail --cursor c --type test.tick").out) == [0, 1]
    assert numbers(ten("ev tail --cursor d --agent late").out) == [0, 1]
    assert ten("ev tail --cursor d").out == ""
    assert ten("ev tail --cursor ../x", expect=2).out == ""


def test_a_damaged_cursor_is_named_and_nothing_is_skipped(ten: Shell) -> None:
    (ten.cwd / ".coord/local/cursors/c.json").write_text("[]")
    assert "local/cursors/c.json" in ten("ev tail --cursor c", expect=65).err


def test_only_acked_events_move_a_cursor_with_ack_fd(ten: Shell) -> None:
    script = "mkfifo acks; ev tail --cursor c --ack-fd 3 3<acks | (exec 3>acks; head -4 | jq -r .event_id >&3)"
    assert ten(script, expect=None).status in (0, 141)
    assert numbers(ten("ev tail --cursor c").out) == [4, 5, 6, 7, 8, 9]


def test_acks_out_of_order_do_not_pass_over_a_missing_one(ten: Shell) -> None:
    consumer = "jq --unbuffered -r 'select(.body.n != 3 and .body.n != 4).event_id'"
    ten(f"mkfifo acks; ev tail --cursor c --ack-fd 3 3<acks | (exec 3>acks; {consumer} >&3)")
    assert numbers(ten("ev tail --cursor c").out) == [3, 4, 5, 6, 7, 8, 9]


def test_ack_fd_without_cursor_or_closed_is_usage(ten: Shell) -> None:
    assert "--cursor NAME" in ten("ev tail --ack-fd 3", expect=2).err
    assert "-n cannot be used" in ten("ev tail -n 3 --cursor c --ack-fd 3", expect=2).err
    assert "not open" in ten("ev tail --cursor c --ack-fd 9", expect=2).err


def test_completion_is_served_for_each_shell(shell: Shell) -> None:
    for name in ("bash", "zsh", "fish"):
        assert "_EV_COMPLETE" in shell("ev", _EV_COMPLETE=f"source_{name}").out
    assert (
        "emit" in shell("ev", _EV_COMPLETE="complete_bash", COMP_WORDS="ev e", COMP_CWORD="1").out
    )
    assert "recv" in shell("msg", _MSG_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS="msg r").out
    shell.env |= {"_TYPER_COMPLETE_ARGS": "ev tail --f", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    assert "--follow" in shell("ev", _EV_COMPLETE="complete_fish").out


def drained(shell: Shell, line: str, lines: int) -> list[int]:
    """Start, read some lines, send SIGTERM, read the rest."""
    follower = shell.popen(line, stdout=subprocess.PIPE)
    assert follower.stdout
    seen = [line_of(follower) for _ in range(lines)]
    follower.terminate()
    seen += numbers(follower.stdout.read().decode())
    assert follower.wait(timeout=20) == -signal.SIGTERM
    return seen


def test_a_follow_ended_in_the_middle_of_a_batch_loses_nothing_behind_its_cursor(
    shell: Shell,
) -> None:
    """History: the cursor was saved behind events that the merge had only read ahead."""
    for agent in ("one", "two", "three"):
        open_journal(shell.cwd).append({"agent_id": f"agent:{agent}"}, drafts(2000))
    everything = shell("ev replay -o id").out.split()
    first = drained(shell, "ev tail -f --cursor c", 50)
    rest = numbers(shell("ev tail --cursor c").out)
    assert len(first) + len(rest) >= len(everything)
    assert (first + rest)[-2000:] == numbers(shell("ev tail -n 2000").out)


def test_a_tail_without_follow_dies_of_a_signal_at_once(ten: Shell) -> None:
    """History: waiting for acks it noted the first SIGTERM and went on waiting."""
    os.mkfifo(ten.cwd / "acks")
    waiting = ten.popen("ev tail --cursor c --ack-fd 3 3<>acks", stdout=subprocess.PIPE)
    assert waiting.stdout and len(waiting.stdout.read().splitlines()) == 10
    waiting.terminate()
    assert waiting.wait(timeout=20) == -signal.SIGTERM


def test_tail_with_a_number_and_a_cursor_moves_the_cursor_to_the_end(ten: Shell) -> None:
    """History: the cursor was saved only when something came after."""
    assert numbers(ten("ev tail -n 2 --cursor c").out) == [8, 9]
    assert ten("ev tail --cursor c").out == ""


def test_ignored_signals_stay_ignored(ten: Shell) -> None:
    follower = ten.popen("bash -c 'trap \"\" TERM; exec ev tail -f -n 1'", stdout=subprocess.PIPE)
    assert follower.stdout and line_of(follower) == 9
    follower.terminate()
    ten("ev emit a.b --body '{\"n\":5}'")
    assert line_of(follower) == 5
    follower.send_signal(signal.SIGINT)
    assert follower.wait(timeout=20) == -signal.SIGINT


def test_inside_the_store_its_own_repository_is_not_taken_for_the_users(ten: Shell) -> None:
    """History: there `ev tail` told to make a store within the store."""
    for place in (".coord/journal", ".coord/.git", ".coord"):
        assert len(ten(f"cd {place} && ev tail").lines) == 10


def test_without_a_command_the_help_is_shown_and_it_is_usage(shell: Shell) -> None:
    assert "Commands:\n" in shell("ev", expect=2).err


def test_acks_from_the_far_end_of_a_long_pipe_do_not_block_it(shell: Shell) -> None:
    """History: with more mail acked at once than a fifo holds, all four processes waited on each other for ever."""
    open_journal(shell.cwd).append(
        ME, [{"type": "ci.failed", "body": {"job": str(n)}} for n in range(20_000)]
    )
    mail = '{to:"agent:fixer", subject:.body.job, cause:.event_id, idempotency_key:.event_id}'
    tail = "ev tail --cursor ci --type ci.failed --ack-fd 3 3<acks"
    line = f"{tail} | jq --unbuffered -c '{mail}' | msg send | jq --unbuffered -r .cause"
    shell(f"msg join --as fixer; mkfifo acks; {line} >acks")
    assert len(shell("msg recv --as fixer -o id").out.split()) == 20_000
    assert shell("ev tail --cursor ci --type ci.failed").out == ""


def test_a_cursor_is_not_saved_before_what_it_passed_is_on_the_disk(ten: Shell) -> None:
    """History: readers take no lock, so a cursor could outlive a power loss that an event did not."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    ten(
        "strace -f -e trace=fdatasync,rename,renameat,renameat2 -o trace ev tail --cursor c >/dev/null"
    )
    calls = [
        line.split()[1].partition("(")[0]
        for line in (ten.cwd / "trace").read_text().splitlines()
        if "(" in line
    ]
    assert calls[:2] in (
        ["fdatasync", "rename"],
        ["fdatasync", "renameat"],
        ["fdatasync", "renameat2"],
    )


def test_a_table_cannot_be_forged_by_a_line_separator_nor_cut_in_a_pipe(shell: Shell) -> None:
    long = "y" * 3000
    body = json.dumps(
        {"text": f"x\u2028Jan 01 00:00:00  deadbeef  deploy.done  {long}"}, ensure_ascii=False
    )
    shell("ev emit a.b --body -", body)
    (row,) = shell("ev tail -o table").out.rstrip("\n").split("\n")
    assert "\u2028" not in row
    assert row.endswith(long)


def test_a_descriptor_of_any_number_serves_for_acks(ten: Shell) -> None:
    ids = ten("ev replay -o id").out
    (ten.cwd / "acks").write_text(ids)
    ten("ulimit -n 4096; exec 2000<acks; ev tail --cursor z --ack-fd 2000 >/dev/null", expect=None)
    assert "not open for reading" in ten("ev tail --cursor c --ack-fd 3 3>out", expect=2).err


def test_ids_may_be_json_strings(ten: Shell) -> None:
    assert numbers(ten("ev replay | jq .event_id | ev show").out) == list(range(10))


def test_a_reader_that_keeps_its_place_gets_what_came_after(ten: Shell) -> None:
    events = ten("ev replay").lines
    place = events[6]
    cursor = json.dumps({place["writer"]: place["seq"]})
    for after in (place["event_id"], place["event_id"][-8:].lower(), f"'{cursor}'"):
        for reader in ("replay", "tail", "tail -n 100", "replay --type 'test.*'"):
            assert numbers(ten(f"ev {reader} --after {after}").out) == [7, 8, 9]
        assert numbers(ten(f"ev tail -n 2 --after {after}").out) == [8, 9]
    assert ten(f"ev tail --after {events[-1]['event_id']}").out == ""
    assert numbers(ten("ev replay --after '{}'").out) == list(range(10))


def test_after_an_event_is_after_it_in_every_stream(ten: Shell) -> None:
    middle = ten("ev emit test.tick --body '{\"n\":10}' --as other").one
    open_journal(ten.cwd).append(ME, drafts(1))
    assert numbers(ten(f"ev replay --after {middle['event_id']}").out) == [0]
    assert numbers(ten(f"ev tail --after '{{\"{middle['writer']}\":1}}'").out) == [*range(10), 0]


@pytest.mark.parametrize(
    ("place", "status"),
    [("zzzz", 1), ("''", 2), ("'{'", 65), ("'{\"a\":-1}'", 65), ("'{\"a\":true}'", 65)],
)
def test_a_place_that_is_none_is_an_error(ten: Shell, place: str, status: int) -> None:
    for reader in ("tail", "replay"):
        assert ten(f"ev {reader} --after {place}", expect=status).out == ""
    assert ten(f"ev tail --cursor c --after {place}", expect=None).status in (status, 2)


def test_an_agent_is_shown_with_its_description_and_what_it_did(shell: Shell) -> None:
    shell("msg join devs")
    item = shell("wk new x -o id").out.strip()
    other = shell("wk new y -o id").out.strip()
    shell(f"wk claim {item}; wk close {item} --note done", COORD_SESSION="s1")
    shell(f"wk claim {other}", COORD_SESSION="s2")
    run = shell("run request -o id -- make test").out.strip()
    shell("ev emit --live agent.seen status=busy", COORD_SESSION="s2")
    agent = shell("ev agents tester").one
    assert (agent["agent_id"], agent["kind"], agent["groups"]) == ("agent:tester", "ai", ["devs"])
    assert (agent["holds"], agent["closed"]) == ([other], [item])
    assert agent["runs"] == [{"run_id": run, "command": "make test"}]
    sessions = {session["session"]: session.get("status") for session in agent["sessions"]}
    assert sessions == {"": None, "s1": None, "s2": "busy"}
    assert "no such agent" in shell("ev agents nobody", expect=1).err


def test_live_events_are_read_on_request_and_are_not_synced(shell: Shell) -> None:
    shell("ev emit --live agent.seen status=idle")
    shell("ev emit --live my.progress n=1")
    assert shell("ev replay").out == ""
    assert [event["type"] for event in shell("ev replay --live").lines] == [
        "agent.seen",
        "my.progress",
    ]
    shell("mkdir ../there; cd ../there; git init -q; ev init")
    shell("cd ../there; ev sync --with ../acme/.coord")
    assert shell("cd ../there; ev replay --live").out == ""
    for line in ("work.created title=x", "agent.seen status=idle --key k"):
        shell(f"ev emit --live {line}", expect=2)
