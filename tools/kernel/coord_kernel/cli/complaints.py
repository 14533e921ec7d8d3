"""How a failure is printed: one line on stderr, the same for every command."""

from __future__ import annotations

from coord_envelope import codec
from coord_envelope.errors import Fault, Usage
from coord_envelope.platform import suppress
from coord_kernel.store.disk import write_all

_tool, _errors = "coord", "text"


def speak_as(tool: str) -> None:
    """Begin every message with this name from here on."""
    global _tool
    _tool = tool


def report_as(errors: str) -> None:
    """Print failures as `text` or `json` from here on. Raises Usage on any other form."""
    global _errors
    if errors not in ("text", "json"):
        raise Usage(f"not a valid form: --errors {errors}", todo="use text or json")
    _errors = errors


def complain(fault: Fault) -> None:
    """Print a failure: one line on stderr, with `--errors json` an object."""
    words = {"where": fault.where, "what": fault.what, "todo": fault.todo}
    valid = {name: text.encode("utf-8", "replace").decode() for name, text in words.items()}
    fields = {"tool": _tool, "status": fault.status, "code": fault.code, **valid}
    if _errors == "json":
        line = codec.dumps(fields)
    else:
        from coord_kernel.cli.escape import visible

        line = visible(f"{_tool}: {fault}").encode("utf-8", "replace")
    with suppress(OSError):  # a closed stderr loses the message, not the status
        write_all(2, line + b"\n")


def warn(text: str) -> None:
    """Print a warning as `complain` prints a failure, with status 0."""
    fault = Fault(text, code="warning")
    fault.status = 0
    complain(fault)
