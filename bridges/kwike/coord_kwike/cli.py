"""`kwike`: four verbs, each a command of ev(1), which this process becomes."""

from __future__ import annotations

import os
import sys

from coord_envelope import VERSION, BadData, Fault, Unreachable, Usage, codec, world
from coord_kernel.cli import process
from coord_kernel.cli.flags import described, parse
from coord_kernel.cli.link import linked, tool
from coord_kernel.proc import beside
from coord_kernel.store import locate
from coord_kernel.store.disk import write_all
from coord_kwike.verbs import COMMON, VERBS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Values = dict[str, Any]


def main() -> None:
    process.end("coord-kwike", lambda: run(sys.argv[1:]))


def run(argv: list[str]) -> int:
    """The exit status of a command line. Raises Fault, OSError."""
    if argv[:1] == ["link"]:
        return linked("kwike", argv[1:])
    verb, args, values = parse(VERBS, COMMON, argv)
    if values.get("version"):
        write_all(1, f"coord-kwike (coord-kernel) {VERSION}\n".encode())
        return 0
    if values.get("help") or not verb:
        write_all(1, usage(verb).encode())
        return 0
    if not world.getenv("COORD_AGENT"):
        os.environ["COORD_AGENT"] = "kwike"
    words, data = command(verb, args, values)
    return become(words, data)


def command(verb: str, args: list[str], values: Values) -> tuple[list[str], bytes | None]:
    """The command of ev(1) for a verb, and its standard input if that is not ours."""
    if verb == "daemon":
        return daemon(values), None
    if verb == "consume":
        if "config" not in values:
            raise Usage("--config is missing")
        words = ["ev", "consume", values["config"]]
        words += ["--once"] * bool(values.get("once")) + ["--dry-run"] * bool(values.get("dry_run"))
        return words + (["--max", values["most"]] if "most" in values else []), None
    if "type" not in values:
        raise Usage("--type is missing")
    if verb == "dispatch":
        return ["ev", "emit", values["type"], "--body", "-"], payload(process_stdin())
    words = ["ev", "watch", "--type", values["type"]]
    words += ["--interval", values["interval"]] if "interval" in values else []
    words += ["--once"] * bool(values.get("once")) + ["--every"] * bool(values.get("every"))
    return [*words, "--", "sh", "-c", args[0]], None


def daemon(values: Values) -> list[str]:
    """Make the store if it is missing; what shows the events that come."""
    try:
        locate.find()
    except Unreachable:
        tool("ev", "init")
    if "http" in values:
        what = "no port is opened: other machines exchange events by `ev sync` or coord-relay"
        write_all(2, f"coord-kwike: {what}\n".encode())
    return ["ev", "tail", "-f", "-n", "0"]


def process_stdin() -> bytes:
    """All of standard input. Raises Usage if it is a terminal."""
    if os.isatty(0):
        raise Usage("the payload is read from standard input", todo="dispatch --type T <FILE")
    data = bytearray()
    while chunk := os.read(0, 1 << 16):
        data += chunk
    return bytes(data)


def payload(data: bytes) -> bytes:
    """The body of an event: a JSON object as it is, other JSON as `payload`, text as `text`.

    Raises BadData if it is not UTF-8.
    """
    try:
        value = codec.loads(data)
    except ValueError:
        try:
            return codec.dumps({"text": data.decode()} if data.strip() else {})
        except UnicodeDecodeError:
            raise BadData("not UTF-8", "standard input") from None
    return data if isinstance(value, dict) else codec.dumps({"payload": value})


def become(words: list[str], data: bytes | None) -> int:
    """Become a command, with this on its standard input. Raises Fault."""
    os.environ["PATH"] = beside.path()
    if data is not None:
        fd = os.memfd_create("payload")  # not a pipe: it may be more than one holds
        write_all(fd, data)
        os.lseek(fd, 0, os.SEEK_SET)
        os.dup2(fd, 0)
    try:
        os.execvp(words[0], words)
    except OSError as error:
        raise Fault(f"{words[0]}: {error.strerror}", todo="install coord-kernel again") from None


def usage(verb: str = "") -> str:
    """The help."""
    lines = []
    for name in [verb] if verb else VERBS:
        lines += [f"kwike {name}", *described(VERBS, name), ""]
    return "kwike, by ev(1) on a coord store; see coord-kwike(1)\n\n" + "\n".join(lines)
