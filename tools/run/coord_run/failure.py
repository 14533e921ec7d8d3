"""Why an attempt could not be made here: the outcome `error`, which another worker may not meet."""

from __future__ import annotations


class CannotRun(Exception):
    """The command was not started. Its text is the result's reason."""
