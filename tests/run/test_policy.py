"""run: a job of another store runs only by a policy, and with a remote only when confirmed."""

from __future__ import annotations

import json
import os
import pty
from pathlib import Path

import pytest
from proof.witness import PATIENCE_S
from run.jobs import requested, state, types
from support import Json, Shell, check_invariants, git, open_journal, open_store


def clone(root: Path, name: str) -> Shell:
    git("clone", "-q", "hub.git", name, cwd=root)
    shell = Shell(root / name)
    shell.env |= {"COORD_AGENT": name, "XDG_CONFIG_HOME": str(root / f"{name}-config")}
    for unwanted in ("COORD_DIR", "COORD_NOW", "COORD_SESSION"):
        shell.env.pop(unwanted, None)
    shell("ev init")
    return shell


@pytest.fixture
def here(tmp_path: Path) -> Shell:
    git("init", "-q", "--bare", "hub.git", cwd=tmp_path)
    return clone(tmp_path, "here")


@pytest.fixture
def there(here: Shell) -> Shell:
    return clone(here.cwd.parent, "there")


def allow(shell: Shell, text: str) -> Path:
    path = Path(shell.env["XDG_CONFIG_HOME"]) / "coord/runner.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


RULE = '[[allow]]\nargv = ["echo"]\nfrom = ["agent:the*"]\n'


def test_a_synced_request_is_refused_without_a_policy_and_run_with_one(
    here: Shell, there: Shell
) -> None:
    run = requested(there, "echo hello")
    here(f"ev sync --with {there.cwd}/.coord")
    done = here("run worker --once")
    assert "came from another store, and no policy allows it" in done.err
    assert state(here, run)["status"] == "requested"
    allow(here, RULE)
    assert here("run worker --once").err == ""
    assert state(here, run)["code"] == 0
    there(f"ev sync --with {here.cwd}/.coord")
    assert there(f"run attach {run}").out == "hello\n"  # the tail of a log in another store


def forged(shell: Shell, run: str, **changes: object) -> bytes:
    """A request's line, changed."""
    (line,) = shell("ev replay --type run.requested").lines
    assert line["event_id"] == run
    return json.dumps(line | changes, separators=(",", ":")).encode() + b"\n"


def test_the_name_of_a_writer_is_no_proof_of_where_a_request_was_made(
    here: Shell, there: Shell
) -> None:
    """History: a line pushed into a stream with our replica's id was run without a policy."""
    here("ev emit a.b")
    replica = next((here.cwd / ".coord/journal").iterdir()).name.partition("~")[2]
    run = requested(there, "touch pwned")
    writer = f"agent.here2~{replica}"
    stream = there.cwd / f".coord/journal/{writer}/{1:012d}.jsonl"
    stream.parent.mkdir()
    stream.write_bytes(
        forged(
            there, run, writer=writer, seq=1, event_id=f"{run[:-1]}{'0' if run[-1] != '0' else '1'}"
        )
    )
    here(f"ev sync --with {there.cwd}/.coord")
    assert len(here("run ls").lines) == 2
    assert here("run worker --once").err.count("came from another store") == 2
    assert not (here.cwd / "pwned").exists()


def test_another_body_under_the_id_of_a_local_request_is_not_run(here: Shell, there: Shell) -> None:
    run = requested(here, "true")
    writer = "agent.aaa~00000000"
    stream = there.cwd / f".coord/journal/{writer}/{1:012d}.jsonl"
    stream.parent.mkdir()
    stream.write_bytes(forged(here, run, writer=writer, seq=1, body={"argv": ["touch", "pwned"]}))
    here(f"ev sync --with {there.cwd}/.coord")
    here("run worker --once")
    assert not (here.cwd / "pwned").exists()


def test_one_key_in_two_stores_is_one_job(here: Shell, there: Shell) -> None:
    """Both were run before they met: the first result counts, by either id."""
    runs = [requested(shell, "echo x", "--key k") for shell in (here, there)]
    for shell in (here, there):
        shell("run worker --once")
    here(f"ev sync --with {there.cwd}/.coord")
    assert here("run ls --all").one["run_id"] == runs[0]
    assert [state(here, run)["run_id"] for run in runs] == [runs[0]] * 2
    assert len(state(here, runs[0])["also_completed"]) == 1


