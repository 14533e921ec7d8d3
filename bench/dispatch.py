"""30 agents by coord-dispatch with a cap of 5: what of a processor is ours. Exit 1 over 1 %.

    .venv/bin/python bench/dispatch.py [AGENTS [SECONDS]]

Each agent waits SECONDS (10), closes its item, and notes what the processes around it have used: the
attempt and `run exec`. To that comes what the dispatcher and the patrol used, with all the tools that
they ran. What an agent costs does not depend on how long it is at work, so the share is that of agents
which take five minutes each. Also checked: never more than 5 at once, each item once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BIN = Path(sys.executable).parent
CAP, MINUTES, BOUND = 5, 5, 0.01
AGENT = """#!{python}
import os, subprocess, sys, time
log = os.open(os.environ["LOG"], os.O_WRONLY | os.O_APPEND)
os.write(log, b"+\\n")
print('{{"id":"x"}}', flush=True)
time.sleep({seconds})
subprocess.run(["wk", "close", os.environ["COORD_WORK"]], stdout=subprocess.DEVNULL, check=True)
attempt, ticks = os.getppid(), 0
for pid in (attempt, int(open(f"/proc/{{attempt}}/stat").read().rpartition(")")[2].split()[1])):
    ticks += sum(map(int, open(f"/proc/{{pid}}/stat").read().rpartition(")")[2].split()[11:13]))
os.write(log, b"- %d %s\\n" % (ticks, os.environ["COORD_WORK"].encode()))
"""


def ticks(pid: int) -> tuple[int, int]:
    """What a process has used, and the children that it waited for."""
    fields = list(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
    return sum(fields[:2]), sum(fields[2:])


def main(agents: int, seconds: float) -> int:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        repo, conf, log = home / "acme", home / "conf/coord", home / "log"
        for path in (repo, conf):
            path.mkdir(parents=True)
        (home / "agent").write_text(AGENT.format(python=sys.executable, seconds=seconds))
        (home / "agent").chmod(0o755)
        preset = f'[agent]\nprogram = "{home}/agent"\noutput = "id"\npass = ["LOG"]\n'
        (conf / "presets.toml").write_text(f'{preset}[agent.headless]\nstart = ["{{prompt}}"]\n')
        log.touch()
        env = {k: v for k, v in os.environ.items() if not k.startswith(("COORD_", "GIT_"))}
        env |= {"PATH": f"{BIN}:{env['PATH']}", "COORD_AGENT": "boss", "LOG": str(log)}
        env |= {"XDG_CONFIG_HOME": str(home / "conf")}
        env.pop("PYTHONDONTWRITEBYTECODE", None)

        def tool(line: str, text: str = "") -> str:
            done = subprocess.run(
                line.split(), cwd=repo, env=env, input=text, text=True, stdout=-1, check=True
            )
            return done.stdout

        tool("git init -q")
        tool("ev init")
        works = tool("wk new -o id", "".join(f'{{"title":"Part {n}"}}\n' for n in range(agents)))
        lines = (f"coord-dispatch --preset agent --max {CAP} --delay 0ms", "coord-patrol")
        begin = time.monotonic()
        ours = [subprocess.Popen(line.split(), cwd=repo, env=env, stdout=-3) for line in lines]
        while log.read_text().count("- ") < agents:
            time.sleep(0.5)
        wall = time.monotonic() - begin
        (loop, tools), patrol = ticks(ours[0].pid), sum(ticks(ours[1].pid))
        for each in ours:
            each.terminate()
            each.wait()
        rows = [line.split() for line in log.read_text().splitlines()]
        jobs = sum(int(row[1]) for row in rows if row[0] == "-")
        running = most = 0
        for row in rows:
            running += 1 if row[0] == "+" else -1
            most = max(most, running)
        hz = os.sysconf("SC_CLK_TCK")
        parts = {"dispatcher": loop, "its tools": tools, "patrol": patrol, "jobs": jobs}
        cpu = sum(parts.values()) / hz
        once = sorted(row[2] for row in rows if row[0] == "-") == sorted(works.split())
        share = cpu / agents * CAP / (MINUTES * 60)
        good = most <= CAP and once and share < BOUND
        shown: dict[str, object] = {"agents": agents, "seconds": seconds, "wall_s": round(wall, 1)}
        shown |= {name: round(part * 1000 / hz / agents) for name, part in parts.items()}
        shown |= {"ms_per_agent": round(cpu * 1000 / agents), "share": round(share, 4)}
        shown |= {"at_once": most, "once": once, "good": good}
        print(json.dumps(shown))
        return int(not good)


if __name__ == "__main__":
    sys.exit(main(int((sys.argv[1:] or ["30"])[0]), float((sys.argv[2:] or ["10"])[0])))
