"""A controller as a command: one turn, or the loop; acts that fail are printed."""

from __future__ import annotations

from coord_kernel.cli.complaints import complain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from coord_envelope.errors import Fault
    from coord_kernel.cli.call import Call
    from coord_kernel.controller.plan import Act, Controller, Waking


def serve(
    call: Call,
    controller: Controller,
    once: bool,
    deaths: Callable[[], Waking | None] = lambda: None,
) -> None:
    """Act `once`, where a failure is the command's; else until a signal ends it.

    `deaths`: what wakes the loop besides events, such as the end of processes.
    """

    def report(fault: Fault, act: Act) -> None:
        fault.where = f"{act.kind}: {fault.where}" if fault.where else act.kind
        (call.fail if once else complain)(fault)

    if once:
        from coord_kernel.controller.plan import turn

        turn(controller, report)
        return
    from coord_kernel.controller import run

    run(controller, call.journal, report, deaths())