def test_a_published_log_is_there_in_every_store(here: Shell, there: Shell) -> None:
    """Else only its last 4 KiB."""
    allow(here, RULE.replace("echo", "seq"))
    for options in ("", "--publish-log"):
        run = requested(there, "seq 3000", options)
        for shell, other in ((here, there), (there, here)):
            shell(f"ev sync --with {other.cwd}/.coord")
            here("run worker --once")
        whole = "".join(f"{n}\n" for n in range(1, 3001))
        assert there(f"run attach {run}").out == (whole if options else whole[-4096:])
        log = there(f"run logs {run}", expect=0 if options else 1)
        assert log.out == (whole if options else "")


def test_what_ran_elsewhere_steers_no_terminal(here: Shell, there: Shell) -> None:
    """In a pipe it is as it was."""
    allow(here, RULE.replace("echo", "printf"))
    run = requested(there, "printf 'a\\033[2Jb\\n'")
    for _ in range(2):
        here(f"ev sync --with {there.cwd}/.coord")
        here("run worker --once")
    assert there(f"run attach {run}").out == "a\033[2Jb\n"
    ours, theirs = pty.openpty()
    with there.popen(f"run attach {run}", stdout=theirs) as attached:
        assert attached.wait(PATIENCE_S) == 0
    assert os.read(ours, 99) == b"a\\u{1b}[2Jb\r\n"
    for fd in (ours, theirs):
        os.close(fd)


def test_a_request_of_this_store_needs_no_policy(here: Shell) -> None:
    run = requested(here, "true")
    here("run worker --once")
    assert state(here, run)["code"] == 0


@pytest.mark.parametrize(
    ("rule", "command", "options", "runs"),
    [
        ("", "echo x", "", True),
        ("", "printf x", "", False),
        ("", "echo x", "--env A=b", False),
        ('env = ["A"]', "echo x", "--env A=b", True),
        ('env = ["A"]', "echo x", "--env A=b --env LD_PRELOAD=x", False),
        ("", "echo x", "--secret TOKEN", False),
        ('secrets = ["TOKEN"]', "echo x", "--secret TOKEN", True),
        ("", "echo x", "--repo HEAD", False),
        ("repo = true", "echo x", "--repo HEAD", True),
        ('sandbox = ["env", "BOXED=1"]', "echo x", "", True),
    ],
)
def test_a_rule_allows_what_it_names_and_no_more(
    here: Shell, there: Shell, rule: str, command: str, options: str, runs: bool
) -> None:
    for shell in (here, there):
        git("commit", "-q", "--allow-empty", "-m", "x", cwd=shell.cwd)
        git("push", "-qf", "origin", "HEAD:main", cwd=shell.cwd)
    git("fetch", "-q", "origin", cwd=here.cwd)
    run = requested(there, command, options)
    here(f"ev sync --with {there.cwd}/.coord")
    allow(here, RULE + rule)
    here("run worker --once", TOKEN="value of it")
    assert state(here, run)["status"] == ("completed" if runs else "requested")


PUSHED: list[Json] = [
    {"cwd": "a\0b"},
    {"cwd": "/etc"},
    {"cwd": "a/../.."},
    {"argv": ["echo", "a\0b"]},
    {"argv": ["echo", *["x"] * 256]},
    {"env": {"A": "a\0b"}},
    {"env": {"A=B": "x"}},
    {"env": {"RUN_TOKEN": "9"}},
    {"secrets": ["../TOKEN"]},
    {"repo": {"commit": "--output=x", "url": "u"}},
    {"repo": {}},
    {"stdin": {"sha256": "../../../etc/passwd", "bytes": 1}},
    {"stdin": {}},
    {"timeout_ms": 1 << 70},
    {"grace_ms": -1},
    {"backoff_ms": 1e3},
    {"backoff_ms": None},
    {"max_attempts": True},
    {"max_attempts": 10**9},
    {"start_by": "never"},
    {"start_by": "9999-12-31"},
]


