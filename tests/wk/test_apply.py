"""wk apply: many operations, one lock, one write; each sees what the ones before it made."""

from __future__ import annotations

import json
import shutil

import pytest
from support import Json, Shell


def apply(shell: Shell, *operations: Json, expect: int = 0) -> tuple[list[Json], str]:
    done = shell("wk apply", "\n".join(map(json.dumps, operations)), expect=expect)
    return done.lines, done.err


NEW: list[Json] = [{"op": "new", "as": f"${name}", "title": name} for name in "abc"]


def test_what_as_names_stands_for_the_id_from_then_on(shell: Shell) -> None:
    a, b, dep, said, closed = apply(
        shell,
        *NEW[:2],
        {"op": "dep", "id": "$b", "to": "$a"},
        {"op": "comment", "id": "$a", "text": "hm"},
        {"op": "close", "id": "$a", "note": "done"},
    )[0]
    assert dep["refs"]["work_id"] == b["event_id"]
    assert dep["body"]["add"]["deps"] == [{"rel": "blocked_by", "to": a["event_id"]}]
    assert (said["base"], closed["base"]) == ([a["event_id"]], [said["event_id"]])
    assert shell("wk ready -o id").out.split() == [b["event_id"]]


def test_a_bad_operation_is_named_and_the_others_are_done(shell: Shell) -> None:
    done, err = apply(
        shell,
        NEW[0],
        {"op": "frobnicate"},
        {"op": "close", "id": "$nobody"},
        {"op": "comment", "id": "$a"},
        {"op": "update", "id": "$a", "set": {"priority": 0}},
        {"op": "update", "id": "$a"},
        NEW[0],
        expect=65,
    )
    assert [one["type"] for one in done] == ["work.created", "work.updated"]
    assert [line.split(": ")[1] for line in err.splitlines()] == [
        "line 2",
        "line 3",
        "line 4",
        "line 6",
        "line 7",
    ]


def test_an_operation_that_is_no_word_costs_only_its_own_line(shell: Shell) -> None:
    # Once a traceback, and nothing of the batch was written: a list cannot be looked up.
    op: object
    for op in ([], {}):
        done, err = apply(shell, {"op": op}, NEW[0], expect=65)
        assert [one["type"] for one in done] == ["work.created"]
        assert f"line 1: unknown op {op!r}; valid ops: new " in err


def test_with_keys_a_second_run_writes_nothing(shell: Shell) -> None:
    operations = [
        NEW[0] | {"idempotency_key": "a"},
        NEW[1] | {"idempotency_key": "b"},
        {"op": "dep", "id": "$b", "to": "$a", "idempotency_key": "dep"},
    ]
    first, _ = apply(shell, *operations)
    again, _ = apply(shell, *operations)
    assert [one | {"$dup": True} for one in first] == again
    assert len(shell("ev replay").lines) == 3


@pytest.mark.parametrize("last", [("$a", "$c"), ("$a", "$a"), ("$b", "$c")])
def test_a_circle_within_the_batch_is_refused(shell: Shell, last: tuple[str, str]) -> None:
    chain = [{"op": "dep", "id": one, "to": to} for one, to in (("$b", "$a"), ("$c", "$b"), last)]
    done, err = apply(shell, *NEW, *chain, expect=65)
    assert len(done) == 5
    assert err.startswith("wk: line 6: ")


def test_a_circle_with_what_was_there_before_is_refused(shell: Shell) -> None:
    a, b = (shell(f"wk new {title} -o id").out.strip() for title in "ab")
    shell(f"wk dep {a} {b}")
    assert apply(shell, {"op": "dep", "id": b, "to": a}, expect=65)[0] == []


@pytest.mark.parametrize(
    "last",
    [
        {"op": "dep", "id": "$a", "to": "$c"},
        {"op": "update", "id": "$b", "add": {"deps": [{"rel": "blocked_by", "to": "$a"}]}},
        {"op": "update", "id": "$a", "set": {"parent": "$b"}},
        {"op": "new", "title": "d", "parent": "$a", "deps": [{"rel": "blocked_by", "to": "$c"}]},
    ],
)
def test_a_circle_through_a_whole_and_its_parts_is_refused(shell: Shell, last: Json) -> None:
    """b is a part of a, c waits on a: of each, one half of a circle was once taken."""
    operations: list[Json] = [
        *NEW[:1],
        NEW[1] | {"parent": "$a"},
        NEW[2],
        {"op": "dep", "id": "$c", "to": "$a"},
    ]
    done, err = apply(shell, *operations, last, expect=65)
    assert len(done) == 4
    assert err.startswith("wk: line 5: ")
    assert "dependency cycle" in err


