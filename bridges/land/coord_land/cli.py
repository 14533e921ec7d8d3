"""The commands of coord-land: a person or an agent adds, a controller lands."""

from __future__ import annotations

from coord_envelope import No, Usage, world
from coord_kernel.cli import process, values
from coord_land import draft, fold, policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.cli.call import Call
    from coord_kernel.views.view import Source
    from coord_land import options as o
    from coord_land.fold import Request
    from coord_land.listing import Listing


def add(
    call: Call,
    branch: o.Branch = None,
    target: o.Target = None,
    work: o.Work = None,
    close: o.Close = False,
    priority: o.Priority = fold.PRIORITY,
) -> None:
    """Ask for a branch to land.

    Its commit is what lands, merged on what the target is by then. A later request of yours for
    the same branch replaces this one. Asking again for the same commit prints the first request.
    You have mail when it has landed, or left.
    """
    from coord_land.asking import ask

    if close and not work:
        raise Usage("--close without --work")
    call.put([ask(call, branch, target, {"work": work, "close": close, "priority": priority})])


def ls(
    call: Call, target: o.Target = None, everything: o.Everything = False, lines: o.Lines = None
) -> None:
    """List requests, in the order in which they land."""
    rows = _listing(call, target)
    found = list(rows.everything() if everything else rows.opened())
    call.put(found[-lines:] if everything and lines else found[:lines])


def show(call: Call, id_: o.Id) -> None:
    """Show a request, its tests and its end."""
    source, request = _request(call, id_)
    from coord_land.listing import Listing

    call.put([Listing(source, request["target"], world.now_ms()).shown(request)])


def rm(call: Call, names: o.Ids) -> None:
    """Withdraw requests.

    Exits 1 for those that are over.
    """
    for name in names:
        try:
            _, request = _request(call, name)
            event = draft.withdrawn(request, why="asked")
            with call.transaction() as t:
                index = call.journal.index.refresh()
                key = event["idempotency_key"]
                if any(index.by_key(kind, key) for kind in fold.ENDS):
                    raise No("is over", where=name)
                t.add(event)
            call.put(t.events)
        except No as fault:
            call.fail(fault)


def run(
    call: Call,
    target: o.Target = None,
    once: o.Once = False,
    dry_run: o.DryRun = False,
    policy_file: o.PolicyFile = None,
) -> None:
    """Land what was added, tested as exactly what lands.

    What the gates of the target pass lands, what they do not pass leaves with the reason. Stays in
    the foreground; prints what it writes. Acts as bridge:land, or as --as. With --once it waits
    for the tests that it begins, not for hosted checks. Any number may run at once.
    """
    from coord_kernel.cli.turns import serve
    from coord_kernel.store import locate
    from coord_land.lander import AGENT, Lander

    store = call.journal.store
    given = policy.outside(policy_file, locate.root(store.path)) if policy_file else None
    agent = values.agent_id(call.chosen or AGENT, "--as")
    lander = Lander(call, agent, policy.place(store, target), given)
    if dry_run:
        call.put(lander.rows())
        return
    serve(call, lander, once, lander.deaths)
    while once and lander.wait():
        serve(call, lander, once)


def resume(call: Call, target: o.Target = None) -> None:
    """Test again what holds a queue.

    Exits 1 if it is not held.
    """
    name = policy.place(call.journal.store, target)[1]
    holds = list(fold.holds(fold.queue_of(_source(call), name)))
    if not holds:
        raise No("is not held", where=name)
    call.append([{"type": "land.resumed", "body": {"target": name, "holds": holds}}])


def status(call: Call, target: o.Target = None) -> int:
    """Show the queue in a line.

    How many wait, for how long, what is tested, what holds it. Exits 1 while it is held.
    """
    row = _listing(call, target).status()
    call.put([row])
    return int("held" in row)


def _source(call: Call) -> Source:
    from coord_land.lander import Requests

    return Requests(call.journal.store).refresh()


def _listing(call: Call, target: str | None) -> Listing:
    from coord_land.listing import Listing

    name = policy.place(call.journal.store, target)[1]
    return Listing(_source(call), name, world.now_ms())


def _request(call: Call, name: str) -> tuple[Source, Request]:
    source = _source(call)
    request = fold.named(source, call.resolve(name))
    if request is None:
        raise No("no such request", where=name, code="not_found")
    return source, request


COMMANDS = (add, ls, show, rm, run, resume, status)
ABOUT = "A merge queue: nothing lands but what was tested as it lands."


def main() -> None:
    process.run("coord-land", ABOUT, COMMANDS, "coord_land.options", {})
