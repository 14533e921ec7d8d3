"""One session at a terminal: from the command line to the exit status, whatever ends it."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from coord_envelope import Usage, world
from coord_kernel.cli.values import moment
from coord_kernel.store.locate import find
from coord_top.app import Top
from coord_top.stores import Stores

if TYPE_CHECKING:
    from coord_kernel.cli.call import Call

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(call: Call, dirs: Sequence[str], at: str | None, read_only: bool) -> int:
    """Show the stores until somebody quits; the exit status.

    Raises as `find`, and a Fault if a store cannot be read.
    """
    me = call.actor()["agent_id"]
    stores = [find(each) for each in dict.fromkeys(dirs)] or [find()]
    then = moment(at) if at else None
    if then and world.parse_ts(then) > world.now_ms():
        raise Usage(f"--at {then} is in the future")
    app = Top(Stores(stores, me), me, str(then) if then else None, read_only)
    threading.Thread(target=_die_with_terminal, daemon=True).start()
    status = asyncio.run(_shown(app))
    if app.fault:
        raise app.fault
    return status or 0


async def _shown(app: Top) -> int | None:
    loop = asyncio.get_running_loop()
    for number in ENDS:  # the terminal is given back before the process ends
        loop.add_signal_handler(number, app.exit, 128 + number)
    return await app.run_async()


def _die_with_terminal() -> None:
    """End when the terminal is gone: nothing is left to give back, and its input would spin."""
    poll = select.poll()
    poll.register(0, 0)  # reports POLLHUP and POLLERR
    if poll.poll():
        os._exit(128 + signal.SIGHUP)
