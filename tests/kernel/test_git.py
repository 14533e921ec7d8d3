"""git as a child: what it does must not reach us."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import signal
from coord_kernel.sync.git import run
signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as every tool has it
status, _, _ = run(["sh", "-c", "exec 0<&-; exit 3"], seconds=20, stdin=bytes(1_000_000))
assert signal.getsignal(signal.SIGPIPE) == signal.SIG_DFL
print(status)
"""


def test_a_git_that_ends_before_it_has_read_does_not_end_us() -> None:
    """History: `ev sync` died of SIGPIPE, without a word, when git failed to start a fetch."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, b"3\n"), done.stderr
