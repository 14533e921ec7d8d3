"""Two real agents of different vendors share out three items and hand one over, all from coord-dispatch."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from proof.witness import Watched
from real.model import KEY, Model, say
from real.programs import Claude, Codex, Program
from support import Shell, git


@pytest.fixture
def models() -> Iterator[tuple[Model, Model]]:
    made = Model(), Model()
    yield made
    for model in made:
        model.close()


def preset(program: Program, *args: str, secret: str) -> str:
    """The record of a program as the user's own file lays it over: where it is, and its settings."""
    kept = {"HOME", "TERM"} | (program.env.keys() - program.shell.env.keys() - {secret})
    env = {name: text for name, text in program.env.items() if name in kept}
    fields = {"program": program.binary, "args": list(args), "secrets": [secret]}
    lines = [f"{name} = {json.dumps(value)}" for name, value in fields.items()]
    lines += [f"[{program.name}.env]"]
    return "\n".join(
        [f"[{program.name}]", *lines, *(f"{k} = {json.dumps(v)}" for k, v in env.items())]
    )


def test_two_vendors_share_three_items_and_hand_one_over(
    shell: Shell, models: tuple[Model, Model]
) -> None:
    git("commit", "-q", "--allow-empty", "-m", "x", cwd=shell.cwd)
    claude, codex = Claude(shell, models[0]), Codex(shell, models[1])
    shell.env |= {"PATH": claude.env["PATH"], "ANTHROPIC_API_KEY": KEY, "LOOPBACK_KEY": KEY}
    shell.env |= {"XDG_CONFIG_HOME": str(shell.cwd.parent / "conf"), "COORD_AGENT": "boss"}
    own = [
        preset(claude, "--allowedTools", "Bash", secret="ANTHROPIC_API_KEY"),
        preset(
            codex,
            *("--sandbox", "danger-full-access", "--dangerously-bypass-hook-trust"),
            secret="LOOPBACK_KEY",
        ),
    ]
    codex.write(shell.cwd.parent / "conf/coord/presets.toml", "\n".join(own))
    settings = '[dispatch]\npresets = { claude = 1, codex = 1 }\nmax = 2\ndelay = "0ms"\n'
    codex.write(shell.cwd / "coord.toml", settings)
    parts: list[dict[str, str]] = [{"title": "A"}, {"title": "B"}]
    parts.append({"title": "C", "assignee": "agent:claude-1"})  # so that the script is in order
    lines = "".join(f"{json.dumps(part)}\n" for part in parts)
    first, second, third = shell("wk new -o id", lines).out.split()
    hand = claude.run(f"wk handoff {first} --to codex-1 --note 'half is done'")
    models[0].script(
        hand, say("A is handed over."), claude.run(f"wk close {third}"), say("C is done.")
    )
    models[1].script(
        codex.run(f"wk close {second}"),
        say("B is done."),
        codex.run(f"wk close {first}"),
        say("A is done."),
    )
    closings = Watched(shell, "ev tail -f -n 0 --type work.closed")
    with closings, Watched(shell, "coord-dispatch"), Watched(shell, "coord-patrol"):
        for _ in range(3):
            closings.line(110)
        runs = shell("coord-agent ls --all").lines
        for row in runs:
            shell(f"timeout 60 run attach {row['run']} >/dev/null", expect=None)
    logs = [shell(f"run logs {row['run']}").out[-2_000:] for row in runs]
    closed = {
        work: shell(f"wk show {work}").one.get("closed", {}).get("by")
        for work in (first, second, third)
    }
    assert closed == {first: "agent:codex-1", second: "agent:codex-1", third: "agent:claude-1"}, (
        logs
    )
    assert 3 <= len(runs) <= 4  # the mail about it may reach the agent in its first session
    assert models[1].told("half is done") or models[1].told("msg-")
