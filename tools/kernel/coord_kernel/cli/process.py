"""Where a command's process begins and ends.

A tool is a list of command functions. A plain command line is parsed from a table; Typer, which
serves help, completion and everything unusual, is loaded for the others only.
"""

from __future__ import annotations

import os
import sys

from coord_envelope import VERSION
from coord_envelope.errors import Fault, Unreachable
from coord_envelope.platform import suppress
from coord_kernel.cli import argv
from coord_kernel.cli.command import name_of, perform
from coord_kernel.cli.complaints import complain, speak_as
from coord_kernel.store.disk import fault_of, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    from coord_kernel.cli.command import Command


def run(
    tool: str, about: str, commands: Sequence[Command], options: str, table: argv.Table
) -> NoReturn:
    """Run the tool on this process's arguments, and exit: `act` within `end`."""
    end(tool, lambda: act(tool, about, commands, options, table))


def act(tool: str, about: str, commands: Sequence[Command], options: str, table: argv.Table) -> int:
    """Run the command that this process's arguments name; its exit status.

    `options` names the module that declares the parameters of the commands for Typer; `table` is
    made from it by `make table`.
    """
    if sys.argv[1:] == ["--version"]:  # so that it also answers where a dependency is missing
        write_all(1, f"{tool} (coord-kernel) {VERSION}\n".encode())
        return 0
    asked = f"_{tool.upper()}_COMPLETE" in os.environ  # a shell asks for completion
    plain = None if asked else argv.parse(table, sys.argv[1:])
    if plain:
        name, values = plain
        command = next(command for command in commands if name_of(command) == name)
        return perform(command, values)
    from coord_kernel.cli import application

    return application.run(tool, about, commands, options, sys.argv[1:])


def end(tool: str, run: Callable[[], int], hook: bool = False) -> NoReturn:
    """Exit with the status that `run` returns; a failure is one line on stderr and its status.

    A `hook` answers `{}` then and exits 0: with status 2 the program would stop its agent.
    """
    status = _status(tool, run)
    if status and hook:
        write_all(1, b"{}\n")
        status = 0
    leave(status)


def _status(tool: str, run: Callable[[], int]) -> int:
    from coord_envelope.platform import signal

    speak_as(tool)
    if sys.warnoptions or sys.flags.warn_default_encoding:
        from warnings import simplefilter  # asked for by the user's environment, for other programs

        simplefilter("ignore")
    _fill_standard_descriptors()
    # The journal survives any kill, so dying of a signal is clean: no traceback, status 128+n.
    # systemd's children inherit an ignored SIGPIPE, which would turn `… | head` into an error.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # a background job's shell sets that
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        status = run()
        _flush()
        return status
    except Fault as fault:
        complain(fault)
        return fault.status
    except BrokenPipeError:  # the signal was ignored: die of it, as if it had not been
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
        return Fault.status
    except OSError as error:
        complain(refusal := fault_of(error))
        return refusal.status
    except ModuleNotFoundError as error:
        missing = Unreachable(f"no module {error.name!r}", todo="install coord-kernel again")
        complain(missing)
        return missing.status
    except Exception:
        sys.excepthook(*sys.exc_info())
        return Fault.status  # a bug; Python's own status 1 would mean "no"


def leave(status: int) -> NoReturn:
    """End with this status. Taking down the interpreter, 3 ms, is left out.

    But not where Typer is loaded: a library may have more to do at the end.
    """
    if "typer" not in sys.modules:
        os._exit(status)
    with suppress(OSError):
        _flush()
    sys.exit(status)


def _flush() -> None:
    """Write what was printed through Python's buffer: help, and what a library says."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError as error:
        # It stays in the buffer, and Python would try again at the end, and exit 120.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)
        error.filename = "standard output"
        raise


def _fill_standard_descriptors() -> None:
    # If one is closed, the next file opened would get its number, and output would overwrite it.
    # Opened for reading, so that printing still fails.
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)
