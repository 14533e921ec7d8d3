"""The commands of lease: look, decide, append, print."""

from __future__ import annotations

import sys

from coord_envelope import BadData, No, Usage, ids
from coord_kernel.cli import process, values
from coord_lease.resource import all_parsed, of_path, overlap
from coord_lease.scope import LONGEST_MS, Wanted, knowing, scopes
from coord_lease.scope import scope as chosen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_lease import options as o
    from coord_lease.scope import Scope

LEASE = ("lease_id", "refs.lease_id")
"""Where a line on stdin has a lease's id."""
REASON_BYTES = 500
SHORTEST_WITH_MS = 1_000
"""Under this `with` cannot renew in time on a busy machine."""


def acquire(
    call: Call,
    resources: o.Resources,
    shared: o.Shared = False,
    ttl: o.Ttl = None,
    wait: o.Wait = None,
    scope: o.Scope = "local",
    require: o.Require = None,
) -> None:
    """Take resources, all or none.

    Exit 1 if somebody holds one that overlaps, and say who. Nobody watches over who holds it: it is free when it is
    released, or when its time is over.
    """
    call.out.id_ref = "lease_id"
    held = chosen(call, scope, require)
    wanted = _wanted(held, resources, shared, ttl)
    if wait is None:
        call.put([held.acquire(wanted)])
        return
    from coord_lease.wait import acquired

    call.put([acquired(call, held, wanted, values.span(wait, "--wait"))])


def renew(call: Call, ids: o.Ids = None, ttl: o.NewTtl = None) -> None:
    """Begin the time of leases anew.

    Exit 1 if one is lost: expired, released, stolen.
    """
    leases, ms = scopes(call), ttl and values.span(ttl, "--ttl", most=LONGEST_MS)
    _each(call, ids, lambda text: knowing(leases, text).renew(text, ms or None))


def release(call: Call, ids: o.Ids = None, reason: o.Reason = "done") -> None:
    """Give leases back.

    Twice is once. Exit 1 if one was lost before.
    """
    leases, why = scopes(call), _reason(reason)
    _each(call, ids, lambda text: knowing(leases, text).release(text, why))


def ls(call: Call, resources: o.MaybeResources = None) -> None:
    """List what is held, and by whom."""
    wanted = all_parsed(resources or [])
    call.put(leases.row(state) for leases in scopes(call) for state in leases.held(wanted))


def show(call: Call, ids: o.Ids = None) -> None:
    """Show leases, also those over within the hour.

    Exit 1 if one is not known.
    """
    found = scopes(call)

    def row(text: str) -> Json:
        leases = knowing(found, text)
        return leases.row(leases.known(text))

    _each(call, ids, row)


def steal(
    call: Call,
    resources: o.Resources,
    reason: o.Reason = "",
    shared: o.Shared = False,
    ttl: o.Ttl = None,
    scope: o.Scope = "local",
) -> None:
    """Take resources from whoever holds them.

    Their leases end, with all they hold. The fencing token is what stops an old holder who goes on.
    """
    call.out.id_ref = "lease_id"
    if not reason:
        raise Usage("to steal takes a reason", todo="--reason WHY")
    held = chosen(call, scope)
    call.put([held.acquire(_wanted(held, resources, shared, ttl), _reason(reason))])


def with_(
    call: Call,
    words: o.Words,
    shared: o.Shared = False,
    ttl: o.Ttl = None,
    wait: o.Wait = None,
    scope: o.Scope = "local",
    require: o.Require = None,
) -> int:
    """Run a command that holds resources.

    It has LEASE_ID and LEASE_TOKEN in its environment; its exit status is passed on. 75: not acquired and not run,
    or lost while it ran, and then it was ended before.
    """
    from coord_lease.hold import run

    resources, argv = _split(words)
    held = chosen(call, scope, require)
    wanted = _wanted(held, resources, shared, ttl, SHORTEST_WITH_MS)
    return run(call, held, wanted, argv, values.span(wait, "--wait") if wait else 0)


def guard(call: Call, paths: o.Paths = None) -> None:
    """Fail if another holds what is staged.

    Without paths: what git has staged, both names of what was renamed. Exit 1, with a line for each lease in the
    way; only exclusive ones are. For a pre-commit hook.
    """
    from coord_lease import guard as files

    store = call.journal.store.path
    found = [files.from_root(path, store) for path in paths] if paths else files.staged()
    resources = [of_path(path) for path in found]
    for leases in scopes(call):
        held = [
            state
            for state in leases.held(resources)
            if state["mode"] == "x" and not leases.mine(state)
        ]
        for path, resource in zip(found, resources, strict=True):
            for state in held:
                globs = [one for one in state["resources"] if overlap(one, resource)]
                if globs:
                    what = f"is held by {state['holder']} as {' '.join(globs)} ({ids.short('ls', state['lease_id'])})"
                    call.fail(No(what, where=path, todo="wait until it is released"))


def watch(call: Call) -> None:
    """Print lease events, and expiries, as they come."""
    from coord_lease.watch import watch as follow

    follow(call, scopes(call))


def _wanted(
    held: Scope, resources: list[str], shared: bool, ttl: str | None, least: int = 1
) -> Wanted:
    ms = values.span(ttl or held.usual_ttl, "--ttl", least, LONGEST_MS)
    return Wanted(all_parsed(resources), "s" if shared else "x", ms)


def _reason(text: str) -> str:
    if len(text.encode("utf-8", "surrogateescape")) > REASON_BYTES:
        raise BadData(f"is longer than {REASON_BYTES} bytes", where="--reason")
    return text


def _each(call: Call, ids: list[str] | None, act: Callable[[str], Json]) -> None:
    call.out.id_ref = "lease_id"
    call.each(ids, LEASE, lambda text: [act(text)])


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    place = words.index("--") if "--" in words else len(words)
    if not words[:place] or not words[place + 1 :]:
        raise Usage("with takes resources and a command", todo="lease with RESOURCE... -- CMD...")
    return words[:place], words[place + 1 :]


COMMANDS = (acquire, renew, release, ls, show, steal, with_, guard, watch)
ABOUT = "Hold files, environments, ports for a time."


def main() -> None:
    from coord_lease.argv import TABLE

    if sys.argv[1:2] == ["with"] and "--" in sys.argv:
        sys.argv.insert(
            sys.argv.index("--"), "--"
        )  # the parser takes one away, and with it what divides the words
    process.run("lease", ABOUT, COMMANDS, "coord_lease.options", TABLE)
