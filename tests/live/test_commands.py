"""What the commands confirm through a live arbiter, with and without a mirror: messages, jobs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from live.engines import serving
from live.test_mirror import Watch, clone, watched
from support import Shell

__all__ = ["watched"]


@pytest.fixture(params=["alone", "mirror"])
def pair(
    request: pytest.FixtureRequest, tmp_path: Path, watched: Watch
) -> Iterator[tuple[Shell, Shell]]:
    """Two stores with one live remote."""
    with serving("fake", tmp_path / "server") as server:
        pair = clone(tmp_path, "ada", server), clone(tmp_path, "bob", server)
        if request.param == "mirror":
            for shell in pair:
                watched(shell)
        yield pair


def both_know(pair: tuple[Shell, Shell]) -> None:
    for shell in (*pair, *pair):
        shell("ev sync")


def test_a_queue_message_is_received_in_one_store(pair: tuple[Shell, Shell]) -> None:
    ada, bob = pair
    ada("msg send --to queue:deploy --subject 'ship it' </dev/null")
    both_know(pair)
    receive = "msg recv queue:deploy --require confirmed"
    got = bob(receive).one
    assert (got["$level"], got["$token"]) == ("confirmed", 1)
    assert ada(receive, expect=None).lines == []  # 1, if it hears only by asking that bob has it
    bob(f"msg ack {got['event_id']}; ev sync")
    both_know(pair)
    assert ada(receive).lines == []


def test_the_job_of_another_store_is_run_once(pair: tuple[Shell, Shell], tmp_path: Path) -> None:
    ada, bob = pair
    policy = tmp_path / "config/coord"
    policy.mkdir(parents=True)
    (policy / "runner.toml").write_text('[[allow]]\nargv = ["touch"]\nfrom = ["agent:ada"]\n')
    requested = ada(f"run request -- touch {tmp_path}/ran").one
    both_know(pair)
    done = bob("run worker --once", XDG_CONFIG_HOME=str(policy.parent))
    assert done.status == 0, done.err
    assert (tmp_path / "ran").exists()
    both_know(pair)
    confirmed = ada("ev replay --type run.confirmed").lines
    assert [line["refs"]["run_id"] for line in confirmed] == [requested["event_id"]]
    assert ada("run ls --all").one["status"] == "completed"
