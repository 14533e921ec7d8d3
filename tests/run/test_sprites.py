"""`--substrate sprites:NAME`: jobs in a double of the Sprites API, over links that are cut."""

from __future__ import annotations

import base64
import json
import os
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from bridges.sprite import TOKEN, Sprites
from live.proxy import Proxy
from proof.witness import PATIENCE_S, Watched
from run.jobs import children, ended, requested, state, types, worker
from support import Shell

pytest.importorskip("sprites", reason="sprites-py is not installed")

from sprites.exceptions import APIError, NetworkError

from coord_sprites import here


@pytest.fixture
def box(shell: Shell, tmp_path: Path) -> Iterator[Sprites]:
    with Sprites(tmp_path / "home", tmp_path / "points") as box:
        shell.env |= {"SPRITES_URL": box.url, "SPRITES_TOKEN": TOKEN}
        yield box


def test_a_command_runs_there_as_it_does_here(shell: Shell, box: Sprites) -> None:
    (box.home / "sub").mkdir()
    words = 'sh -c \'pwd; cat; echo "$A" $RUN_ATTEMPT; echo "$1" >&2; exit 3\' sh "a  \'b"'
    shell.env["A"] = "x  y\nz"
    options = '--substrate sprites:box:sub --env A="$A" --input -'
    done = shell(f"run exec {options} -- {words}", stdin="in\0\n", expect=3)
    assert done.out == f"{box.home}/sub\nin\0\nx  y\nz 1\n"
    assert done.err == "a  'b\n"
    assert not list((box.home / ".coord-run").iterdir())


def test_no_url_has_its_words_or_variables(shell: Shell, box: Sprites) -> None:
    line = "run exec --substrate sprites:box --secret KEY -- sh -c 'echo $KEY word'"
    assert shell(line, KEY="value-of-it").out == "*** word\n"
    assert box.queries
    assert not re.search("value-of-it|word|KEY", "".join(box.queries))


def test_no_output_is_lost_and_nothing_runs_twice_when_links_are_cut(
    shell: Shell,
    box: Sprites,
    pytestconfig: pytest.Config,
    record_property: Callable[[str, object], None],
) -> None:
    jobs, cuts = (50, 20) if pytestconfig.getoption("long") else (3, 2)
    line = Proxy(SimpleNamespace(url=box.url), 7)  # type: ignore[arg-type]
    line.cuts = (12_000, 34_000)
    shell.env["SPRITES_URL"] = line.url
    chance = random.Random(7)  # what comes is compressed: only noise has the length that it has
    out, err, given = (base64.b64encode(chance.randbytes(size)) for size in (24_000, 900, 6_000))
    (box.home / "out").write_bytes(out)
    (box.home / "err").write_bytes(err)
    (shell.cwd / "in").write_bytes(given)
    script = "echo $RUN_ID >>ran; cat out; cat err >&2; cat; exit $(($1 % 5))"
    runs = [
        requested(shell, f"sh -c '{script}' sh {n}", "--input in --max-attempts 1")
        for n in range(jobs)
    ]
    shell("run worker --once --slots 4 --substrate sprites:box")
    for n, run in enumerate(runs):
        assert shell(f"run logs {run} --stdout").out == (out + given).decode(), run
        assert shell(f"run logs {run} --stderr").out == err.decode()
        assert state(shell, run)["code"] == n % 5
    full = [json.loads(row)["run_id"] for row in shell("run ls --all").out.splitlines()]
    assert sorted((box.home / "ran").read_text().split()) == sorted(full)
    assert line.broken >= cuts
    record_property("said", f"sprites: {jobs} jobs, {line.broken} links cut: all output, once")


def test_a_signal_reaches_the_command(shell: Shell, box: Sprites) -> None:
    script = 'trap "echo bye; exit 4" TERM; echo up; while :; do sleep 0.1; done'
    run = requested(shell, f"sh -c '{script}'")
    with (
        worker(shell, "--substrate sprites:box"),
        Watched(shell, f"run attach {run}") as attached,
    ):
        assert attached.line() == b"up"
        shell(f"run cancel {run}")
        assert attached.line() == b"bye"
        assert attached.child.wait(PATIENCE_S) == 125


