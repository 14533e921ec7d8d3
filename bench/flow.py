"""A formula of 2,000 steps: what cooking and applying it costs. Exit 1 over 2 s of CPU.

    .venv/bin/python bench/flow.py [STEPS]

Each step needs one or two others, as in a plan of forty lanes. Both processes count, with their start.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

BIN = Path(sys.executable).parent
BOUND = 2.0


def formula(steps: int) -> str:
    text = 'formula = "plan"\nversion = 1\n'
    for number in range(steps):
        needs = [f"s{other}" for other in (number - 1, number - 40) if other >= 0 and number % 4]
        text += f'[[steps]]\nid = "s{number}"\ntitle = "Step {number}"\n'
        text += f'description = "Do {number}, and say how."\nneeds = {needs!r}\n'
    return text


def main(steps: int) -> int:
    with tempfile.TemporaryDirectory() as name:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("COORD_", "GIT_"))}
        env |= {"PATH": f"{BIN}:{env['PATH']}", "COORD_AGENT": "boss"}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        (Path(name) / "plan.toml").write_text(formula(steps))

        def run(line: str, data: bytes = b"") -> tuple[float, bytes]:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run(
                line.split(), cwd=name, env=env, input=data, stdout=subprocess.PIPE, check=True
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            return used, done.stdout

        run("git init -q")
        run("ev init")
        run("coord-flow check plan.toml")  # compiled modules are there from here on
        cooked, operations = run("coord-flow cook plan.toml")
        applied, written = run("wk apply --atomic", operations)
        again, repeated = run("wk apply --atomic", operations)
    assert len(written.splitlines()) == len(repeated.splitlines()) == steps + 1
    total = cooked + applied
    print(
        f"{steps:,} steps: cook {cooked:.2f} s, apply {applied:.2f} s, again {again:.2f} s of CPU;"
        f" cook and apply {total:.2f} s, demand {BOUND:.0f} s"
    )
    return 0 if total < BOUND else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000))
