"""The commands of coord-cron: it emits an event whenever a time of a schedule comes."""

from __future__ import annotations

from itertools import islice

from coord_envelope import world
from coord_kernel.cli import process, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_cron import options as o
    from coord_kernel.cli.call import Call


def run(call: Call, file: o.File, once: o.Once = False, dry_run: o.DryRun = False) -> None:
    """Emit cron.fired whenever a time of a schedule comes.

    Of times that were missed the last is fired, once. Stays in the foreground; prints what it
    writes. Acts as bridge:cron. Several at once fire each time once. Reads the file when it begins.
    """
    from coord_cron.cron import Cron
    from coord_cron.source import load
    from coord_kernel.cli.turns import serve

    values.one_of(once=once, dry_run=dry_run)
    cron = Cron(call, load(file))
    if dry_run:
        call.put(cron.drafts())
        return
    serve(call, cron, once)


def next_(call: Call, file: o.File, lines: o.Lines = 5) -> None:
    """Print the next times of the schedules of a file.

    Without their jitter. Needs no store.
    """
    from coord_cron.source import load

    now, rows = world.now_ms(), list[tuple[int, str]]()
    for schedule in load(file):
        rows += ((at, schedule.name) for at in islice(schedule.times(now), lines))
    call.put({"at": world.format_ts(at), "name": name} for at, name in sorted(rows)[:lines])


COMMANDS = (run, next_)
ABOUT = "Emit an event whenever a time of a schedule comes."


def main() -> None:
    process.run("coord-cron", ABOUT, COMMANDS, "coord_cron.options", {})
