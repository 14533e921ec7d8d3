"""Where a command's process begins and ends.

A tool is a list of command functions. A plain command line is parsed from a table; Typer, which
serves help, completion and everything unusual, is loaded for the others only.
"""

from __future__ import annotations

import os
import sys

from coord_envelope.errors import Fault
from coord_kernel.cli import argv
from coord_kernel.cli.command import name_of, perform
from coord_kernel.cli.complaints import complain, speak_as
from coord_kernel.store.disk import fault_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    from coord_kernel.cli.command import Command


def run(
    tool: str, about: str, commands: Sequence[Command], options: str, table: argv.Table
) -> NoReturn:
    """Run the tool on this process's arguments and exit.

    `options` names the module that declares what the commands' parameters are on a command line; `table` is what
    `make table` made of them.
    """

    def act() -> int:
        asked = f"_{tool.upper()}_COMPLETE" in os.environ  # by a shell, for what could come next
        plain = None if asked else argv.parse(table, sys.argv[1:])
        if plain:
            name, values = plain
            return perform(
                next(command for command in commands if name_of(command) == name), values
            )
        from coord_kernel.cli import application

        return application.run(tool, about, commands, options, sys.argv[1:])

    _end(tool, act)


def _end(tool: str, run: Callable[[], int]) -> NoReturn:
    from coord_envelope.platform import signal

    speak_as(tool)
    _fill_standard_descriptors()
    # The journal survives any kill, so the plain death is the clean one: no traceback, status 128+n. systemd
    # lets its children inherit an ignored SIGPIPE, which would turn `… | head` into an error.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if (
        signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
    ):  # a background job's shell ignores it for a reason
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        sys.exit(run())
    except Fault as fault:
        complain(fault)
        sys.exit(fault.status)
    except OSError as error:
        complain(refusal := fault_of(error))
        sys.exit(refusal.status)
    except Exception:
        sys.excepthook(*sys.exc_info())
        sys.exit(Fault.status)  # a bug; Python's own 1 would say "no"


def _fill_standard_descriptors() -> None:
    # Where one is closed, the next file opened would take its number: and what is printed, its place on the disk.
    # Opened for reading, so that printing still fails.
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)
