"""`coord-gc PROVIDER OP …`: one exec provider each for beads, mail, events and sessions.

Gas City starts it for each operation, with input on stdin. The status is 0, 1 with the reason on
stderr, or 2 for an operation that is not there: Gas City takes 2 for success with nothing to print,
so no failure of ours may end with it.
"""

from __future__ import annotations

import os
import sys

from coord_envelope import VERSION, BadData, Fault, Usage, codec, world
from coord_kernel.cli import process
from coord_kernel.cli.escape import printable
from coord_kernel.store.disk import fault_of, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coord_envelope.codec import Json

PROVIDERS = ("beads", "mail", "events", "session")
UNKNOWN = 2
USAGE = """\
coord-gc beads|mail|events|session OP [ARGUMENT ...]

An exec provider of Gas City on a coord store; see coord-gc(1). In city.toml:

    [beads]
    provider = "exec:coord-gc-beads"

coord-gc link DIR makes coord-gc-beads, -mail, -events and -session there.
"""


def main() -> None:
    process.end("coord-gc", lambda: run(sys.argv[1:]))


def run(argv: list[str]) -> int:
    """The exit status of a command line."""
    name = os.path.basename(sys.argv[0])
    if name.startswith("coord-gc-"):
        argv = [name.removeprefix("coord-gc-"), *argv]
    if not argv or argv[0] in ("-h", "--help", "help"):
        write_all(1, USAGE.encode())
        return 0 if argv else 1
    if argv == ["--version"]:
        write_all(1, f"coord-gc (coord-kernel) {VERSION}\n".encode())
        return 0
    try:
        if argv[0] == "link":
            return link(argv[1:])
        if argv[0] not in PROVIDERS:
            raise Usage(f"unknown provider: {argv[0]}; use {', '.join(PROVIDERS)}")
        if len(argv) < 2:
            raise Usage(f"{argv[0]}: no operation")
        return operate(argv[0], argv[1], argv[2:])
    except Fault as fault:
        return complain(str(fault))
    except OSError as error:
        return complain(str(fault_of(error)))
    except (ValueError, TypeError, AttributeError) as error:  # a field has a value of another kind
        return complain(f"input is malformed: {error}")


def operate(provider: str, op: str, args: list[str]) -> int:
    """Do an operation; the status. Raises Fault, OSError."""
    module = __import__(f"coord_gc.{provider}", fromlist=["OPERATIONS"])
    entry = module.OPERATIONS.get(op)
    if entry is None:
        return UNKNOWN
    function, least = entry
    if len(args) < least:
        raise Usage(f"{provider} {op} needs {least} argument(s), got {len(args)}")
    answer = function(args)
    if answer is None:
        return 0
    text = answer if isinstance(answer, str) else codec.dumps(answer).decode()
    write_all(1, f"{text}\n".encode("utf-8", "replace"))
    return 0


def link(argv: list[str]) -> int:
    """Install a command for each provider in a directory: city.toml takes no arguments."""
    from coord_kernel.cli.link import script

    if len(argv) != 1:
        raise Usage("link needs one directory")
    for provider in PROVIDERS:
        words = (os.path.abspath(sys.argv[0]), provider)
        write_all(1, f"{script(argv[0], f'coord-gc-{provider}', words)}\n".encode())
    return 0


def complain(what: str) -> int:
    """Print a failure."""
    write_all(2, printable([f"coord-gc: {what}"]))
    return 1


def given() -> Json:
    """The JSON object on standard input; none: {}. Raises BadData."""
    raw = received()
    if not raw.strip():
        return {}
    try:
        record = codec.loads(raw)
    except ValueError as reason:
        raise BadData(f"standard input is not JSON: {reason}") from None
    if not isinstance(record, dict):
        raise BadData("standard input is not a JSON object")
    return record


def received() -> bytes:
    """All of standard input."""
    if os.isatty(0):
        return b""
    data = bytearray()
    while chunk := os.read(0, 1 << 16):
        data += chunk
    return bytes(data)


def actor() -> str:
    """Who acts: BEADS_ACTOR, GC_AGENT, COORD_AGENT, else `gascity`."""
    names = ("BEADS_ACTOR", "GC_AGENT", "COORD_AGENT")
    return next(filter(None, map(world.getenv, names)), "gascity")


def call(agent: str = "") -> Any:
    """A call on the store: that of GC_STORE_ROOT, or of the current directory."""
    from coord_kernel.cli.call import Call
    from coord_wk.desk import agent_of

    root = world.getenv("GC_STORE_ROOT")
    if root and not world.getenv("COORD_DIR"):
        os.chdir(root)
    return Call(agent_of(agent or actor()))