def test_a_pushed_job_that_no_worker_may_run_is_refused_once(here: Shell, there: Shell) -> None:
    """History: the attempt at one with a zero byte in its directory died, until it was lost."""
    rule = 'env = ["A", "A=B", "RUN_TOKEN"]\nsecrets = ["../TOKEN"]\nrepo = true\n'
    allow(here, RULE + rule)
    for body in PUSHED:
        draft = {"type": "run.requested", "body": {"argv": ["echo", "x"], **body}}
        open_journal(there.cwd).append({"agent_id": "agent:there"}, [draft])
    sound = requested(there, "echo sound")
    here(f"ev sync --with {there.cwd}/.coord")
    done = here("run worker --once")
    assert done.err == ""
    kinds = [event["type"] for event in done.lines]
    assert kinds.count("run.cancelled") == len(PUSHED)
    assert kinds.count("run.claimed") == kinds.count("run.completed") == 1
    assert state(here, sound)["code"] == 0
    for row in here("run ls --all").lines:
        assert row["run_id"] == sound or row["cancelled"].startswith("not a valid request: ")
    assert here("run worker --once").out == ""


def test_a_retry_of_a_pushed_job_pauses_whatever_its_backoff(here: Shell, there: Shell) -> None:
    allow(here, RULE.replace("echo", "false"))
    here.env |= {"COORD_NOW": "2036-01-17T12:00:00Z"}
    there.env |= here.env | {"COORD_AGENT": "there"}
    body = {"argv": ["false"], "retry": "any", "max_attempts": 999, "backoff_ms": 0}
    draft = {"type": "run.requested", "body": body}
    (event,) = open_journal(there.cwd).append({"agent_id": "agent:there"}, [draft])
    here(f"ev sync --with {there.cwd}/.coord")
    here("run worker --once")
    assert state(here, event.id)["attempt"] == 1


def test_a_request_by_another_agent_is_refused(here: Shell, there: Shell) -> None:
    run = requested(there, "echo x", "--as mallory")
    here(f"ev sync --with {there.cwd}/.coord")
    allow(here, RULE)
    here("run worker --once")
    assert state(here, run)["status"] == "requested"


@pytest.mark.parametrize(
    ("text", "mode", "status", "words"),
    [
        (RULE, 0o666, 77, "writable by others"),
        ("[[allow]]\nargv = 1", 0o600, 65, "argv must be a list of strings"),
        ("[[allow]]\nargv = ['x']", 0o600, 65, "a rule needs argv and from"),
        ("[allow]\nx = 1", 0o600, 65, "may contain only [[allow]] tables"),
        ("[[allow", 0o600, 65, "correct the file"),
    ],
)
def test_a_policy_that_cannot_be_trusted_stops_the_worker(
    here: Shell, text: str, mode: int, status: int, words: str
) -> None:
    allow(here, text).chmod(mode)
    assert words in here("run worker --once", expect=status).err


def test_a_policy_in_the_repository_stops_the_worker(here: Shell) -> None:
    here.env["XDG_CONFIG_HOME"] = str(here.cwd / "config")
    allow(here, RULE)
    assert "inside the repository" in here("run worker --once", expect=77).err


def test_with_a_remote_a_synced_job_is_confirmed_before_it_starts(
    here: Shell, there: Shell
) -> None:
    for shell in (here, there):
        allow(shell, RULE)
        shell("ev sync --remote origin")
    run = requested(there, "echo $RUN_TOKEN")
    there("ev sync")
    here("ev sync")
    here("run worker --once")
    assert types(here, run) == ["requested", "claimed", "confirmed", "started", "completed"]
    assert state(here, run)["status"] == "completed"


def test_a_job_that_cannot_be_confirmed_is_released(here: Shell, there: Shell) -> None:
    for shell in (here, there):
        shell("ev sync --remote origin")
    run = requested(there, "echo x")
    there("ev sync")
    here("ev sync")
    allow(here, RULE)
    (here.cwd.parent / "hub.git").rename(here.cwd.parent / "gone")
    here("run worker --once")
    assert types(here, run) == ["requested", "claimed", "released"]
    shown = state(here, run)
    assert shown["status"] == "requested"
    assert "its claim was not confirmed" in shown["attempts"][0]["why"]
    assert "attempt" not in shown


def test_of_two_stores_that_claim_a_job_one_runs_it(here: Shell, there: Shell) -> None:
    third = clone(here.cwd.parent, "third")
    for shell in (here, there, third):
        shell("ev sync --remote origin")
        allow(shell, RULE)
    run = requested(there, "echo x")
    for shell in (there, here, third):
        shell("ev sync")
    here("run worker --once")
    third("run worker --once")
    here("ev sync")
    third("ev sync")
    assert types(third, run).count("started") == 1
    assert types(third, run).count("completed") == 1
    assert types(third, run).count("conceded") == 1
    for shell in (here, third):
        check_invariants(open_store(shell.cwd))
