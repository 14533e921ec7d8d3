"""The commands of ev: look, decide, append, print."""

from __future__ import annotations

from coord_envelope import No, Usage, world
from coord_envelope.bodies import check_body
from coord_envelope.errors import Fault
from coord_ev import draft, fold
from coord_ev.redact import redact
from coord_ev.sync import INTERVAL, sync
from coord_kernel import init as make_store
from coord_kernel.cli import complaints, process, stdin, values
from coord_kernel.store import cursors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope import Filter
    from coord_envelope.codec import Json
    from coord_ev import options as o
    from coord_kernel.cli.call import Call


def init(call: Call, unsafe_fs: o.UnsafeFs = False) -> None:
    """Make the store of this directory.

    In a git repository it stands beside the common .git directory, so all worktrees share one. Calling it
    again changes nothing. Besides .coord/ it touches .git/info/exclude, and nothing else.
    """
    store, warnings = make_store(unsafe_fs)
    for line in warnings:
        complaints.warn(line)
    call.put([{"store": store.path, "project": store.project}])


def emit(
    call: Call,
    type_: o.Type = None,
    body: o.Body = None,
    ref: o.Ref = None,
    to: o.To = None,
    key: o.Key = None,
    cause: o.Cause = None,
    allow_secret: o.AllowSecret = False,
) -> None:
    """Append an event, or those on stdin.

    Prints each event when it is on the disk. Without TYPE it reads JSON lines: partial events with type, body,
    refs, to, idempotency_key, cause, actor.on_behalf_of; or whole events, from each of which a new one is made.
    """
    if type_ in (None, "-"):
        if any(option is not None for option in (body, ref, to, key, cause)):
            raise Usage(
                "options for one event, and no TYPE",
                todo="give a TYPE, or JSON lines without options",
            )
        _emit_lines(call, asked=type_ == "-", allow_secret=allow_secret)
        return
    given = {
        "refs": ref and draft.references(ref),
        "to": to and draft.addresses(to),
        "idempotency_key": key,
        "cause": cause,
        "body": {} if body is None else stdin.record(values.content(body), where="--body"),
    }
    one = {"type": type_, **{name: value for name, value in given.items() if value is not None}}
    call.put(call.journal.append(call.actor(), [_checked(call, one)], allow_secret))


def _emit_lines(call: Call, asked: bool, allow_secret: bool) -> None:
    agent = call.actor()["agent_id"]
    for batch in call.lines(asked):
        found: list[tuple[str, Json | Fault]] = []
        for number, raw in batch:
            try:
                one: Json | Fault = _checked(call, draft.from_record(stdin.record(raw), agent))
            except Fault as fault:
                one = fault
            found.append((f"line {number}", one))
        call.write_each(found, allow_secret)


def _checked(call: Call, one: Json) -> Json:
    check_body(str(one.get("type")), one["body"])
    return call.with_hops(one)


def tail(
    call: Call,
    wanted: Filter,
    lines: o.Lines = None,
    follow: o.Follow = False,
    cursor_: o.Name = None,
    ack_fd: o.AckFd = None,
) -> None:
    """Print the newest events; with -f, go on.

    With --cursor NAME: everything since NAME was last moved, and NAME moves behind what was printed (a reader
    that dies loses what it had in its pipe), or with --ack-fd behind the ids that came back (it loses nothing).
    """
    from coord_kernel.cli.deliver import deliver

    if ack_fd is not None and not cursor_:
        raise Usage("--ack-fd moves a cursor", todo="give --cursor NAME too")
    if ack_fd is not None and lines is not None:
        raise Usage("-n does not go with --ack-fd", todo="the cursor says where to begin")
    if cursor_ and lines is None:
        begin = cursors.load(call.journal.store, cursor_)
        deliver(call, begin, wanted, follow, cursor_, ack_fd)
        return
    end = call.journal.end() if follow or cursor_ else None
    call.put(call.journal.tail(10 if lines is None else lines, wanted, end))
    if end is not None:
        deliver(call, end, wanted, follow, cursor_, ack_fd)


def replay(call: Call, wanted: Filter, until: o.Until = None) -> None:
    """Print the whole history in order.

    The order is that of the event ids, the same in every replica that has the same events, byte for byte.
    """
    types = wanted.types()
    if until is None and types is not None and call.out.lines_only:
        for rows in call.journal.lines(types):
            call.out.put_lines(rows)
        return
    call.put(call.journal.replay(wanted, until=until and values.moment(until)))


def show(call: Call, ids: o.Ids = None) -> None:
    """Print the events with these ids.

    An id may be short (its last 8 characters, or any unique ending of 4 or more). Exit 1 if one is not there.
    """
    for group in call.ids(ids or [], "event_id"):
        for text in group:
            try:
                found = call.event(text)
            except Usage as ambiguous:
                call.fail(ambiguous)
                continue
            if found:
                call.put([found])
            else:
                call.fail(No("no such event", where=text))


def watch(
    call: Call,
    wanted: Filter,
    command: o.Command = None,
    interval: o.Interval = None,
    every: o.Every = False,
    once: o.OneLook = False,
) -> None:
    """Print events as they come, from now on.

    With a command: run it again and again, and append an event of the type --type when its output or its status has
    changed.
    """
    if not command:
        from coord_kernel.cli.deliver import deliver

        if interval is not None or every or once:
            raise Usage(
                "--interval, --every and --once go with a command", todo="ev watch --type T -- CMD"
            )
        deliver(call, call.journal.end(), wanted)
        return
    from coord_ev.watch import watch as observe

    types = wanted.said.get("types", [])
    if len(types) != 1 or len(wanted.said) != 1:
        raise Usage(
            "a command needs one --type, of its events, and no other filter",
            todo="ev watch --type T -- CMD",
        )
    observe(call, types[0], command, values.span(interval or INTERVAL, "--interval"), every, once)


def consume(
    call: Call, file: o.File, once: o.Once = False, most: o.Most = None, dry_run: o.DryRun = False
) -> None:
    """Run a command for each event that matches.

    FILE says which events, which command, and what is told of the outcome. Each event is done once, also over
    restarts and failures; what failed for good is told in an event too. Exit 1 if something did.
    """
    from coord_ev.consume import consume as react

    react(call, file, once, most, dry_run)


def agents(call: Call, active: o.Active = False) -> None:
    """List who is known, last seen first."""
    since = values.moment("30m") if active else ""
    call.put(
        one for one in fold.agents(call.journal.replay(live=True)) if one["last_seen"] >= since
    )


def verify(call: Call) -> int:
    """Check every byte of the journal.

    Prints a line for whatever is no event: file, offset, reason. Exit 1 if there is any. A torn tail (a line
    that a crash cut, or that is just being written) is reported, and is no damage: the next append ends it.
    """
    from coord_ev.check import check

    damaged = False
    for problem, damage in check(call.journal.store, world.now_ms()):
        damaged |= damage
        call.put([problem])
    return int(damaged)


def stats(call: Call) -> None:
    """Count the events: all, by type, by writer."""
    store = call.journal.store
    size = {"streams": len(store.listdir("journal")), "bytes": call.journal.size()}
    call.put([fold.stats(call.journal.replay()) | size])


COMMANDS = (init, emit, tail, replay, show, watch, consume, sync, agents, redact, verify, stats)
ABOUT = "Append, read and follow the events of a store."


def main() -> None:
    from coord_ev.argv import TABLE

    process.run("ev", ABOUT, COMMANDS, "coord_ev.options", TABLE)
