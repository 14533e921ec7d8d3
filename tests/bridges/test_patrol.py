"""coord-patrol with real stores and processes: what dies is given back, what lives is not, and one event stops it all."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from proof.witness import Watched
from support import SPEC, Json, Shell, open_journal, open_store

from coord_envelope import BadData, world
from coord_envelope.bodies import check_body
from coord_kernel.journal.beat import beat

BEGIN = "2026-06-01T09:00:00Z"


def at(minutes: int, seconds: int = 0) -> str:
    return world.format_ts(world.parse_ts(BEGIN) + minutes * 60_000 + seconds * 1_000)


def item(shell: Shell) -> str:
    return shell("wk new 'Fix the login' --as boss -o id", COORD_NOW=BEGIN).out.strip()


def claimed(shell: Shell, agent: str = "ada", session: str = "s1", now: str = BEGIN) -> str:
    work = item(shell)
    shell(f"wk claim {work} --as {agent}", COORD_SESSION=session, COORD_NOW=now)
    return work


def patrol(shell: Shell, now: str, *, to: str = "--once") -> list[Json]:
    return shell(f"coord-patrol {to}", COORD_NOW=now).lines


def state(shell: Shell, now: str = BEGIN, agent: str = "agent:ada") -> str:
    (found,) = [row["state"] for row in patrol(shell, now, to="--ls") if row["agent"] == agent]
    return str(found)


def status(shell: Shell, work: str) -> str:
    return str(shell(f"wk show {work}").one["status"])


def kinds(events: list[Json]) -> list[str]:
    return [event["type"] for event in events]


def test_a_silent_session_is_nudged_twice_and_then_loses_its_claim_alone(shell: Shell) -> None:
    work = claimed(shell)
    assert [state(shell, at(n)) for n in (4, 6, 16)] == ["working", "quiet", "stalled"]
    assert [kinds(patrol(shell, at(n))) for n in (14, 15, 16, 24, 25, 26)] == [
        *([], ["patrol.nudged"], [], [], ["patrol.nudged"], [])
    ]
    other = claimed(shell, "bob", "b1", at(30))
    (reclaimed,) = patrol(shell, at(31))
    assert reclaimed["to"] == ["agent:ada", "agent:boss"]
    assert (status(shell, work), status(shell, other)) == ("ready", "active")
    assert patrol(shell, at(32)) == []
    mail = shell("msg recv --as ada", COORD_NOW=at(32)).lines
    assert kinds(mail) == ["patrol.nudged", "patrol.nudged", "patrol.reclaimed", "work.released"]


def test_any_sign_of_life_begins_the_silence_again(shell: Shell) -> None:
    work = claimed(shell)
    patrol(shell, at(16))
    shell(f"wk comment {work} on --as ada", COORD_SESSION="s1", COORD_NOW=at(29))
    assert patrol(shell, at(40)) == []
    assert kinds(patrol(shell, at(45))) == ["patrol.nudged"]


def test_an_agent_lives_through_any_of_its_doors(shell: Shell) -> None:
    """It claims in a shell without a session; its hooks know one."""
    work = item(shell)
    shell(f"wk claim {work} --as ada", COORD_NOW=BEGIN, COORD_SESSION="")
    shell(
        "coord-hooks seen --as ada",
        '{"session_id":"h1","hook_event_name":"Stop"}',
        COORD_NOW=at(29),
    )
    assert patrol(shell, at(35)) == []
    assert status(shell, work) == "active"


def test_what_a_person_holds_is_not_judged_by_silence(shell: Shell) -> None:
    work = item(shell)
    shell(f"wk claim {work} --as human:eve", COORD_NOW=BEGIN)
    assert patrol(shell, at(900)) == []
    assert state(shell, at(900), "human:eve") == "quiet"


def test_whoever_waits_for_a_person_keeps_its_claim_and_the_person_has_mail(shell: Shell) -> None:
    (shell.cwd / "coord.toml").write_text('[patrol]\noverseer = "human:eve"\n')
    work = claimed(shell)
    asks = '{"session_id":"s1","hook_event_name":"Notification","message":"may I run rm?"}'
    shell("coord-hooks seen --as ada", asks, COORD_NOW=at(1))
    assert patrol(shell, at(10)) == []
    (escalated,) = patrol(shell, at(11))
    assert (escalated["type"], escalated["to"]) == ("patrol.escalated", ["human:eve"])
    assert escalated["body"]["why"] == "waits for a person: may I run rm?"
    assert patrol(shell, at(500)) == []
    assert status(shell, work) == "active"


def test_what_was_begun_for_it_and_never_came_up_is_escalated_and_not_given_back(
    shell: Shell,
) -> None:
    work = item(shell)
    shell(f"wk claim {work} --for ada --session s1 --as boss", COORD_NOW=BEGIN)
    assert state(shell, at(4)) == "starting"
    (escalated,) = patrol(shell, at(5))
    assert escalated["body"]["sev"] == "high"
    assert patrol(shell, at(300)) == []
    assert (state(shell, at(300)), status(shell, work)) == ("never", "active")


def test_a_session_that_ended_gives_back_what_it_holds_at_once(shell: Shell) -> None:
    work = claimed(shell)
    shell(
        'ev emit session.ended --body \'{"how":"exit"}\' --as ada',
        COORD_SESSION="s1",
        COORD_NOW=at(1),
    )
    assert kinds(patrol(shell, at(1, 1))) == ["patrol.reclaimed"]
    assert status(shell, work) == "ready"


def test_a_session_that_goes_on_after_its_end_is_not_dead(shell: Shell) -> None:
    claimed(shell)
    shell(
        'ev emit session.ended --body \'{"how":"exit"}\' --as ada',
        COORD_SESSION="s1",
        COORD_NOW=at(1),
    )
    work = claimed(shell, now=at(2))
    assert patrol(shell, at(3)) == []
    assert status(shell, work) == "active"


@pytest.fixture
def lock(shell: Shell) -> Iterator[int]:
    """A process that runs the session s1 of ada, as its lock shows."""
    path = shell.cwd / ".coord/local/lock-s1"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    body = {"agent": "agent:ada", "session": "s1", "pin": "local/lock-s1", "cwd": str(shell.cwd)}
    shell("ev emit session.started --as worker --body -", json.dumps(body), COORD_NOW=BEGIN)
    yield fd
    os.close(fd)


def test_a_lock_that_is_held_is_not_overruled_by_silence(shell: Shell, lock: int) -> None:
    work = claimed(shell)
    seen = [kinds(patrol(shell, at(n))) for n in (29, 30, 40, 49, 50, 51, 900)]
    assert seen == [[], ["patrol.nudged"], ["patrol.nudged"], [], ["patrol.escalated"], [], []]
    assert (state(shell, at(900)), status(shell, work)) == ("stalled", "active")


def test_a_lock_that_nobody_holds_is_a_death_and_the_work_tree_is_named(
    shell: Shell, lock: int
) -> None:
    work = claimed(shell)
    fcntl.flock(lock, fcntl.LOCK_UN)
    shell("git checkout -q -b fix-login")
    ended, reclaimed = patrol(shell, at(1))
    assert (ended["type"], ended["body"]["how"]) == ("session.ended", "crash")
    assert reclaimed["body"]["worktree"] == str(shell.cwd)
    assert reclaimed["body"]["branch"] == "fix-login"
    assert status(shell, work) == "ready"


def test_under_a_stop_nothing_is_done_and_its_time_is_not_silence(shell: Shell) -> None:
    work = claimed(shell)
    shell("coord-patrol stop --reason 'disk full' --as human:eve", COORD_NOW=at(10))
    shell("coord-patrol stop --scope ada --as human:eve", COORD_NOW=at(11))
    assert patrol(shell, at(100)) == patrol(shell, at(100), to="--dry-run") == []
    shell("coord-patrol resume --scope all --as human:eve", COORD_NOW=at(100))
    assert patrol(shell, at(200)) == []  # two stops are two
    shell("coord-patrol resume --as human:eve", COORD_NOW=at(200))
    assert patrol(shell, at(204)) == []
    assert kinds(patrol(shell, at(205))) == ["patrol.nudged"]
    assert status(shell, work) == "active"
    assert "nothing is stopped" in shell("coord-patrol resume --as human:eve", expect=1).err


def test_a_stop_of_a_label_concerns_only_work_that_has_it(shell: Shell) -> None:
    works = [claimed(shell, agent, f"s-{agent}") for agent in ("ada", "bob")]
    shell(f"wk update {works[0]} --label urgent --as boss", COORD_NOW=BEGIN)
    shell("coord-patrol stop --scope label:urgent --as human:eve", COORD_NOW=at(1))
    patrol(shell, at(31))
    assert [status(shell, work) for work in works] == ["active", "ready"]


def test_after_repeated_deaths_there_is_one_quarantine_until_it_is_freed(shell: Shell) -> None:
    def dies(number: int) -> list[str]:
        claimed(shell, "ada", f"s{number}", at(number))
        end = 'ev emit session.ended --body \'{"how":"crash"}\' --as ada'
        shell(end, COORD_SESSION=f"s{number}", COORD_NOW=at(number, 1))
        return kinds(patrol(shell, at(number, 2)))

    assert [dies(number) for number in range(3)] == [["patrol.reclaimed"]] * 3
    assert dies(3) == ["patrol.reclaimed", "patrol.quarantined"]
    assert dies(4) == ["patrol.reclaimed"]
    assert (
        shell("coord-patrol free ada --as human:eve", COORD_NOW=at(5)).one["type"] == "patrol.freed"
    )
    assert patrol(shell, at(6)) == []
    assert dies(7) == ["patrol.reclaimed"]
    assert "is in no quarantine" in shell("coord-patrol free ada --as human:eve", expect=1).err


def test_slow_deaths_are_no_crash_loop(shell: Shell) -> None:
    for number in range(5):
        claimed(shell, "ada", f"s{number}", at(10 * number))
        shell(
            'ev emit session.ended --body \'{"how":"crash"}\' --as ada',
            COORD_SESSION=f"s{number}",
            COORD_NOW=at(10 * number, 1),
        )
        assert kinds(patrol(shell, at(10 * number, 2))) == ["patrol.reclaimed"]


def test_a_patrol_that_was_killed_between_saying_and_releasing_is_completed_by_the_next(
    shell: Shell,
) -> None:
    work = claimed(shell)
    broken = shell.cwd.parent / "broken"
    broken.mkdir()
    # A `wk` that is killed before it writes.
    real = Path(shell("command -v coord-patrol").out.strip()).parent
    python = broken / "python"
    python.write_text(f'#!/bin/sh\nexec {real}/python "$@"\n')
    (broken / "wk").write_text("#!/bin/sh\nkill -9 $$\n")
    for path in (python, broken / "wk"):
        path.chmod(0o755)
    code = f"import sys; sys.executable={str(python)!r}; from coord_patrol.cli import main; main()"
    done = shell(f'{real}/python -c "{code}" --once', expect=None, COORD_NOW=at(31))
    assert (done.status, kinds(done.lines)) == (75, ["patrol.reclaimed"])
    assert status(shell, work) == "active"
    assert patrol(shell, at(32)) == []
    assert status(shell, work) == "ready"


def test_a_day_with_nothing_to_do_writes_nothing(shell: Shell) -> None:
    claimed(shell, "human:eve", "")
    before = shell("ev replay -o id").out
    for hour in range(1, 25, 4):
        assert patrol(shell, at(60 * hour)) == []
    assert shell("ev replay -o id").out == before


def test_the_patrol_of_one_store_leaves_the_sessions_of_another_alone(
    shell: Shell, tmp_path: Path
) -> None:
    """Beats are not synced: an agent that works there is silent here."""
    work = claimed(shell)
    there = Shell(tmp_path / "there")
    there.cwd.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=there.cwd, check=True)
    there("ev init")
    there(f"ev sync --with {shell.cwd}/.coord")
    assert status(there, work) == "active"
    assert patrol(there, at(500)) == patrol(there, at(500), to="--ls") == []
    assert kinds(patrol(shell, at(31))) == ["patrol.reclaimed"]


# ---- processes


def test_a_killed_agent_in_a_wrapper_loses_its_work_while_those_that_live_keep_theirs(
    shell: Shell,
) -> None:
    """Two patrols at once. One agent is killed, one stopped, one is busy."""
    names = ("killed", "stopped", "busy")
    works = {name: item(shell) for name in names}
    path = f"--env PATH='{shell.env['PATH']}'"
    runs = {}
    with Watched(shell, "coord-patrol") as first, Watched(shell, "coord-patrol") as second:
        for name in names:
            agent = f"wk claim {works[name]} -o id; echo $$; exec sleep 600"
            line = f"run exec --as boss --env COORD_AGENT={name} {path} -- sh -c {json.dumps(agent).replace('$$', chr(92) + '$$')}"
            runs[name] = shell.popen(line, stdout=subprocess.PIPE)
        pids = {}
        for name, run in runs.items():
            assert run.stdout
            run.stdout.readline()
            pids[name] = int(run.stdout.readline())
        os.kill(pids["stopped"], signal.SIGSTOP)
        os.kill(pids["killed"], signal.SIGKILL)
        shell(
            f"timeout 30 sh -c 'until wk ready -o id | grep -q {works['killed']}; do sleep 0.05; done'"
        )
        assert [status(shell, works[name]) for name in names] == ["ready", "active", "active"]
        assert patrol(shell, "", to="--once") == []
        for name in ("stopped", "busy"):
            os.kill(pids[name], signal.SIGKILL)
        shell("timeout 30 sh -c 'until [ $(wk ready -o id | wc -l) = 3 ]; do sleep 0.05; done'")
        for run in runs.values():
            assert run.wait(30) == 137
        assert first and second
    reclaims = shell("ev replay --type patrol.reclaimed").lines
    assert len(reclaims) == len({event["idempotency_key"] for event in reclaims}) == 3
    assert len(shell("ev replay --type work.released").lines) == 3


def test_a_worker_begins_nothing_under_a_stop_and_goes_on_after_it(shell: Shell) -> None:
    shell("coord-patrol stop --reason 'disk full' --as human:eve")
    shell("run request -o id -- true")
    done = shell("run worker --once")
    assert (done.out, "stopped by human:eve: disk full" in done.err) == ("", True)
    with Watched(shell, "run worker") as worker:
        shell("coord-patrol resume --as human:eve")
        assert json.loads(worker.line())["type"] == "run.claimed"


def test_a_worker_passes_over_the_jobs_of_an_agent_that_is_stopped(shell: Shell) -> None:
    shell("coord-patrol stop --scope ada --as human:eve")
    shell("run request --env COORD_AGENT=ada -o id -- true")
    other = shell("run request --env COORD_AGENT=bob -o id -- true").out.strip()
    (*_, ended) = [e for e in shell("run worker --once").lines if e["type"] == "run.completed"]
    assert ended["refs"]["run_id"] == other


def test_a_job_of_an_agent_is_a_session_unless_it_is_to_be_kept(shell: Shell) -> None:
    show = "sh -c 'echo $COORD_SESSION'"
    session = shell(f"run exec --env COORD_AGENT=ada -- {show}").out.strip()
    kept = shell(
        f"run exec --env COORD_AGENT=ada --env COORD_KEEP=1 --env COORD_SESSION=s9 -- {show}"
    )
    assert kept.out == "s9\n"
    started, ended = shell("ev replay --type 'session.*'").lines
    run = started["refs"]["run_id"]
    assert session == f"{run}.1" == started["body"]["session"] == ended["body"]["session"]
    assert started["body"]["cwd"] == str(shell.cwd)
    assert ended["body"] == {
        "agent": "agent:ada",
        "session": session,
        "how": "exit",
        "code": 0,
        "start": started["event_id"],
    }


def test_the_lock_of_a_job_is_that_of_the_session_that_starts_in_it(shell: Shell) -> None:
    """A program in a job has a session of its own, by its hooks: it dies with the job, too."""
    work = item(shell)
    start = '{"session_id":"p1","hook_event_name":"SessionStart","source":"startup"}'
    agent = f"echo '{start}' | coord-hooks start; COORD_SESSION=p1 wk claim {work}; kill -9 $$"
    (shell.cwd / "agent.sh").write_text(agent)
    env = f"--env COORD_AGENT=ada --env PATH='{shell.env['PATH']}'"
    shell(f"run exec {env} -- sh agent.sh", expect=137)
    own, program = shell("ev replay --type session.started").lines
    assert program["body"]["parent"] == own["body"]["session"]
    assert program["body"]["pin"] == own["body"]["pin"]
    assert kinds(shell("coord-patrol --once").lines) == ["session.ended", "patrol.reclaimed"]
    assert status(shell, work) == "ready"


# ---- what is written


@pytest.mark.parametrize(
    "vector",
    [json.loads(line) for line in (SPEC / "vectors/userland.jsonl").read_text().splitlines()],
)
def test_bodies_of_the_userland_are_what_the_schema_says(vector: Json) -> None:
    if vector["good"]:
        check_body(vector["type"], vector["body"])
    else:
        with pytest.raises(BadData):
            check_body(vector["type"], vector["body"])


def test_what_a_patrol_writes_fits_the_schema(shell: Shell, lock: int) -> None:
    claimed(shell)
    for minute in (30, 40, 50):
        patrol(shell, at(minute))
    fcntl.flock(lock, fcntl.LOCK_UN)
    patrol(shell, at(51))
    events = shell("ev replay --type 'patrol.*' --type 'session.*'").lines
    assert {"patrol.nudged", "patrol.escalated", "patrol.reclaimed", "session.ended"} <= set(
        kinds(events)
    )
    for event in events:
        check_body(event["type"], event["body"])


def test_beats_of_one_status_are_a_minute_apart_and_old_ones_are_pruned(
    repo: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, actor = open_journal(repo), {"agent_id": "agent:ada", "session_id": "s1"}
    written = []
    for second in range(0, 130, 10):
        monkeypatch.setenv("COORD_NOW", at(0, 0) if second < 60 else at(second // 60, second % 60))
        written.append(beat(journal, actor, "busy") is not None)
    assert written == [True, *[False] * 5, True, *[False] * 5, True]
    monkeypatch.setenv("COORD_NOW", at(-1 + 1, 30))  # the clock is set back
    assert beat(journal, actor, "busy")
    assert open_store(repo).listdir("journal") == []
