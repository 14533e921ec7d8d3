"""The commands of coord-notify: it sends by itself, and a person tries a route once."""

from __future__ import annotations

import sys

from coord_envelope import No
from coord_kernel.cli import process, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_notify import options as o


def run(
    call: Call,
    file: o.File,
    once: o.Once = False,
    dry_run: o.DryRun = False,
    status: o.Status = False,
) -> None:
    """Send people what concerns them.

    Each event that a route of the file matches, once: alerts that the escalation of coord-patrol
    notifies, mail, questions. Nothing that was acknowledged, and no more than the route allows.
    Stays in the foreground; prints the results, which are events, too. Acts as bridge:notify.
    """
    from coord_kernel.cli.turns import serve
    from coord_notify.notifier import Notifier, sender, target
    from coord_notify.routes import load

    values.one_of(once=once, dry_run=dry_run, status=status)
    routes, looks = load(file), dry_run or status
    notifier = Notifier(call.journal, routes, _unsent if looks else sender(), call.put)
    if status:
        call.put(notifier.status())
    elif dry_run:
        call.put(draft for act in notifier.plan().acts for draft in notifier.draft(act))
    else:
        for route in routes:
            # What is missing or wrong is noticed now.
            target(routes.url(route), routes.where(route))
        notifier.alone()
        serve(call, notifier, once)


def _unsent(*_: str) -> None:
    raise AssertionError("nothing is sent by a command that only looks")


def try_(call: Call, file: o.File, route: o.Route) -> None:
    """Send a test message to a route.

    Whatever its conditions are. Writes no event. Exits 75 if it was not taken.
    """
    from coord_notify.notifier import sender
    from coord_notify.routes import load

    routes = load(file)
    chosen = next((each for each in routes if each.name == route), None)
    if chosen is None:
        raise No("no such route", where=route, code="not_found")
    sender()(routes.url(chosen), "coord-notify", f"This is a test of the route {route}.")
    row: Json = {"route": route, "sent": True}
    call.put([row])


COMMANDS = (run, try_)
ABOUT = "Tell people what concerns them on the channel that they read."


def main() -> None:
    # `coord-notify FILE` is `coord-notify run FILE`.
    first = sys.argv[1:2]
    if first and first[0] not in ("run", "try", "-h", "--help", "--version"):
        sys.argv.insert(1, "run")
    process.run("coord-notify", ABOUT, COMMANDS, "coord_notify.options", {})
