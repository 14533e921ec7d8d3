"""The commands of coord-commons."""

from __future__ import annotations

from coord_commons.argv import TABLE
from coord_kernel.cli import process
from coord_kernel.cli.command import elsewhere

COMMANDS = (
    *elsewhere("coord_commons.members", "join", "ls", "leave", "admit", "trust", "sync"),
    *elsewhere("coord_commons.work", "offer", "wanted", "show", "take", "submit", "accept"),
    *elsewhere("coord_commons.work", "return_", "withdraw"),
    *elsewhere("coord_commons.stamps", "stamp", "reputation", "fraud"),
)
ABOUT = "Work shared between towns, with a reputation one can check."


def main() -> None:
    process.run("coord-commons", ABOUT, COMMANDS, "coord_commons.options", TABLE)
