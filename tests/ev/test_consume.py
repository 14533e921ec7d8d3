"""`ev consume`: each event that matches is done, its result is emitted once, and nothing feeds itself."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from proof.witness import PATIENCE_S, Watched
from support import Json, Shell, check_invariants, git, open_store

HEAD = 'name = "c"\n[match]\ntypes = ["job.todo"]\n[run]\nbackoff = "1ms"\n'
EMIT = '[emit]\ntype = "job.done"\n'


def sh(script: str) -> str:
    return f"argv = ['sh', '-c', '''{script}''']\n"


def write(shell: Shell, run: str, rest: str = EMIT, name: str = "c.toml", head: str = HEAD) -> None:
    (shell.cwd / name).write_text(head + run + rest)


def todo(shell: Shell, *options: str, **body: object) -> str:
    return shell(
        f"ev emit job.todo -o id {' '.join(options)} --body -", json.dumps(body)
    ).out.strip()


def once(shell: Shell, expect: int = 0, options: str = "") -> list[Json]:
    return shell(f"ev consume c.toml --once {options}", expect=expect).lines


def kinds(shell: Shell, glob: str) -> list[Json]:
    return shell(f"ev replay --type '{glob}'").lines


def test_an_event_is_done_and_its_result_told_once(shell: Shell) -> None:
    write(shell, sh("tr a-z A-Z") + 'stdin = "{{body.text}}"\n')
    first = todo(shell, "--ref work_id=w-1", "--ref x=y", text="hello")
    (told,) = once(shell)
    assert told["type"] == "job.done"
    assert told["body"] == {"consumer": "c", "text": "HELLO"}
    assert (told["cause"], told["hops"], told["actor"]) == (first, 1, {"agent_id": "agent:c"})
    assert told["refs"].keys() == {"work_id", "run_id"}
    (job,) = kinds(shell, "run.requested")
    assert (job["cause"], told["refs"]["run_id"]) == (first, job["event_id"])
    assert once(shell) == []
    (shell.cwd / ".coord/local/cursors/consume.c.json").unlink()
    assert once(shell) == [], "a result is found by its key, not by the cursor"
    assert len(kinds(shell, "run.requested")) == 1
    check_invariants(open_store(shell.cwd))


def test_without_emit_the_job_itself_says_that_it_is_done(shell: Shell) -> None:
    write(shell, sh("echo x >>ran"), rest="")
    todo(shell)
    assert once(shell) == []
    (shell.cwd / ".coord/local/cursors/consume.c.json").unlink()
    assert once(shell) == []
    assert (shell.cwd / "ran").read_text() == "x\n"


def test_the_command_gets_the_events_line_and_its_variables_and_acts_as_the_consumer(
    shell: Shell,
) -> None:
    write(shell, sh("cat; echo $N $COORD_AGENT") + 'stdin = "event"\nenv = { N = "{{body.n}}" }\n')
    todo(shell, n=7)
    line, last = once(shell)[0]["body"]["text"].splitlines()
    assert line == shell("ev replay --type job.todo").out.strip()
    assert last == "7 c"


def test_who_starts_it_does_not_matter(shell: Shell) -> None:
    write(shell, sh("true"))
    todo(shell)
    assert once(shell)[0]["actor"] == {"agent_id": "agent:c"}
    shell.env["COORD_SESSION"] = "s-1"
    shell.env.pop("COORD_AGENT")
    (shell.cwd / ".coord/local/cursors/consume.c.json").unlink()
    assert once(shell) == []


def test_a_poison_event_is_tried_told_of_and_holds_back_no_other(shell: Shell) -> None:
    write(
        shell,
        sh("echo x >>$N; echo why >&2; [ $N != bad ]")
        + 'env = { N = "{{body.n}}" }\nmax_attempts = 3\n',
    )
    bad, good = todo(shell, n="bad"), todo(shell, n="good")
    told = {one["cause"]: one for one in once(shell, expect=1)}
    assert told[good]["type"] == "job.done"
    assert told[bad]["type"] == "consume.failed"
    assert told[bad]["body"] == {"consumer": "c", "reason": "its command ended with status 1: why"}
    assert (shell.cwd / "bad").read_text() == "x\n" * 3
    assert once(shell) == []


def test_bad_data_is_not_tried_again(shell: Shell) -> None:
    write(
        shell,
        sh("echo x >>ran; exit 65"),
        rest='[emit]\ntype = "job.done"\nfailed = "job.failed"\n',
    )
    todo(shell)
    (told,) = once(shell, expect=1)
    assert (told["type"], told["body"]["reason"]) == (
        "job.failed",
        "its command ended with status 65",
    )
    assert (shell.cwd / "ran").read_text() == "x\n"


WHY = ("no 'title'", "an option", "NUL", "has 40,962 bytes")


def test_an_event_of_which_no_command_can_be_made_fails_at_once(shell: Shell) -> None:
    write(shell, "argv = ['echo', '{{body.title}}']\n")
    for body in {}, {"title": "-n"}, {"title": "x\0"}, {"title": "é" * 20_481}:
        todo(shell, **body)
    good = todo(shell, title="fine")
    told = once(shell, expect=1)
    assert [one["cause"] for one in told if one["type"] == "job.done"] == [good]
    reasons = [one["body"]["reason"] for one in told if one["type"] == "consume.failed"]
    assert [
        part in reason
        for part, reason in zip(
            ("no 'title'", "an option", "NUL", "credential"), reasons, strict=True
        )
    ]
    assert len(kinds(shell, "run.requested")) == 1


SCHEMA = {
    "type": "object",
    "required": ["verdict"],
    "properties": {"verdict": {"enum": ["good", "bad"]}},
}


def with_schema(shell: Shell, script: str, attempts: int = 3) -> None:
    (shell.cwd / "s.json").write_text(json.dumps(SCHEMA))
    write(
        shell,
        sh(script) + f'stdin = "{{{{body.q}}}}"\nschema = "s.json"\nmax_attempts = {attempts}\n',
    )


def test_an_answer_that_does_not_fit_is_asked_for_again_with_what_is_wrong(shell: Shell) -> None:
    with_schema(
        shell,
        """cat >asked.$(ls | grep -c asked); case $(ls | grep -c asked) in
        1) echo "Sure! {}" ;; 2) echo {\\"verdict\\":\\"ugly\\"} ;; *) echo {\\"verdict\\":\\"good\\"} ;; esac""",
    )
    todo(shell, q="Is it?")
    (told,) = once(shell)
    assert told["body"]["answer"] == {"verdict": "good"}
    asked = [(shell.cwd / f"asked.{n}").read_text() for n in range(3)]
    assert asked[0] == "Is it?"
    assert asked[1].startswith("Is it?\n\nThe last answer was refused: no JSON: Expecting value")
    assert "Sure! {}" in asked[1]
    assert "verdict: 'ugly' is not one of ['good', 'bad']" in asked[2]
    jobs = kinds(shell, "run.requested")
    assert {job["cause"] for job in jobs} == {told["cause"]}
    assert told["refs"]["run_id"] == jobs[2]["event_id"]


def test_an_answer_that_never_fits_fails_after_as_many_attempts(shell: Shell) -> None:
    with_schema(shell, 'echo x >>ran; [ $(grep -c x ran) != 2 ] && echo "[]"', attempts=4)
    todo(shell, q="")
    (told,) = once(shell, expect=1)
    assert (
        "does not fit the schema: the whole: [] is not of type 'object'" in told["body"]["reason"]
    )
    assert (shell.cwd / "ran").read_text() == "x\n" * 4, (
        "what ended with another status counts, too"
    )


ENDS = {
    "exit 0": "pass",
    "echo no; exit 1": "reject",
    "exit 2": "inconclusive",
    "exit 3": "inconclusive",
    "kill -9 $$": "inconclusive",
    "sleep 60": "inconclusive",
    "exec nothing-there": "inconclusive",
}


def test_only_a_gate_that_says_0_lets_pass(shell: Shell) -> None:
    gate = f"[gate]\n{sh('cat >judged.$N; eval $END')}timeout = '1s'\n"
    env = 'concurrency = 4\nenv = { N = "{{body.n}}", END = "{{body.end}}" }\n'
    write(shell, sh("echo x >>ran.$N; echo answer $N") + env, rest=gate + EMIT)
    ids = {todo(shell, n=n, end=end): (n, verdict) for n, (end, verdict) in enumerate(ENDS.items())}
    told = once(shell, expect=1)
    assert {one["cause"]: one["body"]["verdict"] for one in told} == {
        one: verdict for one, (_, verdict) in ids.items()
    }
    for one in told:
        number, verdict = ids[one["cause"]]
        assert one["type"] == ("job.done" if verdict == "pass" else "consume.failed")
        assert one["body"].get("text") == ("answer 0\n" if verdict == "pass" else None)
        assert (shell.cwd / f"judged.{number}").read_text() == f"answer {number}\n"
        assert (shell.cwd / f"ran.{number}").read_text() == "x\n", "a gate's no is final"
    assert "the gate says reject: no" in [one["body"].get("reason") for one in told]


def test_a_long_answer_is_whole(shell: Shell) -> None:
    write(shell, "argv = ['seq', '{{body.n}}']\n")
    todo(shell, n=3000), todo(shell, n=20000)
    short, long = sorted(once(shell), key=lambda one: one["cause"])
    assert short["body"]["text"] == "".join(f"{n}\n" for n in range(1, 3001))
    assert long["body"]["blob"]["bytes"] == len("".join(f"{n}\n" for n in range(1, 20001)))


def test_an_answer_that_cannot_be_told_fails(shell: Shell) -> None:
    write(
        shell,
        sh("echo AKIA$(echo ABCDEFGHIJKLMNOP) | tee /dev/stderr; exit $N")
        + 'env = { N = "{{body.n}}" }\n',
    )
    todo(shell, n=0), todo(shell, n=65)
    reasons = [one["body"]["reason"] for one in once(shell, expect=1)]
    assert [("credential" in one, "ABCDEFGHIJKLMNOP" in one) for one in reasons] == [
        (True, False)
    ] * 2


def test_the_result_can_be_mail(shell: Shell) -> None:
    shell("msg join --as qa")
    write(
        shell, sh("echo hi"), rest=EMIT + 'to = ["agent:qa"]\ntext = "{{stdout}}about {{body.t}}"\n'
    )
    todo(shell, t="x")
    once(shell)
    assert shell("msg recv --as qa").one["body"]["text"] == "hi\nabout x"


def tree(root: Path) -> dict[str, tuple[int, bytes]]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files} | {
        f"{path}/": (0, b"") for path in root.rglob("*") if path.is_dir()
    }


def test_a_rehearsal_changes_no_byte_of_the_store(shell: Shell) -> None:
    write(shell, sh("touch ran") + 'stdin = "{{body.text}}"\n')
    shell(
        "ev emit",
        "".join(
            json.dumps({"type": "x.y", "body": {"pad": "-" * 900}}) + "\n" for _ in range(1300)
        ),
    )
    ids = [todo(shell, text=text) for text in ("a", "b", "c")]
    shell(f"ev redact {todo(shell, text='d')} --reason secret")
    todo(shell)
    for before in (
        "true",
        "ev show $(ev tail -n 1 -o id)",
        "rm .coord/local/index.sqlite",
        "rm -r .coord/local/cursors",
    ):
        shell(before)
        was = tree(shell.cwd / ".coord")
        done = shell("ev consume c.toml --once --dry-run", expect=65)
        assert tree(shell.cwd / ".coord") == was, f"after {before}"
        assert [(one["event_id"], one["stdin"]) for one in done.lines] == list(
            zip(ids, "abc", strict=True)
        )
    assert done.lines[0]["argv"] == ["sh", "-c", "touch ran"]
    assert done.err.count("no 'text' here") == 1, "what is redacted is passed over"
    assert not (shell.cwd / "ran").exists()
    assert len(shell("ev consume c.toml --dry-run --max 1").lines) == 1


def test_a_rehearsal_leaves_out_what_is_begun(shell: Shell) -> None:
    write(shell, sh("true"))
    todo(shell)
    once(shell)
    (shell.cwd / ".coord/local/cursors/consume.c.json").unlink()
    assert once(shell, options="--dry-run") == []


def test_what_it_writes_and_causes_never_feeds_it(shell: Shell) -> None:
    head = HEAD.replace('"job.todo"', '"*"')
    write(shell, sh("ev emit job.todo; ev emit by.another --as other --cause $RUN_ID"), head=head)
    first = todo(shell)
    assert [one["cause"] for one in once(shell)] == [first]
    assert once(shell) == []
    assert len(kinds(shell, "run.requested")) == 1


def test_two_consumers_that_feed_each_other_come_to_an_end(shell: Shell) -> None:
    write(shell, sh("true"))
    back = HEAD.replace('"c"', '"d"').replace("job.todo", "job.done")
    write(shell, sh("true"), rest='[emit]\ntype = "job.todo"\n', name="d.toml", head=back)
    todo(shell)
    told = [
        one["type"]
        for _ in range(2)
        for name in "cd"
        for one in shell(f"ev consume {name}.toml --once").lines
    ]
    assert told == ["job.done", "job.todo"]


def test_at_the_end_of_a_chain_of_causes_it_says_so_and_goes_on(shell: Shell) -> None:
    write(shell, sh("true"))
    shell("ev emit", json.dumps({"type": "job.todo", "hops": 32}))
    good = todo(shell)
    done = shell("ev consume c.toml --once", expect=1)
    assert [one["cause"] for one in done.lines] == [good]
    assert "hops is 33, over 32" in done.err
    assert done.err.count("\n") == 1
    assert once(shell) == []


def test_it_ends_after_so_many(shell: Shell) -> None:
    write(shell, sh("true"))
    ids = [todo(shell) for _ in range(3)]
    assert {one["cause"] for one in shell("ev consume c.toml --max 2").lines} == set(ids[:2])
    assert {one["cause"] for one in once(shell)} == {ids[2]}


def test_the_filters_are_those_of_every_reader(shell: Shell) -> None:
    head = (
        'name = "c"\n[match]\ntypes = ["job.*"]\nnot_types = ["job.x"]\nagents = ["ada"]\n[run]\n'
    )
    write(shell, sh("true"), head=head)
    shell("ev emit job.x --as ada; ev emit job.a --as bob; ev emit other.a --as ada")
    good = shell("ev emit job.a --as ada -o id").out.strip()
    assert [one["cause"] for one in once(shell)] == [good]


def test_a_job_that_was_begun_is_finished_though_the_file_says_something_else_now(
    shell: Shell,
) -> None:
    write(shell, sh("echo old"))
    todo(shell)
    once(shell)
    (told,) = kinds(shell, "job.done")
    write(shell, sh("echo new"))
    (shell.cwd / ".coord/local/cursors/consume.c.json").unlink()
    assert once(shell) == []
    assert told["body"]["text"] == "old\n"


def test_it_follows_what_comes_and_dies_of_a_signal(shell: Shell) -> None:
    write(shell, sh("cat") + 'stdin = "{{body.n}}"\nconcurrency = 2\n')
    todo(shell, n=0)
    with Watched(shell, "ev consume c.toml") as consume:
        for n in range(3):
            assert json.loads(consume.line())["body"]["text"] == str(n)
            todo(shell, n=n + 1)
        consume.line()
        consume.child.send_signal(signal.SIGTERM)
        assert consume.child.wait(PATIENCE_S) == -signal.SIGTERM
    assert once(shell) == []


def test_it_ends_when_its_reader_is_gone(shell: Shell) -> None:
    write(shell, sh("true"))
    todo(shell)
    with Watched(shell, "ev consume c.toml") as consume:
        consume.line()
        assert consume.child.stdout
        consume.child.stdout.close()
        assert consume.child.wait(PATIENCE_S) == 0


def test_it_ends_when_its_worker_does(shell: Shell) -> None:
    write(shell, sh("true"))
    todo(shell)
    with Watched(shell, "ev consume c.toml", stderr=-1) as consume:
        consume.line()
        workers = (
            Path(f"/proc/{consume.child.pid}/task/{consume.child.pid}/children").read_text().split()
        )
        for pid in workers:
            os.kill(int(pid), signal.SIGKILL)
        assert consume.child.wait(PATIENCE_S) == 69
        assert consume.child.stderr
        assert b"run worker ended" in consume.child.stderr.read()
        consume.child.stderr.close()


def test_its_worker_leaves_other_jobs_alone(shell: Shell) -> None:
    """It took every job that needed nothing, and ended with `--once` in the midst of one."""
    write(shell, sh("true"))
    shell("run request -- touch other; run request --needs gpu -- touch other")
    todo(shell)
    assert len(once(shell)) == 1
    assert [one["status"] for one in shell("run ls").lines] == ["requested"] * 2


def test_what_another_store_has_begun_is_that_stores_to_finish(
    shell: Shell, tmp_path: Path
) -> None:
    """`--once` waited for it for ever."""
    write(shell, sh("seq 3000"))
    event = todo(shell)
    begin = f"run request --as c --key 'c {event} 1' --needs consumer-c --cause {event} -o id -- seq 3000"
    run = shell(begin).out
    other = tmp_path / "other"
    git("clone", "-q", str(shell.cwd), str(other), cwd=tmp_path)
    there = Shell(other)
    there("ev init")
    write(there, sh("seq 3000"))
    there(f"ev sync --with {shell.cwd}")
    done = there("ev consume c.toml --once", expect=75)
    assert f"ev: {event}: its job belongs to another store; sync, and start again\n" in done.err
    shell("run worker --once --cap consumer-c --as c")
    there(f"ev sync --with {shell.cwd}")
    assert "another store" in there("ev consume c.toml --once", expect=75).err, (
        "its output is not here"
    )
    (told,) = once(shell)
    assert told["refs"]["run_id"] == run.strip()
    there(f"ev sync --with {shell.cwd}")
    assert once(there) == []


def test_a_hostile_event_does_no_harm_to_the_consumer(shell: Shell) -> None:
    write(shell, sh("true") + "stdin = \"{{ file('c.toml') }}\"\n")
    todo(shell)
    lines = shell("ev replay").out
    (name,) = (
        path.name
        for path in (shell.cwd / ".coord/journal").iterdir()
        if path.name.startswith("agent.tester")
    )
    forged, hostile = "agent.evil~" + name[-8:], []
    strange: list[Json] = [
        {"refs": ["run_id"]}, {"refs": {"run_id": 7, "work_id": "-x", "thread_id": "y" * 300}}, {"hops": -5},
        {"hops": "x"}, {"cause": 7}, {"cause": "x\0"}, {"file": "x", "blob": 1}, {"body": {"redacted": True}},
    ]  # fmt: skip
    for number, fields in enumerate(strange):
        one = (
            json.loads(lines)
            | {"writer": forged, "seq": number + 1, "actor": {"agent_id": "agent:evil"}}
            | fields
        )
        one["event_id"] = one["event_id"][:-2] + f"{number:02d}"
        hostile.append(json.dumps(one, separators=(",", ":")))
    (shell.cwd / ".coord/journal" / forged).mkdir()
    (shell.cwd / ".coord/journal" / forged / "000000000001.jsonl").write_text(
        "\n".join(hostile) + "\n"
    )
    done = shell("ev consume c.toml --once", expect=None)
    assert len(done.lines) == 1 + len(strange)
    assert once(shell) == []


HOSTILE = {
    "an attribute that it lacks": "{{ body.t|indent }}",
    "a word for a number": "{{ body.t.0 + 1 }}",
    "a division": "{{ 1 / body.zero }}",
    "a sort of mixed things": "{{ body.mixed|sort }}",
    "a field as a format": "{{ body.format.format(body) }}",
    "private names": "{{ ''.__class__ }}",
    "insides": "{{ file.__globals__ }}",
    "insides by a filter": "{{ file|attr('__self__') }}",
    "recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "much at once": "{{ 'x' * body.n }}",
    "much by a filter": "{{ 'x'|center(body.n) }}",
    "much by a format": "{{ '%*d'|format(body.n, 1) }}",
    "much bit by bit": "{% for a in body.l for b in body.l %}{% endfor %}",
    "a power": "{{ body.n ** body.n }}",
    "batches": "{{ body.l|batch(body.n, 'x')|list|length }}",
    "half a character": r"{{ '\ud800' }}",
}
LOOP = "{% for a in body.l %}"
HOSTILE["much bit by bit"] = f"{LOOP * 4}{{{{ 'x' * 999 }}}}{'{% endfor %}' * 4}"


def test_whatever_a_template_raises_or_takes_costs_its_event_only(shell: Shell) -> None:
    """An exception that was not foreseen ended the consumer with 70, at every start."""
    cases = (
        f"{{% if body.case == '{name}' %}}{text}{{% endif %}}" for name, text in HOSTILE.items()
    )
    write(shell, f"argv = ['cat']\nstdin = {json.dumps(''.join(cases))}\n")
    body = {"t": ["a"], "zero": 0, "n": 10**9, "l": [0] * 100, "mixed": [1, "x", {}]}
    field = "{0.__class__.__mro__}"
    bad = {todo(shell, case=name, format=field, **body): name for name in HOSTILE}
    good = todo(shell, case="")
    told = {one["cause"]: one for one in once(shell, expect=1)}
    assert told.pop(good)["type"] == "job.done"
    reasons = {bad[cause]: one["body"]["reason"] for cause, one in told.items()}
    assert reasons.keys() == HOSTILE.keys()
    assert "takes more than 2 s of CPU time or 256 MiB" in reasons["a power"]
    assert once(shell) == [], "each is told once"


def test_what_is_rendered_to_nonsense_costs_its_event_only(shell: Shell) -> None:
    write(shell, sh("true") + 'env = { X = "{{body.x}}" }\n')
    for x in ("a\0b", "x " * 22_000, "é" * 21_000):
        todo(shell, x=x)
    good = todo(shell, x="fine")
    told = once(shell, expect=1)
    assert [one["cause"] for one in told if one["type"] == "job.done"] == [good]
    assert len(told) == 4


ODD = (
    "1e999",
    "NaN",
    "[" * 90 + "]" * 90,
    "9" * 4000,
    r'"\ud800"',
    r'{"\u0000":1,"\u202e":2}',
    "",
    "[" * 9999,
)


def test_an_answer_that_is_odd_json_costs_its_event_only(shell: Shell) -> None:
    (shell.cwd / "s.json").write_text("{}")
    write(shell, "argv = ['cat']\nstdin = '{{body.a}}'\nschema = 's.json'\nmax_attempts = 1\n")
    ids = [todo(shell, a=answer) for answer in (*ODD, "7")]
    told = {one["cause"]: one for one in once(shell, expect=1)}
    assert told.keys() == set(ids)
    assert told[ids[-1]]["body"]["answer"] == 7


def test_a_schema_that_never_ends_costs_its_event_only(shell: Shell) -> None:
    (shell.cwd / "s.json").write_text('{"pattern": "^(a+)+$"}')
    write(shell, "argv = ['echo', '{{body.a}}']\nschema = 's.json'\nmax_attempts = 1\n")
    bad, good = todo(shell, a=json.dumps("a" * 40 + "!")), todo(shell, a='"aa"')
    told = {one["cause"]: one for one in once(shell, expect=1)}
    assert "takes more than 2 s of CPU" in told[bad]["body"]["reason"]
    assert told[good]["body"]["answer"] == "aa"


def test_two_processes_of_one_consumer_tell_one_result(shell: Shell) -> None:
    """History: a result in other words (the file had changed) was a failure to the other process."""
    write(shell, sh("echo $RUN_ID"))
    ids = {todo(shell) for _ in range(3)}
    shell('sed \'s/job.done"/&\\ntext = "{{stdout}}!"/\' c.toml >d.toml')
    shell("ev consume c.toml --once & ev consume d.toml --once & wait")
    told = kinds(shell, "job.done") + kinds(shell, "consume.failed")
    assert len(told) == 3
    assert {one["cause"] for one in told if one["type"] == "job.done"} == ids


def test_many_at_once_are_all_done(shell: Shell) -> None:
    write(shell, sh("true") + "concurrency = 4\n")
    shell("ev emit", "".join(f'{{"type":"job.todo","body":{{"n":{n}}}}}\n' for n in range(12)))
    assert len({one["cause"] for one in once(shell)}) == 12