def test_it_asks_who_holds_what_it_closes_and_cites_its_own_claim(shell: Shell) -> None:
    mine, theirs = (shell(f"wk new {title} -o id").out.strip() for title in "ab")
    claim = shell(f"wk claim {mine}").one
    shell(f"wk claim {theirs} --as other")
    operations: list[Json] = [
        {"op": "update", "id": theirs, "set": {"parent": mine[-8:]}},
        {"op": "close", "id": theirs},
        {"op": "close", "id": mine},
        {"op": "close", "id": mine},
        {"op": "reopen", "id": mine},
        {"op": "reopen", "id": mine},
    ]
    done, err = apply(shell, *operations, expect=1)
    assert [one["type"] for one in done] == ["work.updated", "work.closed", "work.reopened"]
    assert done[0]["body"] == {"set": {"parent": mine}}
    assert done[1]["body"] == {"resolution": "done", "claim": claim["event_id"]}
    assert [line.split(": ")[1] for line in err.splitlines()] == ["line 2", "line 4", "line 6"]


def test_it_is_one_write(shell: Shell) -> None:
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    lines = "\n".join(json.dumps({"op": "new", "title": str(n)}) for n in range(300))
    shell("strace -f -e trace=fdatasync -o trace wk apply >/dev/null", lines)
    assert (shell.cwd / "trace").read_text().count("fdatasync(") == 1


def atomic(shell: Shell, *operations: Json, expect: int = 0) -> tuple[list[Json], str]:
    lines = "\n".join(map(json.dumps, operations))
    done = shell("wk apply --atomic", lines, expect=expect)
    return done.lines, done.err


def test_all_or_none(shell: Shell) -> None:
    bad: list[Json] = [{"op": "frobnicate"}, {"op": "dep", "id": "$a", "to": "$a"}]
    for last in (*bad, {"op": "close", "id": "$nobody"}):
        done, err = atomic(shell, *NEW, last, expect=65)
        assert done == []
        assert "line 4: " in err and err.endswith("wk: nothing was written\n")
        assert shell("wk ls --all").out == ""
    done, _ = atomic(shell, *NEW, {"op": "dep", "id": "$a", "to": "$b"})
    assert len(done) == 4
    assert len(list((shell.cwd / ".coord/journal").glob("*/*.jsonl"))) == 1
    done, _ = atomic(shell, {"op": "new", "title": "d"}, {"op": "new", "title": "e"})
    assert shell("wk status").one["ready"] == 4
    assert shell("wk new f; ev verify; wk ls").status == 0


def test_a_kill_at_any_call_leaves_all_or_nothing(shell: Shell) -> None:
    """The process is killed at each call that changes a file, one after the other."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    shell("wk new first")
    lines = "\n".join(json.dumps({"op": "new", "title": f"t{n}"}) for n in range(1_000))
    changes = "write,pwrite64,rename,renameat,renameat2,fsync,fdatasync"
    ends = set()
    for number in range(1, 100):
        inject = f"--inject={changes}:signal=KILL:when={number}"
        line = (
            f"strace -f -qq -o /dev/null -e trace={changes} {inject} wk apply --atomic >/dev/null"
        )
        killed = shell(line, lines, expect=None)
        found = len(shell("wk ls -o id").out.split())
        assert found % 1_000 == 1, (number, found)
        ends.add((killed.status == 0, found > 1))
        if killed.status == 0:
            break
        shutil.rmtree(shell.cwd / ".coord")
        shell("ev init; wk new first")
    assert (False, False) in ends and (True, True) in ends


def test_a_claim_in_a_plan_is_one_that_the_command_would_make(shell: Shell) -> None:
    claim: Json = {"op": "claim", "id": "$a"}
    _, made, closed = apply(shell, NEW[0], claim, {"op": "close", "id": "$a"})[0]
    assert made["body"] == {"gen": 1}
    assert closed["body"]["claim"] == made["event_id"]
    a = shell("wk new x -o id").out.strip()
    apply(shell, {"op": "claim", "id": a})
    (again,) = apply(shell, {"op": "claim", "id": a})[0]
    assert again["$dup"] is True
    b = shell(f"wk new y --blocked-by {a} -o id").out.strip()
    assert "is blocked" in apply(shell, {"op": "claim", "id": b}, expect=1)[1]
    apply(shell, {"op": "claim", "id": b, "force": True})
    shell(f"wk release {a}; wk claim {a} --as other")
    for kind in ("claim", "close"):
        assert "held by agent:other" in apply(shell, {"op": kind, "id": a}, expect=1)[1]
    (ended,) = apply(shell, {"op": "close", "id": a, "force": True})[0]
    assert ended["to"] == ["agent:other"]
    change: Json = {"op": "update", "id": a, "set": {"title": "z"}}
    assert "is closed" in apply(shell, change, expect=1)[1]
    apply(shell, change | {"force": True})
    assert "no such work item" in apply(shell, {"op": "claim", "id": "0" * 26}, expect=1)[1]
