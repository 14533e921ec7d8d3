"""The commands of coord-patrol: it goes round by itself, and a person stops, resumes and frees."""

from __future__ import annotations

import sys

from coord_envelope import No, Usage, world
from coord_envelope.event import address
from coord_envelope.platform import suppress
from coord_kernel.cli import process, values
from coord_kernel.rules import control

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_patrol import options as o

AGENT = "bridge:patrol"


def run(call: Call, once: o.Once = False, ls: o.List = False, dry_run: o.DryRun = False) -> None:
    """Watch agents, and act on what their state asks for.

    Gives back the work of sessions that died, nudges those that are silent, and sends mail to a
    person about those that it cannot judge. Alerts that nobody acknowledges it makes louder, and
    questions whose time is over get their default. Stays in the foreground; prints what it writes.
    Acts as bridge:patrol, or as --as. Two patrols at once do everything once.
    """
    from coord_kernel.cli.turns import serve
    from coord_patrol.round import Round

    around = Round(call, values.agent_id(call.chosen or AGENT, "--as"))
    if ls:
        call.put(around.patrol.listed())
        return
    if dry_run:
        call.put(around.drafts())
        return

    serve(call, around, once, around.patrol.deaths)


def alerts(call: Call, everything: o.Everything = False) -> None:
    """List what went wrong, and is not over.

    How often and how loud it is by now, who was notified, and who acknowledged it. The last
    episode of each alert, the oldest first.
    """
    from coord_patrol.people import People

    call.put(People(call.journal, AGENT, call.put).listed(everything))


def stop(call: Call, scope: o.Scope = "all", reason: o.Reason = None) -> None:
    """Stop patrols, workers and dispatchers.

    Until it is resumed: also after a restart or a reboot, and in every store that syncs. What runs
    goes on; nothing is begun, given back or nudged, and time does not count as silence. A scope of
    an agent, a label or a pool stops only what concerns it.
    """
    body: Json = {"scope": _scope(scope)} | ({"reason": reason} if reason else {})
    call.append([{"type": "control.stopped", "body": body}])


def resume(call: Call, scope: o.OptionalScope = None) -> None:
    """Resume what was stopped.

    Ends every stop that is known here, and every limit of a provider, or those of one scope. Exits
    1 if there is none.
    """
    from coord_kernel.views.presence import Stops

    wanted = None if scope is None else _scope(scope)
    state, now = Stops(call.journal.store).control(), world.now_ms()
    closed = [(stop["id"], stop["scope"]) for stop in control.open_stops(state)]
    closed += [
        (limit["id"], f"pool:{limit['pool']}")
        for limit in control.limits(state)
        if limit["until_ms"] > now
    ]
    stops = [at for at, of in closed if wanted in (None, of)]
    if not stops:
        raise No("nothing is stopped", where=scope or "", code="not_found")
    call.append([{"type": "control.resumed", "body": {"stops": stops}}])


def free(call: Call, names: o.Names) -> None:
    """End the quarantines of agents.

    Their earlier deaths are not counted any more. Exits 1 if an agent is in none.
    """
    from coord_kernel.views.presence import Stops

    state = Stops(call.journal.store).control()
    for name in names:
        found = _quarantines(state, name)
        if found:
            body = {"name": found[0]["name"], "quarantines": [each["id"] for each in found]}
            call.append([{"type": "patrol.freed", "body": body}])
        else:
            call.fail(No("is in no quarantine", where=name, code="not_found"))


def why(call: Call, id_: o.Id) -> None:
    """Show why an item or a job does not run.

    A line for each thing that holds it, with evidence, and what ends that. Exits 1 if there is no
    such item or job.
    """
    from coord_kernel.cli import health
    from coord_kernel.cli.escape import visible
    from coord_patrol.why import Why

    store = call.journal.store
    rows = list(Why(store, dict(health.of_work(store))).rows(call.resolve(id_)))
    if call.out.form in ("table", "brief"):
        texts = (": ".join((row["id"], "; ".join(filter(None, _said(row))))) for row in rows)
        call.out.write(1, "".join(f"{visible(text)}\n" for text in texts).encode())
    else:
        call.put(rows)


def _said(row: Json) -> tuple[str, str]:
    return row["why"], row.get("todo", "")


def _quarantines(state: control.Control, name: str) -> list[control.Quarantine]:
    """The open quarantines of the agent that a name, or the id of one of them, names."""
    opened = control.open_quarantines(state)
    agents = {each["name"] for each in opened if name in (each["id"], each["name"])}
    with suppress(ValueError):
        agents.add(address(name))
    return [each for each in opened if each["name"] in agents]


def _scope(text: str) -> str:
    """A scope in full: `ada` is short for `agent:ada`. Raises Usage."""
    if text == "all" or text.startswith(("label:", "pool:")):
        scope = text
    else:
        try:
            scope = address(text)
        except ValueError:
            scope = ""
    if not control.valid_scope(scope):
        raise Usage(
            f"not a valid scope: {text!r}", todo="use all, an agent, label:LABEL or pool:POOL"
        )
    return scope


COMMANDS = (run, alerts, stop, resume, free, why)
ABOUT = "Give back the work of agents that died, wake those that are stuck."


def main() -> None:
    # Without a command it goes round: `coord-patrol --once` is `coord-patrol run --once`.
    first = sys.argv[1:2]
    if not first or (first[0].startswith("-") and first[0] not in ("-h", "--help", "--version")):
        sys.argv.insert(1, "run")
    process.run("coord-patrol", ABOUT, COMMANDS, "coord_patrol.options", {})
