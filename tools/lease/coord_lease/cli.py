"""The commands of lease: look, decide, append, print."""

from __future__ import annotations

import sys

from coord_envelope import BadData, No, Usage, ids
from coord_kernel.cli import process
from coord_kernel.cli.call import Call
from coord_lease import groups as g
from coord_lease.resource import all_parsed, of_path, overlap
from coord_lease.scope import LONGEST_MS, Wanted
from coord_lease.scopes import knowing, scope, scopes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from coord_envelope import Filter
    from coord_envelope.codec import Json
    from coord_lease import options as o
    from coord_lease.fold import Lease, Row
    from coord_lease.scope import Scope

LEASE = ("lease_id", "refs.lease_id")
"""Where a line on stdin has a lease's id."""
REASON_BYTES = 500
SHORTEST_WITH_MS = 1_000
"""With a shorter time, `with` cannot renew in time on a busy machine."""


def acquire(
    call: Call,
    terms: g.Terms,
    attempt: g.Attempt,
    resources: o.Resources,
    reason: o.Purpose = None,
) -> None:
    """Acquire resources, all or none.

    Exit 1 if another lease on any of them conflicts, and name its holder. The lease does not end
    with this process: only when it is released, or its time is over.
    """
    call.out.id_ref = "lease_id"
    leases = scope(call, terms.scope, attempt.require)
    wanted = _wanted(leases, resources, terms, reason)
    if attempt.wait is None:
        call.put([leases.acquire(wanted)])
        return
    from coord_lease.wait import acquired

    call.put([acquired(call, leases, wanted, call.span(attempt.wait, "--wait"))])


def renew(call: Call, ids: o.Ids = None, ttl: o.NewTtl = None, resume: o.Resume = False) -> None:
    """Renew leases.

    Exit 1 for a lease that is lost: expired, released or stolen.
    """
    known, ms = scopes(call), ttl and call.span(ttl, "--ttl", most=LONGEST_MS)
    _each(call, ids, lambda text: knowing(known, text).renew(text, ms or None, resume=resume))


def release(
    call: Call,
    ids: o.Ids = None,
    reason: o.Reason = "done",
    resume: o.Resume = False,
    all_: o.All = False,
) -> None:
    """Release leases.

    A lease may be released twice. Exit 1 for a lease that was lost before.
    """
    known, why = scopes(call), _reason(reason)
    if all_:
        if ids:
            raise Usage("--all cannot be used with ids", todo="leave out either")
        ids = [lease["lease_id"] for lease in _own(call, known, resume)]
        if not ids:
            call.warn("nothing to do: you hold no lease")
            return
    _each(call, ids, lambda text: knowing(known, text).release(text, why, resume))


def _own(call: Call, scopes: Sequence[Scope], resume: bool) -> Iterator[Lease]:
    """What the caller holds; with `resume` also in other sessions."""
    me = call.actor()["agent_id"]
    for leases in scopes:
        for lease in leases.held():
            if leases.mine(lease) or (resume and lease["holder"] == me):
                yield lease


def ls(
    call: Call,
    resources: o.MaybeResources = None,
    mine: o.Mine = False,
    prefix: o.Prefix = None,
    at: o.At = None,
) -> None:
    """List the leases that are held, and their holders.

    Those of other stores, which come through a live remote, have their `replica`: they conflict
    with nothing here.
    """
    wanted = all_parsed(resources or [])
    if at is not None:
        call.put(_printed(row) for row in _past(call, wanted, mine, prefix, call.moment(at)))
        return
    rows = [
        leases.row(lease)
        for leases in scopes(call)
        for lease in leases.held(wanted)
        if not mine or leases.mine(lease)
    ]
    if not mine:
        from coord_lease import elsewhere

        rows += elsewhere.held(call.journal.store, wanted)
    call.put(_printed(row) for row in rows if _begins(row["resources"], prefix))


def _past(
    call: Call, wanted: Sequence[str], mine: bool, prefix: str | None, then: str
) -> Iterator[Row]:
    from coord_kernel.rules import holder
    from coord_lease import past
    from coord_lease.resource import any_overlap

    for lease, row in past.held(call.journal.store, then):
        ours = not mine or holder.same(call.actor(), lease["holder"], lease.get("session"))
        overlaps = not wanted or any_overlap(lease["resources"], wanted)
        if ours and overlaps and _begins(lease["resources"], prefix):
            yield row


def _begins(resources: Sequence[str], prefix: str | None) -> bool:
    return prefix is None or any(name.startswith(prefix) for name in resources)


