"""The commands of ev: look, decide, append, print."""

from __future__ import annotations

from itertools import islice

from coord_envelope import BadData, No, Usage, world
from coord_envelope.errors import Fault
from coord_envelope.event import KERNEL, USERLAND
from coord_envelope.ids import AHEAD_MS
from coord_ev import groups as g
from coord_kernel.cli import process, stdin
from coord_kernel.cli.command import elsewhere

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope import Event, Filter
    from coord_envelope.codec import Json
    from coord_envelope.cursor import Cursor
    from coord_ev import options as o
    from coord_kernel.cli.call import Call


def init(call: Call, unsafe_fs: o.UnsafeFs = False) -> None:
    """Make the store of this directory.

    In a git repository the store is beside the common .git directory, so all worktrees share it.
    Running it again changes nothing. Besides .coord/ it changes only .git/info/exclude.
    """
    from coord_kernel.store.init import init as make_store

    store, warnings = make_store(unsafe_fs)
    for warning in warnings:
        call.warn(warning)
    call.put([{"store": store.path, "project": store.project}])


def emit(
    call: Call,
    fields: g.Fields,
    type_: o.Type = None,
    pairs: o.Pairs = None,
    allow_secret: o.AllowSecret = False,
) -> None:
    """Append one event, or the events on stdin.

    Prints each event when it is on the disk. Without TYPE it reads JSON lines: drafts with type,
    body, refs, to, idempotency_key, cause, actor.on_behalf_of; or complete events, each of which
    causes a new event.
    """
    if type_ in (None, "-"):
        if fields.given() or pairs:
            raise Usage(
                "options for one event, and no TYPE",
                todo="give a TYPE, or JSON lines without options",
            )
        _emit_lines(call, asked=type_ == "-", allow_secret=allow_secret)
        return
    from coord_ev.draft import addresses, references, with_pairs  # who reads needs none

    optional = {
        "refs": fields.ref and references(fields.ref),
        "to": fields.to and addresses(fields.to),
        "idempotency_key": fields.key,
        "cause": fields.cause,
    }
    body = {} if fields.body is None else stdin.record(call.content(fields.body), "--body")
    body = with_pairs(body, pairs or ())
    draft = {name: value for name, value in optional.items() if value is not None}
    event = _checked(call, {"type": type_, "body": body, **draft}, allow_secret)
    if fields.live:
        _emit_live(call, event, allow_secret)
    else:
        call.append([event], allow_secret)


def _emit_live(call: Call, event: Json, allow_secret: bool) -> None:
    if event["type"].partition(".")[0] in KERNEL and event["type"] != "agent.seen":
        todo = "leave out --live, or use agent.seen or a type of your own"
        raise Usage(f"{event['type']} is not a live type", todo=todo)
    if "idempotency_key" in event:
        raise Usage("--key cannot be used with --live", todo="a live event has no key")
    with call.journal.transaction(call.actor(), live=True, allow_secret=allow_secret) as t:
        t.add(event)
    call.put(t.events)


MANY = 1_500
"""Lines of a batch from which it is faster to check and encode them by columns."""


def _emit_lines(call: Call, asked: bool, allow_secret: bool) -> None:
    agent = call.actor()["agent_id"]
    for batch in call.lines(asked):
        if len(batch) >= MANY:
            from coord_ev import bulk  # orjson: 22 ms

            bulk.append(
                call, batch, lambda raw: _draft(call, raw, agent, allow_secret), allow_secret
            )
            continue
        drafts = [
            (f"line {number}", _draft(call, raw, agent, allow_secret)) for number, raw in batch
        ]
        call.append_each(drafts, allow_secret)


def _draft(call: Call, raw: bytes, agent: str, allow_secret: bool) -> Json | Fault:
    from coord_ev.draft import from_record

    try:
        return _checked(call, from_record(stdin.record(raw), agent), allow_secret)
    except Fault as fault:
        return fault


