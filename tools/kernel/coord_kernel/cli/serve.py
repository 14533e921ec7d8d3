"""`python -m coord_kernel.cli.serve`: serves the store's bus on stdin and stdout (spec/bus.md)."""

from __future__ import annotations

import signal

from coord_envelope.errors import Fault
from coord_kernel.bus.backends import FileBus
from coord_kernel.bus.stdio import serve
from coord_kernel.cli import complaints, stdin
from coord_kernel.cli.call import Call


def main() -> int:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        call = Call()
        bus = FileBus(call.journal, call.actor())
        for batch in stdin.batches():
            for _, line in batch:
                serve(bus, line)
    except Fault as fault:
        complaints.complain(fault)
        return fault.status
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
