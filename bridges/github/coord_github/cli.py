"""The commands of coord-github."""

from __future__ import annotations

from coord_envelope import No
from coord_kernel.cli import process, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_github import options as o
    from coord_github.bridge import Bridge
    from coord_github.pair import Mode
    from coord_kernel.cli.call import Call

AGENT = "bridge:github"


def import_(call: Call, repository: o.Repository = None, dry_run: o.DryRun = False) -> int:
    """Import issues, comments and pull requests.

    What changed at GitHub since the last time is taken over; nothing is written there. A field that
    was changed on both sides gets GitHub's value; the other is kept under conflicts, and its author
    has mail.
    """
    from coord_github.pair import Mode

    return _once(call, repository, Mode(push=False), dry_run).call.status


def export(
    call: Call,
    repository: o.Repository = None,
    ids: o.Ids = None,
    most: o.Max = 20,
    dry_run: o.DryRun = False,
) -> int:
    """Make issues of work items.

    Of the items with these IDs, or of all that are open; and bring the issues of items that changed
    here to what these say. If more than --max issues would be created, they are listed, none is
    created, and the status is 1.
    """
    from coord_github.pair import Mode

    mode = Mode(pull=False, new=_resolved(call, ids or ()))
    mode.most = most
    bridge = _once(call, repository, mode, dry_run)
    if bridge.over and not dry_run:
        mode.dry = True
        call.put(bridge.rows())
        todo = f"look at the list, then: --max {bridge.over}"
        call.fail(No(f"{bridge.over} issues would be created, more than {most}", todo=todo))
    return bridge.call.status


def follow(
    call: Call,
    repository: o.Repository = None,
    once: o.Once = False,
    status: o.Status = False,
    dry_run: o.DryRun = False,
    export: o.Export = False,
) -> int:
    """Keep issues and work items the same.

    Changes on either side are taken over by the other: each minute, at once for those here, and for
    those at GitHub if coord-webhook receives its webhooks. Stays in the foreground; prints what it
    writes. Ended at any point and started again, it loses nothing and does nothing twice.
    """
    from coord_github.pair import Mode
    from coord_kernel.cli.turns import serve

    mode = Mode(new=[] if export else None)
    mode.once, mode.dry = once, dry_run or status
    bridge = _bridge(call, repository, mode)
    if status:
        bridge.plan()
        call.put([bridge.status()])
    elif dry_run:
        call.put(bridge.rows())
    else:
        serve(bridge.call, bridge, once)
    return bridge.call.status


def _resolved(call: Call, ids: Sequence[str]) -> list[str]:
    """The items that ids name, on the command line or on stdin. Raises No."""
    if not ids:
        return []
    from coord_wk.desk import Desk

    desk = Desk(call)
    items = desk.items()
    return [
        items.resolve(text) for group in call.ids(ids, "work_id", "refs.work_id") for text in group
    ]


def _once(call: Call, repository: str | None, mode: Mode, dry_run: bool) -> Bridge:
    from coord_kernel.cli.turns import serve

    mode.once, mode.dry = True, dry_run
    bridge = _bridge(call, repository, mode)
    if dry_run:
        call.put(bridge.rows())
    else:
        serve(bridge.call, bridge, True)
    return bridge


def _bridge(call: Call, repository: str | None, mode: Mode) -> Bridge:
    from coord_github import settings
    from coord_github.api import Api
    from coord_github.bridge import Bridge
    from coord_github.items import Book
    from coord_kernel.cli.call import Call

    slug = settings.slug(repository)
    acting = Call(values.agent_id(call.chosen or AGENT, "--as"), store=call.journal.store)
    acting.out = call.out
    api = Api(settings.base(), slug, settings.token())
    mode.interval_ms = settings.interval_ms(call.journal.store)
    return Bridge(acting, api, Book(slug, settings.people(call.journal.store)), mode)


COMMANDS = (import_, export, follow)
ABOUT = "Keep GitHub issues and work items the same; pull requests and checks are events."


def main() -> None:
    process.run("coord-github", ABOUT, COMMANDS, "coord_github.options", {})