SCRIPT = "echo $$ >>ran; echo one; read x <gate; echo two; exit 6"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_next_worker_takes_over_what_runs_there(shell: Shell, box: Sprites, how: int) -> None:
    os.mkfifo(box.home / "gate")
    run = requested(shell, f"sh -c '{SCRIPT}'")
    with (
        worker(shell, "--substrate sprites:box") as first,
        Watched(shell, f"run attach {run}") as a,
    ):
        assert a.line() == b"one"
        (attempt,) = children(first.child.pid)
        if how == signal.SIGKILL:
            os.kill(attempt, how)
        for number in (signal.SIGINT, how):  # at a first one, it would wait
            first.child.send_signal(number)
        assert ended(attempt)
        first.child.wait(PATIENCE_S)
    with worker(shell, "--max 1 --substrate sprites:box") as second:
        with (box.home / "gate").open("w") as gate:
            gate.write("go\n")
        second.child.wait(PATIENCE_S)
    assert shell(f"run logs {run} --stdout").out == "one\ntwo\n"
    row = state(shell, run)
    assert (row["attempt"], row["code"]) == (2, 6)
    assert len((box.home / "ran").read_text().split()) == 1


def test_a_retry_runs_it_again(shell: Shell, box: Sprites) -> None:
    run = requested(
        shell, "sh -c 'echo x >>ran; exit 2'", "--retry any --max-attempts 2 --backoff 0s"
    )
    shell("run worker --max 2 --substrate sprites:box")
    assert types(shell, run).count("completed") == 2
    assert (box.home / "ran").read_text() == "x\nx\n"


def test_a_checkpoint_is_restored_before_a_retry(shell: Shell, box: Sprites) -> None:
    (box.home / "data").write_text("good\n")
    script = "cat data; echo spoilt >data; exit 2"
    run = requested(shell, f"sh -c '{script}'", "--retry any --max-attempts 3 --backoff 0s")
    shell("run worker --max 3 --substrate sprites+checkpoint:box")
    assert types(shell, run).count("completed") == 3
    assert shell(f"run logs {run} --stdout").out == "good\n"


def test_without_access_it_is_an_error_not_a_result(shell: Shell, box: Sprites) -> None:
    line = "run exec --substrate sprites:box -- true"
    assert (
        "no token for Sprites; set SPRITES_TOKEN" in shell(line, expect=125, SPRITES_TOKEN="").err
    )
    refused = "sprite box: answered 401: unauthorized; is SPRITES_TOKEN right?"
    assert refused in shell(line, expect=125, SPRITES_TOKEN="another").err
    assert "not a URL: 'nonsense'" in shell(line, expect=125, SPRITES_URL="nonsense").err
    (shell.cwd / "token").write_text(f"{TOKEN}\n")
    shell.env |= {"SPRITES_TOKEN": "", "SPRITES_TOKEN_FILE": "token"}
    assert "chmod 600" in shell(line, expect=125).err
    (shell.cwd / "token").chmod(0o600)
    shell(line)
    (shell.cwd / "token").write_text("two\nlines\n")
    assert "token: not a token: one line of text" in shell(line, expect=125).err
    shell("rm token; mkfifo -m 600 token")
    assert "not in a regular file" in shell(line, expect=125).err


def test_while_nothing_answers_it_says_so_and_can_be_stopped(shell: Shell) -> None:
    shell.env |= {"SPRITES_URL": "http://127.0.0.1:1", "SPRITES_TOKEN": TOKEN}
    line = "run exec --substrate sprites:box --timeout 9s -- true"
    assert "trying again" in shell(line, expect=124).err


def test_a_link_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda s: now.__setitem__(0, now[0] + s))
    client = SimpleNamespace(sprite=lambda name: None)
    place = here.Place(client, "box", "run-x", 1)  # type: ignore[arg-type]
    tried = []

    def ask() -> int:
        tried.append(now[0])
        raise NetworkError("cut") if len(tried) % 2 else APIError("busy", 503)

    with pytest.raises(here.Failed, match="box: not reached for 600 s"):
        place._linked(ask)
    assert 600 < now[0] < 610
    assert len(tried) < 300

    def refuse() -> int:
        raise APIError("no such sprite", 404)

    with pytest.raises(here.Failed, match="no such sprite"):
        place._linked(refuse)