def show(call: Call, ids: o.Ids = None) -> None:
    """Show leases, also those that ended recently.

    They are forgotten an hour after their end. Exit 1 for a lease that is not known.
    """
    known = scopes(call)

    def row(text: str) -> Json:
        leases = knowing(known, text)
        return _printed(leases.row(leases.known(text)))

    _each(call, ids, row)


def steal(call: Call, terms: g.Terms, resources: o.Resources, reason: o.Reason = "") -> None:
    """Acquire resources; conflicting leases end.

    Their holders learn it when they renew or release. Until then only the fencing token stops a
    holder that goes on.
    """
    call.out.id_ref = "lease_id"
    if not reason:
        raise Usage("no reason given", todo="--reason WHY")
    leases = scope(call, terms.scope)
    call.put([leases.acquire(_wanted(leases, resources, terms, reason), reason)])


def with_(
    call: Call, terms: g.Terms, attempt: g.Attempt, words: o.Words, reason: o.Purpose = None
) -> int:
    """Run a command while resources are held.

    LEASE_ID and LEASE_TOKEN are in its environment; its exit status is passed on. Exit 75 if the
    lease could not be acquired, and the command did not run; or if it was lost, and the command was
    ended before that.
    """
    from coord_lease.hold import run

    resources, argv = _split(words)
    leases = scope(call, terms.scope, attempt.require)
    wanted = _wanted(leases, resources, terms, reason, SHORTEST_WITH_MS)
    wait_ms = call.span(attempt.wait, "--wait") if attempt.wait else 0
    return run(call, leases, wanted, argv, wait_ms)


def guard(call: Call, paths: o.Paths = None) -> None:
    """Fail if others have leased staged files.

    Exit 1, with a line for each exclusive lease of another agent or session in the way. Without
    paths: all that is staged in git, both names of a rename. For a pre-commit hook.
    """
    from coord_lease import guard as files

    store = call.journal.store.path
    names = [files.from_root(path, store) for path in paths] if paths else files.staged()
    for leases in scopes(call):
        for path, what in _conflicts(leases, names):
            call.fail(No(what, path, todo="wait until it is released", code="held"))


def _conflicts(leases: Scope, paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each path, and the exclusive lease of another that covers it."""
    resources = [of_path(path) for path in paths]
    held = [
        lease for lease in leases.held(resources) if lease["mode"] == "x" and not leases.mine(lease)
    ]
    for path, resource in zip(paths, resources, strict=True):
        for lease in held:
            globs = [name for name in lease["resources"] if overlap(name, resource)]
            if globs:
                short = ids.short("ls", lease["lease_id"])
                yield path, f"is held by {lease['holder']} as {' '.join(globs)} ({short})"


def watch(call: Call, wanted: Filter) -> None:
    """Print lease events and expiries as they come."""
    from coord_lease.watch import watch as follow

    follow(call, scopes(call), wanted)


def _wanted(
    leases: Scope, resources: list[str], terms: g.Terms, reason: str | None, least: int = 1
) -> Wanted:
    ms = Call.span(terms.ttl or leases.usual_ttl, "--ttl", least, LONGEST_MS)
    mode = "s" if terms.shared else "x"
    return Wanted(all_parsed(resources), mode, ms, _reason(reason or ""))


def _reason(text: str) -> str:
    if len(text.encode("utf-8", "surrogateescape")) > REASON_BYTES:
        raise BadData(f"exceeds {REASON_BYTES} bytes", where="--reason")
    return text


def _printed(row: Row) -> Json:
    return {**row}


def _each(call: Call, ids: list[str] | None, act: Callable[[str], Json]) -> None:
    call.out.id_ref = "lease_id"
    call.each(ids, LEASE, lambda text: [act(text)])


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    place = words.index("--") if "--" in words else len(words)
    if not words[:place] or not words[place + 1 :]:
        raise Usage("no resource or no command", todo="lease with RESOURCE... -- CMD...")
    return words[:place], words[place + 1 :]


COMMANDS = (acquire, renew, release, ls, show, steal, with_, guard, watch)
ABOUT = "Hold files, environments, ports for a time."


def main() -> None:
    from coord_lease.argv import TABLE

    if sys.argv[1:2] == ["with"] and "--" in sys.argv:
        # The parser takes one away, and with it what divides the words.
        sys.argv.insert(sys.argv.index("--"), "--")
    process.run("lease", ABOUT, COMMANDS, "coord_lease.options", TABLE)
