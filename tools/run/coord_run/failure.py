"""Why a command could not be started: the outcome `error`, which another worker may avoid."""

from __future__ import annotations


class CannotRun(Exception):
    """The command was not started. Its text is the result's reason."""
