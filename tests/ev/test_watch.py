"""`ev watch -- CMD`: an event when what a command says has changed, and not before."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from pathlib import Path

from proof.witness import PATIENCE_S, Watched
from support import Shell, check_invariants, open_store

LOOK = "ev watch --type disk.free --once -- cat said"


def bodies(shell: Shell, kind: str = "disk.free") -> list[object]:
    return [one["body"] for one in shell(f"ev replay --type {kind}").lines]


def test_it_tells_of_the_first_output_and_then_of_changes(shell: Shell, repo: Path) -> None:
    (repo / "said").write_text("a\n")
    first = shell(LOOK).one
    digest = hashlib.sha256(b"a\n").hexdigest()
    assert first["body"] == {
        "argv": ["cat", "said"],
        "status": 0,
        "sha256": digest,
        "bytes": 2,
        "stdout": "a\n",
    }
    assert shell(LOOK).out == ""
    (repo / "said").write_text("b\n")
    assert shell(LOOK).one["body"]["stdout"] == "b\n"
    (repo / "said").write_text("a\n")
    assert shell(LOOK).one["body"]["stdout"] == "a\n"
    assert shell(LOOK).out == ""
    assert len(bodies(shell)) == 3
    check_invariants(open_store(repo))


def test_another_status_is_a_change(shell: Shell) -> None:
    look = "ev watch --type ci.state --once -- sh -c 'exit $(cat code 2>/dev/null || echo 0)'"
    assert shell(look).one["body"]["status"] == 0
    shell("echo 3 >code")
    assert shell(look).one["body"]["status"] == 3
    assert shell(look).out == ""
    assert (
        shell("ev watch --type ci.state --once -- sh -c 'kill -9 $$'").one["body"]["status"] == 137
    )


def test_every_tells_each_time(shell: Shell) -> None:
    shell("ev watch --type a.b --once --every -- true")
    shell("ev watch --type a.b --once --every -- true")
    assert len(bodies(shell, "a.b")) == 2
    assert shell("ev watch --type a.b --once -- true").out == "", (
        "what --every said is what was said last"
    )


def test_a_watch_is_a_type_a_command_and_a_directory_of_one_agent(shell: Shell) -> None:
    shell("mkdir sub")
    shell("ev watch --type a.b --once -- true")
    others = (
        "ev watch --type a.c --once -- true",
        "ev watch --type a.b --once -- true x",
        "cd sub && ev watch --type a.b --once -- true",
        "ev watch --type a.b --once --as other -- true",
    )
    assert [len(shell(line).lines) for line in others] == [1, 1, 1, 1]
    assert [len(shell(line).lines) for line in others] == [0, 0, 0, 0]


def test_it_runs_again_after_the_interval_until_its_reader_is_gone(
    shell: Shell, repo: Path
) -> None:
    (repo / "said").write_text("a")
    with Watched(shell, "ev watch --type a.b --interval 10ms -- cat said") as watch:
        assert json.loads(watch.line())["body"]["stdout"] == "a"
        os.replace(shell_file(repo, "b"), repo / "said")
        assert json.loads(watch.line())["body"]["stdout"] == "b"
        assert watch.child.stdout
        watch.child.stdout.close()
        assert watch.child.wait(PATIENCE_S) == 0


def shell_file(repo: Path, text: str) -> Path:
    path = repo / "next"
    path.write_text(text)
    return path


def test_killed_and_started_again_it_goes_on_where_it_was(shell: Shell, repo: Path) -> None:
    (repo / "said").write_text("a")
    line = "ev watch --type a.b --interval 10ms -- cat said"
    with Watched(shell, line) as watch:
        watch.line()
        watch.child.send_signal(signal.SIGKILL)
        watch.child.wait(PATIENCE_S)
    with Watched(shell, line) as watch:
        os.replace(shell_file(repo, "b"), repo / "said")
        assert json.loads(watch.line())["body"]["stdout"] == "b"
    assert [one["stdout"] for one in bodies(shell, "a.b")] == ["a", "b"]  # type: ignore[index]


def test_two_of_the_same_watch_tell_of_a_change_once(shell: Shell) -> None:
    shell("for i in 1 2 3 4; do ev watch --type a.b --once -- echo x & done; wait")
    assert len(bodies(shell, "a.b")) == 1


def test_much_output_is_a_blob_and_what_is_over_a_mib_is_cut(shell: Shell, repo: Path) -> None:
    body = shell("ev watch --type a.b --once -- seq 20000").one["body"]
    data = "".join(f"{n}\n" for n in range(1, 20001)).encode()
    digest = hashlib.sha256(data).hexdigest()
    assert body["blob"] == {"sha256": digest, "bytes": len(data), "media": "text/plain"}
    assert "stdout" not in body and "truncated" not in body
    assert (repo / f".coord/blobs/sha256/{digest[:2]}/{digest[2:]}").read_bytes() == data
    cut = shell("ev watch --type a.c --once -- head -c 1100000 /dev/zero").one["body"]
    assert (cut["bytes"], cut["blob"]["bytes"], cut["truncated"]) == (1_100_000, 1 << 20, True)


def test_output_that_is_not_text_is_stored_nevertheless(shell: Shell) -> None:
    body = shell(r"ev watch --type a.b --once -- printf '\377x\0'").one["body"]
    assert body["stdout"] == "\ufffdx\x00"
    assert shell(r"ev watch --type a.b --once -- printf '\377x\0'").out == ""


def test_what_cannot_be_started_is_no_observation(shell: Shell) -> None:
    done = shell("ev watch --type a.b -- no-such-program", expect=127)
    assert done.err == "ev: no-such-program: no such file or directory\n"
    assert shell("ev watch --type a.b -- /etc", expect=126).out == ""
    assert bodies(shell, "a.b") == []


def test_what_cannot_be_written_is_reported_and_tried_again(shell: Shell, repo: Path) -> None:
    token = "AKIA" + "ABCDEFGHIJKLMNOP"
    (repo / "said").write_text(token)
    with Watched(
        shell, "ev watch --type a.b --interval 10ms -- cat said", stderr=subprocess.PIPE
    ) as watch:
        assert watch.child.stderr
        assert b"credential" in watch.child.stderr.readline()
        os.replace(shell_file(repo, "clean"), repo / "said")
        assert json.loads(watch.line())["body"]["stdout"] == "clean"
        watch.child.stderr.close()
    (repo / "said").write_text(token)
    assert "credential" in shell("ev watch --type a.b --once -- cat said", expect=77).err


def test_without_a_type_it_does_not_run(shell: Shell) -> None:
    for line in (
        "ev watch -- touch ran",
        "ev watch --type a.b --type a.c -- touch ran",
        "ev watch --type a.b --agent x -- touch ran",
        "ev watch --type a.b --interval soon -- touch ran",
    ):
        assert shell(line, expect=2).err.count("\n") == 1
    for line in ("ev watch --type work.created -- touch ran", "ev watch --type A.b -- touch ran"):
        assert "--type: " in shell(line, expect=65).err
    assert shell("ls").out == ""


def test_the_options_of_a_command_need_one(shell: Shell) -> None:
    for option in ("--once", "--every", "--interval 1s"):
        assert "need a command" in shell(f"ev watch --type a.b {option}", expect=2).err
