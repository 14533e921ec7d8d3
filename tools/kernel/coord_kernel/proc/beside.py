"""The tools as programs: they are beside the Python that runs this, whatever PATH is."""

from __future__ import annotations

import os
import sys

BIN = os.path.dirname(sys.executable)


def path() -> str:
    """The search path of commands: the tools' own directory, then PATH."""
    return os.pathsep.join((BIN, os.environ.get("PATH", os.defpath)))
