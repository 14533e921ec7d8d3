"""Plugins for the programs whose hooks are code: each is a file that is printed. Pure.

A plugin runs the commands that other programs run as hooks, in the dialect of Claude Code.
"""

from __future__ import annotations

import json
import os

from coord_hooks.programs import PROGRAMS

FILES = {"opencode": "opencode.js", "pi": "pi.ts"}


def plugin(program: str, agent: str, keep: bool = False) -> str:
    """The text of a program's plugin, for an agent; with `keep` it gives nothing back at the end.

    COORD_AGENT names another agent, if it is set when the program starts.
    """
    path = os.path.join(os.path.dirname(__file__), FILES[program])
    with open(path, encoding="utf-8") as file:
        text = file.read().rstrip("\n")
    text = text.replace('"AGENT"', json.dumps(agent)).replace("KEEP", json.dumps(keep))
    return text.replace("EDITORS", PROGRAMS[program]["editors"])
