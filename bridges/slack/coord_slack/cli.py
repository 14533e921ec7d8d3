"""The command of coord-slack."""

from __future__ import annotations

import sys

from coord_kernel.cli import process, values
from coord_kernel.cli.extra import extra
from coord_slack import groups as g

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.cli.call import Call
    from coord_slack import options as o
    from coord_slack.bridge import Bridge
    from coord_slack.settings import Settings


def run(
    call: Call,
    looks: g.Looks,
    file: o.File,
    once: o.Once = False,
    read_only: o.ReadOnly = False,
) -> None:
    """Make threads of Slack conversations with agents.

    What people of the file write in its channels is mail; answers of agents appear in the thread.
    A mention with new, claim, status or ask does that; a question has buttons. Stays in the
    foreground; prints the events that it writes.
    """
    from coord_slack.bridge import Bridge, described
    from coord_slack.settings import Settings

    values.one_of(once=once, dry_run=looks.dry_run, status=looks.status)
    settings = Settings(file).load()
    if looks.dry_run or looks.status:
        bridge = Bridge(call.journal, settings, None, call.put)
        rows = bridge.status() if looks.status else map(described, bridge.plan().acts)
        call.put(rows)
        return
    with extra("slack", "slack_sdk"):
        from coord_slack.api import Api  # 0.2 s
    api = Api(settings.bot(), settings.api)
    bridge = Bridge(call.journal, settings, api, call.put)
    bridge.read_only = read_only
    _serve(call, bridge, settings, once)


def _serve(call: Call, bridge: Bridge, settings: Settings, once: bool) -> None:
    from coord_kernel.cli.turns import serve
    from coord_slack.listen import Inlet, listening

    bridge.begin()
    if bridge.read_only:
        serve(call, bridge, once)
        return
    inlet = Inlet(call.journal.store, settings, bridge.web)
    if once:
        inlet.catch_up()
        serve(call, bridge, once)
        return
    client = listening(inlet, settings, bridge.web)
    try:
        serve(call, bridge, once)
    finally:
        client.close()


COMMANDS = (run,)
ABOUT = "Make threads of Slack conversations with agents."


def main() -> None:
    # `coord-slack FILE` is `coord-slack run FILE`.
    first = sys.argv[1:2]
    if first and first[0] not in ("run", "-h", "--help", "--version"):
        sys.argv.insert(1, "run")
    process.run("coord-slack", ABOUT, COMMANDS, "coord_slack.options", {})
