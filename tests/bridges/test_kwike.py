"""coord-kwike: the four verbs of Kwik-E-Mart, as its own pages use them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from support import Shell

from coord_envelope import Usage
from coord_kernel.cli import flags
from coord_kwike.cli import command, payload
from coord_kwike.verbs import COMMON, VERBS

README = Path(__file__).parent.parent.parent / "bridges/kwike/README.md"
REVIEWER = """\
name: reviewer
match:
  types: [ci.diff, review.requested]
run:
  argv: [cat]
  stdin: "Review {{ body.stdout if body.stdout is defined else body.branch }}"
emit:
  type: review.done
  text: "{{ stdout }}"
"""


def test_the_readme_has_the_table() -> None:
    assert flags.table(VERBS) in README.read_text()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("watch 'git diff HEAD' --type ci.diff --interval 30s",
         ["ev", "watch", "--type", "ci.diff", "--interval", "30s", "--", "sh", "-c", "git diff HEAD"]),
        ("watch ls -t a.b --once --every", ["ev", "watch", "--type", "a.b", "--once", "--every", "--", "sh", "-c", "ls"]),
        ("consume --config r.yaml --once --dry-run", ["ev", "consume", "r.yaml", "--once", "--dry-run"]),
        ("consume -c r.toml --max 1", ["ev", "consume", "r.toml", "--max", "1"]),
    ],
)  # fmt: skip
def test_each_verb_is_a_command_of_ev(line: str, words: list[str]) -> None:
    import shlex

    assert command(*flags.parse(VERBS, COMMON, shlex.split(line))) == (words, None)


@pytest.mark.parametrize(
    "line", ["watch ls", "dispatch", "consume --once", "frob", "watch --type a.b"]
)
def test_what_is_missing_is_named(line: str) -> None:
    with pytest.raises(Usage):
        command(*flags.parse(VERBS, COMMON, line.split()))


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b'{"a":1}', {"a": 1}),
        (b"[1,2]", {"payload": [1, 2]}),
        (b"plain\n", {"text": "plain\n"}),
        (b"", {}),
    ],
)
def test_any_payload_is_a_body(data: bytes, body: object) -> None:
    assert json.loads(payload(data)) == body


def test_a_ci_pipeline_with_kwike_runs_unchanged(shell: Shell, tmp_path: Path) -> None:
    shell(f"coord-kwike link {tmp_path}")
    shell.env |= {"PATH": f"{tmp_path}:{shell.env['PATH']}"}
    shell.env.pop("COORD_AGENT")
    (shell.cwd / "reviewer.yaml").write_text(REVIEWER)
    shell("kwike consume --config reviewer.yaml --once")
    shell('echo \'{"branch":"main"}\' >p.json; kwike dispatch --type review.requested <p.json')
    shell("kwike watch 'echo changed' --type ci.diff --interval 30s --once")
    shown = shell("kwike consume --config reviewer.yaml --once --dry-run").lines
    assert [each["stdin"] for each in shown] == ["Review main", "Review changed\n"]
    done = shell("kwike consume --config reviewer.yaml --once").lines
    assert sorted(event["body"]["text"] for event in done) == ["Review changed\n", "Review main"]
    assert shell("kwike consume --config reviewer.yaml --once").out == "", "once each"
    (shell.cwd / "bad.yaml").write_text("- a\n")
    assert "not a table" in shell("kwike consume --config bad.yaml --once", expect=65).err
    assert "unknown command" in shell("kwike frob", expect=2).err


def test_the_daemon_makes_the_store_and_prints_what_comes(repo: Path) -> None:
    shell = Shell(repo)
    daemon = shell.popen(
        "coord-kwike daemon --http :4444", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert daemon.stderr and b"no port is opened" in daemon.stderr.readline()
        assert daemon.stdout
        for n in range(200):  # until it follows
            shell(f"ev emit a.b n={n}")
            import select

            if select.select([daemon.stdout], [], [], 0.1)[0]:
                break
        assert json.loads(daemon.stdout.readline())["type"] == "a.b"
    finally:
        daemon.kill()
        daemon.wait()
