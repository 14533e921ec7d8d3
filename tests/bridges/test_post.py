"""Mail for idle agents: when coord-patrol has it delivered, and when it is quiet."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator

import pytest
from support import Json, Shell, open_journal

from coord_envelope import Event
from coord_patrol.post import Post

RUN = "01KF4QBCFS000HY2KBEWSW1ZZE"


@pytest.fixture
def job(shell: Shell) -> Iterator[int]:
    """A job that runs the session s1 of ada, as its lock shows; it is idle."""
    fd = os.open(shell.cwd / ".coord/local/pin", os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    started(shell, {"pin": "local/pin", "run": RUN})
    beat(shell, "idle")
    yield fd
    os.close(fd)


def started(shell: Shell, more: Json, session: str = "s1") -> None:
    body = {"agent": "agent:ada", "session": session, **more}
    shell("ev emit session.started --as worker --body -", json.dumps(body))


def beat(shell: Shell, status: str, session: str = "s1") -> None:
    body = json.dumps({"status": status})
    shell(f"ev emit agent.seen --live --as ada --body '{body}'", COORD_SESSION=session)


def mail(shell: Shell) -> str:
    return shell("msg send --to ada --subject x --as bob --force -o id").out.strip()


def planned(shell: Shell) -> list[str]:
    """The messages that a patrol would have delivered now."""
    post = Post(open_journal(shell.cwd), "bridge:patrol", lambda _: None)
    return [act.about["mail"] for act in post.plan().acts]


def nudged(shell: Shell, message: str, result: str) -> None:
    body = {"agent": "agent:ada", "session": "s1", "mail": message, "count": 1, "result": result}
    key = f"nudge:s1:{message}:{result}"
    shell(f"ev emit session.nudged --as bridge:patrol --key {key} --body -", json.dumps(body))


def test_mail_is_delivered_to_an_idle_agent_until_it_knows_of_it(shell: Shell, job: int) -> None:
    assert planned(shell) == [], "nothing waits"
    first = mail(shell)
    assert planned(shell) == [first]
    row = {"act": "deliver", "agent": "agent:ada", "mail": first}
    assert row in shell("coord-patrol --dry-run").lines
    nudged(shell, first, "busy")
    assert planned(shell), "it was at work then"
    beat(shell, "busy")
    assert planned(shell) == []
    beat(shell, "idle")
    nudged(shell, first, "delivered")
    assert planned(shell) == []
    second = mail(shell)
    assert planned(shell) == [second]
    shell(f"msg ack {first} {second} --as ada")
    assert planned(shell) == [], "it was read meanwhile"


def test_what_a_hook_has_shown_is_not_delivered(shell: Shell, job: int) -> None:
    started(shell, {"parent": "s1"}, "own")
    mail(shell)
    stop = {"session_id": "own", "hook_event_name": "Stop"}
    shell("msg hook claude --as ada", json.dumps(stop), COORD_SESSION="s1")
    (ack,) = shell("ev replay --type msg.acked").lines
    assert (ack["actor"]["session_id"], ack["body"]["kind"]) == ("own", "delivered")
    assert planned(shell) == []


def test_one_that_is_stopped_dead_or_a_persons_own_is_left_alone(shell: Shell, job: int) -> None:
    mail(shell)
    assert planned(shell)
    shell("coord-patrol stop --scope ada --as human:eve")
    assert planned(shell) == []
    shell("coord-patrol resume --as human:eve")
    assert planned(shell)
    fcntl.flock(job, fcntl.LOCK_UN)
    assert planned(shell) == [], "its process is gone"
    started(shell, {}, "shell")
    beat(shell, "idle", "shell")
    assert planned(shell) == [], "no job runs it"


def test_only_mail_for_who_runs_and_the_end_of_an_awaited_turn_wake_it(
    shell: Shell, job: int
) -> None:
    post = Post(open_journal(shell.cwd), "bridge:patrol", lambda _: None)

    def wakes(
        kind: str, actor: str = "agent:bob", body: Json | None = None, **more: object
    ) -> bool:
        return post.wakes(
            Event(b"", {"type": kind, "actor": {"agent_id": actor}, "body": body or {}, **more})
        )

    beat(shell, "busy")
    post.plan()
    idle = ("agent.seen", "agent:ada", {"status": "idle"})
    assert [wakes("msg.sent", to=[to]) for to in ("agent:ada", "agent:eve", "all")] == [
        True,
        False,
        True,
    ]
    assert not wakes(*idle), "no mail waits for it"
    mail(shell)
    assert post.plan().acts == []
    assert wakes(*idle)
    assert not wakes("agent.seen", "agent:ada", {"status": "busy"})
    assert not wakes("agent.seen", "agent:eve", {"status": "idle"})


LATER, DONE = (
    "2099-01-01T00:00:00Z",
    {"pin": "local/pin", "run": RUN, "work": "01KF4QBCFS000HY2KBEWSW1ZZF"},
)


def ending(shell: Shell, at: str = LATER) -> list[str]:
    """The sessions that a patrol would have ended now."""
    rows = shell("coord-patrol --dry-run", COORD_NOW=at).lines
    return [row["session"] for row in rows if row.get("act") == "finish"]


def test_one_whose_work_is_done_is_ended_when_it_was_idle_for_long(shell: Shell, job: int) -> None:
    assert ending(shell) == [], "it was started without work"
    started(shell, DONE)
    assert ending(shell) == ["s1"]
    assert ending(shell, at="") == [], "not at once"
    item = shell("wk new x --as boss -o id").out.strip()
    shell(f"wk claim {item} --as ada", COORD_SESSION="s1")
    assert ending(shell) == [], "it holds an item"
    shell(f"wk close {item} --as ada", COORD_SESSION="s1")
    assert ending(shell) == ["s1"]
    beat(shell, "busy")
    assert ending(shell) == []
    beat(shell, "waiting")
    assert ending(shell) == []
    beat(shell, "idle")
    other = mail(shell)
    assert ending(shell) == [], "mail is delivered first"
    shell(f"msg ack {other} --as ada")
    started(shell, {"parent": "s1"}, "own")
    shell(f"wk reopen {item} --as boss")
    shell(f"wk claim {item} --as ada", COORD_SESSION="own")
    assert ending(shell) == [], "its program's own session holds one"
    shell(f"wk release {item} --as ada", COORD_SESSION="own")
    shell("coord-patrol stop --scope ada --as human:eve")
    assert ending(shell) == []
    shell("coord-patrol resume --as human:eve")
    assert ending(shell) == ["s1"]


def test_one_with_an_item_that_is_assigned_or_a_question_that_is_open_is_not_ended(
    shell: Shell, job: int
) -> None:
    started(shell, DONE)

    def without_mail() -> list[str]:
        shell("msg recv --as ada", expect=None)
        return ending(shell)

    item = shell("wk new x --as boss --assignee ada -o id").out.strip()
    assert without_mail() == [], "it is to do it"
    shell(f"wk claim {item} --as bob")
    assert without_mail() == ["s1"], "another does it"
    shell(f"wk release {item} --as bob")
    assert without_mail() == []
    shell(f"wk update {item} --assignee bob --as boss")
    assert without_mail() == ["s1"]
    asked = shell("wk ask Which? --to human:eve --as ada -o id", COORD_SESSION="s1").out.strip()
    assert without_mail() == [], "it waits for the answer"
    shell(f"wk close {asked} --resolution cancelled --as ada", COORD_SESSION="s1")
    assert without_mail() == ["s1"]


def test_a_sign_of_life_of_a_clock_that_is_ahead_counts_from_when_it_was_seen(
    shell: Shell, job: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    started(shell, DONE)
    body = json.dumps({"status": "idle"})
    live = f"ev emit agent.seen --live --as ada --body '{body}'"
    shell(live, COORD_SESSION="s1", COORD_NOW="2098-01-01T00:00:00Z")
    post = Post(open_journal(shell.cwd), "bridge:patrol", lambda _: None)
    now = 4_000_000_000_000  # of 2096
    monkeypatch.setattr("coord_envelope.world.now_ms", lambda: now)
    plan = post.plan()
    assert (plan.acts, plan.wake) == ([], now + 120_000)
    monkeypatch.setattr("coord_envelope.world.now_ms", lambda: now + 120_000)
    assert [act.kind for act in post.plan().acts] == ["finish"]


def test_the_pause_before_an_end_is_a_setting(shell: Shell, job: int) -> None:
    started(shell, DONE)
    (shell.cwd / "coord.toml").write_text('[patrol]\ndone = "100d"\n')
    assert ending(shell, at="") == []
    post = Post(open_journal(shell.cwd), "bridge:patrol", lambda _: None)
    days = (post.plan().wake or 0) / 86_400_000
    assert 100 <= days - int(shell("date +%s").out) / 86_400 + 1 <= 101.1
    (shell.cwd / "coord.toml").write_text("[patrol]\ndone = 5\n")
    assert "not a valid setting: patrol.done" in shell("coord-patrol --once", expect=65).err
