"""Do what content of others decides, such as rendering a template or a search, in a child.

No filter, loop or power of a template, and no pattern, can then take this process along: not by an
exception of any kind, not by time, memory, or a crash of the interpreter. The child is a fork: it
has everything loaded already, and costs 2 ms.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import resource

from coord_envelope import BadData
from coord_envelope.errors import DiskFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    Value = TypeVar("Value")
    """Of the types that `marshal` can write."""

SECONDS = 2
"""Most CPU time."""
MEMORY = 256 << 20
"""Most bytes of memory, beyond those that this process has."""
RESULT = 16 << 20
"""Most bytes of a result."""


def bounded(make: Callable[[], Value], where: str, todo: str = "") -> Value:
    """What `make` returns. Raises its DiskFault; BadData for anything else, and for too much.

    `todo`: what to do about a failure that does not say it.
    """
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if not pid:
        _child(make, theirs, todo)
    os.close(theirs)
    with open(ours, "rb") as pipe:
        data = pipe.read(RESULT + 1)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])  # a full pipe breaks: it has ended
    if len(data) > RESULT:
        raise BadData(f"has more than {RESULT:,} bytes", where)
    if status:
        what = f"takes more than {SECONDS} s of CPU time or {MEMORY >> 20} MiB, or crashes"
        raise BadData(what, where, todo=todo)
    kind, result = marshal.loads(data)
    if kind:
        what, place, hint = result
        raise (DiskFault if kind == DiskFault.code else BadData)(what, place or where, todo=hint)
    made: Value = result
    return made


def _child(make: Callable[[], Any], out: int, todo: str) -> None:
    """Write the result or the fault to `out`, and end."""
    status = 1
    try:
        _limit(resource.RLIMIT_CORE, 0)
        _limit(resource.RLIMIT_CPU, SECONDS)
        with contextlib.suppress(FileNotFoundError), open("/proc/self/statm") as sizes:
            size = int(sizes.read().split()[0]) * resource.getpagesize()
            _limit(resource.RLIMIT_AS, size + MEMORY)
        try:
            answer = marshal.dumps(("", make()))
        except (BadData, DiskFault) as fault:
            answer = marshal.dumps((type(fault).code, (fault.what, fault.where, fault.todo)))
        except MemoryError:
            return  # said as of any end but a good one
        except Exception as error:
            answer = marshal.dumps((BadData.code, (described(error), "", todo)))
        with open(out, "wb") as pipe:
            pipe.write(answer)
        status = 0
    finally:
        os._exit(status)  # nothing that this process has buffered is written twice


def described(error: Exception) -> str:
    """What an exception that nobody expected says, in one bounded line."""
    text = " ".join(f"{error}"[:300].split()) or type(error).__name__
    return text.encode("utf-8", "replace").decode()


def _limit(what: int, most: int) -> None:
    """Lower the soft limit to `most`, if it is higher."""
    soft, hard = resource.getrlimit(what)
    known = [number for number in (soft, hard, most) if number != resource.RLIM_INFINITY]
    resource.setrlimit(what, (min(known), hard))