def _checked(call: Call, draft: Json, allow_secret: bool) -> Json:
    kind, body = str(draft.get("type")), draft["body"]
    space = kind.partition(".")[0]
    if space in KERNEL or space in USERLAND:
        from coord_envelope.bodies import check_body

        check_body(kind, body)
    if space not in KERNEL and isinstance(body, dict):
        from coord_kernel.store.blobs import Blobs  # 0.3 ms, as each module

        body = Blobs(call.journal.store, allow_secret).body(body)
    return call.with_hops(draft | {"body": body})


def tail(
    call: Call,
    wanted: Filter,
    position: g.Position,
    lines: o.Lines = None,
    follow: o.Follow = False,
) -> None:
    """Print the newest events, and with -f new ones.

    With --after: print all after an event, or after a cursor that the reader keeps.
    With --cursor NAME: print everything since the cursor was last moved, and move it past what was
    printed (a reader that dies loses what was in its pipe), or with --ack-fd past the ids that
    were acknowledged (nothing is lost).
    """
    name, ack_fd = position.cursor_, position.ack_fd
    if ack_fd is not None and not name:
        raise Usage("--ack-fd moves a cursor", todo="give --cursor NAME too")
    if ack_fd is not None and lines is not None:
        raise Usage("-n cannot be used with --ack-fd", todo="the cursor is the starting point")
    begin = None
    if position.after is not None:
        from coord_ev import place

        begin = place.cursor(call, position.after)
    if name and begin is not None:
        raise Usage("--after cannot be used with --cursor", todo="leave one of them out")
    if name and lines is None:
        from coord_kernel.store import cursors

        begin = cursors.load(call.journal.store, name)

    def go_on(after: Cursor) -> None:
        from coord_kernel.cli.deliver import deliver

        deliver(call, after, wanted, follow, name, ack_fd)

    if begin is not None and lines is None:
        go_on(begin)
        return
    end = call.journal.end() if follow or name else None
    newest = call.journal.tail(10 if lines is None else lines, wanted, end)
    call.put(event for event in newest if begin is None or not begin.has(event))
    if end is not None:
        go_on(end)


def replay(call: Call, wanted: Filter, part: g.Part) -> None:
    """Print the whole history in order.

    The order is that of the event ids. Replicas with the same events print the same bytes.
    With --pos it is that in which this store got the events, and each has its number: with it,
    another program can say --after.
    """
    from coord_ev import place

    types = wanted.types()
    all_of_it = not (part.pos or part.live) and part.given().keys() <= {"pos", "live"}
    if all_of_it and types is not None and call.out.lines_only:
        for rows in call.journal.lines(types):
            call.out.put_lines(rows)
        return
    until = part.until and call.moment(part.until)
    if part.pos and part.live:
        raise Usage("--pos cannot be used with --live", todo="live events have no number")
    if part.pos:
        numbered = filter(wanted, place.numbered(call, part.after))
        events = (event for event in numbered if not until or event["ts"] <= until)
    else:
        begin = place.cursor(call, part.after)
        events = call.journal.replay(wanted, begin, part.live, until)  # type: ignore[assignment]
    if part.grep is not None:
        events = place.matching(part.grep, events)  # type: ignore[assignment]
    call.put(islice(events, part.most))


def show(call: Call, ids: o.Ids = None) -> None:
    """Print the events with these ids.

    An id may be short (its last 8 characters, or any unique ending of 4 or more). Exits 1 if an
    event does not exist. A body that is in a blob is printed as $body.
    """
    from coord_ev import place

    call.each(ids, ("event_id",), lambda text: [_whole(call, place.found(call, text))])


def _whole(call: Call, event: Event) -> Event:
    from coord_kernel.store.blobs import Blobs

    try:
        field = "text" if event["type"] == "msg.sent" else None
        body = Blobs(call.journal.store).whole(event["body"], field)
    except (No, BadData) as fault:
        call.fail(fault, event.id)
        return event
    return event if body is None else event.annotated(body=body)


