"""The five tools as processes of the event loop: what a key does, and what a record says."""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE

from coord_kernel.proc import beside


class Tools:
    """The commands, run in one store and as one agent."""

    def __init__(self, store: str, root: str, agent: str) -> None:
        """`store`: its path; `root`: the directory in which they run."""
        self._root = root
        self._env = {
            **os.environ,
            "PATH": beside.path(),
            "COORD_DIR": store,
            "COORD_AGENT": agent,
            "PAGER": "cat",
        }

    async def run(self, argv: list[str], text: str = "", columns: int = 0) -> tuple[int, str]:
        """Exit status, and what it printed: on standard error if it failed.

        `text` is its standard input; with `columns` it prints a page of that width, in colour.
        """
        env = self._env | ({"COLUMNS": str(columns)} if columns else {})
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                cwd=self._root,
                env=env,
                stdin=PIPE if text else DEVNULL,
                stdout=PIPE,
                stderr=PIPE,
                start_new_session=True,  # what was begun is done, also when the terminal is closed
            )
        except OSError as error:
            return 69, f"{argv[0]}: {(error.strerror or '').lower()}; install coord-kernel again"
        out, err = await process.communicate(text.encode() if text else None)
        said = err if process.returncode else out
        return process.returncode or 0, said.decode(errors="replace").strip()
