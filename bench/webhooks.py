"""From the POST of an alert until a consumer has it, and until its command runs.

    python bench/webhooks.py [ROUNDS]

Exit status 1 if half of the alerts take 100 ms or more to reach a reader that follows the journal.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from measure import Place

ROUNDS, MOST_MS = 30, 100.0
SECRET = "bench-secret"
CONSUMER = """
name = "bench"
[match]
types = ["alert.raised"]
where = { severity = "critical" }
[run]
argv = ["date", "+%s.%N"]
[emit]
type = "bench.done"
"""


def alert(number: int) -> bytes:
    """The body of a delivery as Alertmanager sends it."""
    labels = {"alertname": "Bench", "severity": "critical"}
    fired = {"status": "firing", "labels": labels, "fingerprint": f"f{number}"}
    return json.dumps({"alerts": [fired]}).encode()


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        here = Place(scratch)
        here.env["BENCH_SECRET"] = SECRET
        here.run("ev", "init")
        hooks = Path(scratch) / "hooks"
        hooks.mkdir()
        (hooks / "alerts.toml").write_text('form = "alertmanager"\nsecret = "$BENCH_SECRET"\n')
        (Path(scratch) / "bench.toml").write_text(CONSUMER)

        def started(*argv: str) -> subprocess.Popen[str]:
            process = stack.enter_context(
                subprocess.Popen(
                    argv, cwd=here.path, env=here.env, stdout=subprocess.PIPE, text=True
                )
            )
            stack.callback(process.terminate)
            return process

        server = started("coord-webhook", "serve", "hooks", "--port", "0")
        assert server.stdout
        url = json.loads(server.stdout.readline())["url"]
        reader = started(
            "ev", "tail", "-f", "-n", "0", "--type", "alert.raised", "--type", "bench.done"
        )
        started("ev", "consume", "bench.toml")
        time.sleep(3)
        reached, ran = [], []
        for number in range(rounds + 1):
            begin = time.time()
            request = urllib.request.Request(
                f"{url}/hook/alerts", alert(number), {"Authorization": f"Bearer {SECRET}"}
            )
            with urllib.request.urlopen(request) as answer:
                answer.read()
            assert reader.stdout
            reader.stdout.readline()
            reached.append(time.time() - begin)
            ran.append(float(json.loads(reader.stdout.readline())["body"]["text"]) - begin)
            time.sleep(0.2)
    for what, seconds in (("reaches a consumer", reached), ("its command runs", ran)):
        half, most = statistics.median(seconds[1:]) * 1000, max(seconds[1:]) * 1000
        print(f"alert, {what}: {half:.0f} ms, at most {most:.0f} ms of {rounds}")
    missed = statistics.median(reached[1:]) * 1000 >= MOST_MS
    if missed:
        print(f"missed: an alert takes {MOST_MS:g} ms or more", file=sys.stderr)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
