"""`run exec --detach`: the same process, but apart from the terminal and from who started it.

1. fork; the child makes its own session, and goes on as `run exec`
2. when the request is on the disk, the child sends its id to the parent through a pipe
3. the child takes /dev/null for its standard input and outputs: its reader may go
4. the parent prints the request and exits with 0; or if the child ends before, with its status
   (the child has said why)
"""

from __future__ import annotations

import os

from coord_envelope import Fault
from coord_kernel.cli.call import Call
from coord_kernel.store.disk import fault_of, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from coord_envelope import Event


def apart(call: Call, run: Callable[[Callable[[Event], None]], int]) -> int:
    """Run it in a process of its own, until it tells the event of its request; print that."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    call.journal.index.close()  # SQLite's files must not pass through a fork
    pid = os.fork()
    if not pid:
        os.close(reader)
        _be(run, writer)
    os.close(writer)
    with open(reader, encoding="ascii") as pipe:
        run_id, _, dup = pipe.read().partition(" ")
    if not run_id:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    request = call.event(run_id)
    if request:
        call.put([request.annotated(dup=True) if dup else request])
    return 0


def _be(run: Callable[[Callable[[Event], None]], int], writer: int) -> None:
    status = Fault.status

    def tell(request: Event) -> None:
        write_all(writer, request.id.encode() + b" dup" * ("$dup" in request))
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.close(writer)

    try:
        os.setsid()
        status = run(tell)
    except (Fault, OSError) as error:
        fault = error if isinstance(error, Fault) else fault_of(error)
        Call.complain(fault)
        status = fault.status
    finally:
        os._exit(status)