def watch(call: Call, wanted: Filter, repeat: g.Repeat, command: o.Command = None) -> None:
    """Print events as they come, starting now.

    With a command: run it repeatedly, and append an event of the type --type when its output or
    its exit status has changed.
    """
    if command:
        from coord_ev.watch import watch as observe

        types = wanted.said.get("types", [])
        if len(types) != 1 or len(wanted.said) != 1:
            raise Usage(
                "a command needs one --type, for its events, and no other filter",
                todo="ev watch --type T -- CMD",
            )
        observe(call, types[0], command, repeat)
        return
    from coord_kernel.cli.deliver import deliver

    if repeat.interval is not None or repeat.every or repeat.once:
        raise Usage(
            "--interval, --every and --once need a command", todo="ev watch --type T -- CMD"
        )
    deliver(call, call.journal.end(), wanted)


def consume(
    call: Call, file: o.File, once: o.Once = False, most: o.Most = None, dry_run: o.DryRun = False
) -> None:
    """Run a command for each matching event.

    FILE names the events, the command, and the event to emit with the result. Each event is
    handled once, across restarts and failures; a final failure is emitted as an event, too. Exits
    1 if an event failed.
    """
    from coord_ev.consume import consume as react

    react(call, file, once, most, dry_run)


def agents(call: Call, names: o.Agents = None, active: o.Active = False) -> None:
    """List the known agents, or show some.

    Last seen first. With NAMEs everything about these agents: their description, groups, sessions,
    what they hold, the newest jobs that they requested and items that they closed. Exits 1 if one
    never wrote, and no job runs it.
    """
    from coord_ev import fold
    from coord_ev.agents import Agents, begun, holds

    since = call.moment("30m") if active else ""
    until = world.format_ts(world.now_ms() + AHEAD_MS)
    known = Agents(call.journal.store).refresh()
    if not names and call.out.lines_only and not active:
        call.out.put_lines(known.lines(until))
        return
    if not names:
        rows = (fold.row(state, until) for state in known.newest_first())
        call.put(row for row in rows if (row["last_seen"] or "") >= since)
        return
    for name in names:
        agent = call.agent_id(name, "NAME")
        state = known.get(agent) or begun(call.journal.store, agent)
        if state is None:
            call.fail(No("no such agent", where=name, code="not_found"))
            continue
        held = list(holds(call.journal.store, state["agent"]))
        call.put([{**fold.detail(state, until), **({"holds": held} if held else {})}])


def verify(call: Call, signatures: o.Signatures = False) -> int:
    """Check every byte of the journal.

    Prints file, offset and reason of each part that is not a valid event. Exits 1 if there is
    damage. A torn tail (a line cut by a crash, or still being written) is reported but is not
    damage: the next append ends it. With --signatures: who has signed the events of other stores;
    exits 1 if nobody has signed some of them.
    """
    if signatures:
        from coord_ev.signatures import verify as verified

        rows, warnings = verified(call.journal.store)
        for line in warnings:
            call.warn(line)
        call.put(rows)
        return int(any("unsigned" in row or "refused" in row for row in rows))
    from coord_ev.check import check

    damaged = False
    for problem, damage in check(call.journal.store, world.now_ms()):
        damaged |= damage
        call.put([problem])
    return int(damaged)


def stats(call: Call) -> None:
    """Count the events: in total, by type, by writer."""
    store = call.journal.store
    size = {"streams": len(store.listdir("journal")), "bytes": call.journal.size()}
    from coord_ev import fold

    call.put([{**fold.stats(call.journal.replay()), **size}])


(redact,) = elsewhere("coord_ev.redact", "redact")
sync, trust = elsewhere("coord_ev.sync", "sync", "trust")
COMMANDS = (
    init,
    emit,
    tail,
    replay,
    show,
    watch,
    consume,
    sync,
    trust,
    agents,
    redact,
    verify,
    stats,
)
ABOUT = "Append, read and follow the events of a store."


def main() -> None:
    from coord_ev.argv import TABLE

    process.run("ev", ABOUT, COMMANDS, "coord_ev.options", TABLE)
