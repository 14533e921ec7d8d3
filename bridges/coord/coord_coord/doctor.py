"""What may be wrong with a store and around it.

A check yields rows {check, status: ok | note | problem, what, todo}. A problem has its remedy. A
check that fails by itself is a problem, and stops no other check.
"""

from __future__ import annotations

import difflib
import os
from functools import partial
from typing import TYPE_CHECKING

from coord_coord import machine, tools
from coord_coord.entries import PROGRAMS
from coord_coord.setup import Setup, present
from coord_coord.status import age
from coord_envelope import VERSION, ids, world
from coord_envelope.errors import Fault
from coord_kernel.cli.words import age_ms
from coord_kernel.proc import beside
from coord_kernel.store import config, locate, stamp
from coord_kernel.store.disk import fault_of, known_local

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call

    Check = Callable[[Call], Iterator[Json]]

LOCK_S = 2.0
"""How long the store's lock is waited for: a command holds it for milliseconds."""
REMOTE_S = 10.0
SHOWN = 3
"""Bad places of the journal that are named."""


def examine(call: Call) -> Iterator[Json]:
    """The rows of all checks; those of a store only if there is one."""
    for check in (versions, commands, git, inotify, name):
        yield from _guarded(check, call)
    try:
        call.journal  # noqa: B018  (finds the store)
    except Fault as fault:
        yield row("store", "problem", *_said(fault))
        return
    for check in (store, settings, journal, lock, clock, disk, index, remote, hooks):
        yield from _guarded(check, call)


def row(check: str, status: str, what: str, todo: str = "") -> Json:
    """A result."""
    return {"check": check, "status": status, "what": what, "todo": todo}


def _guarded(check: Check, call: Call, called: str = "") -> Iterator[Json]:
    try:
        yield from check(call)
    except (Fault, OSError) as error:
        yield row(called or check.__name__, "problem", *_said(fault_of(error)))


def _said(fault: Fault) -> tuple[str, str]:
    where = f"{fault.where}: " if fault.where else ""
    return f"{where}{fault.what}", fault.todo or "see coord(1), PROBLEMS"


def versions(call: Call) -> Iterator[Json]:
    """Which versions are at work."""
    yield row("versions", "ok", f"coord-kernel {VERSION}, Python {machine.python()}")


def commands(call: Call) -> Iterator[Json]:
    """Does PATH find the commands of this installation?"""
    for name in (*tools.NAMES, "coord-hooks"):
        mine, first = tools.found(name), tools.on_path(name)
        if mine is None:
            yield row("commands", "problem", f"{name} is missing", "install coord-kernel again")
        elif first is None:
            what = f"{name} is not on PATH, so hooks and scripts do not find it"
            yield row("commands", "problem", what, f"add {beside.BIN} to PATH")
        elif not tools.same(mine, first):
            what = f"{name} on PATH is {first}, not {mine}"
            yield row("commands", "problem", what, f"put {beside.BIN} before it in PATH")
        else:
            continue
        return
    yield row("commands", "ok", f"{' '.join(tools.NAMES)} in {beside.BIN}")


def git(call: Call) -> Iterator[Json]:
    """Is git there, and new enough for `ev sync`?"""
    version = machine.git()
    least = ".".join(map(str, machine.LEAST_GIT))
    if version is None:
        yield row("git", "problem", "not installed", "install git; only `ev sync` needs it")
    elif version < machine.LEAST_GIT:
        what = f"{'.'.join(map(str, version))} is older than {least}"
        yield row("git", "problem", what, "update git; only `ev sync` needs it")
    else:
        yield row("git", "ok", ".".join(map(str, version)))


def inotify(call: Call) -> Iterator[Json]:
    """Do followers sleep until something happens, or do they poll?"""
    fault = machine.inotify()
    if fault:
        yield row("inotify", "note", f"{fault.what}, so followers poll", fault.todo)
    else:
        yield row("inotify", "ok", "followers sleep until something happens")


def name(call: Call) -> Iterator[Json]:
    """Who acts here."""
    actor = call.actor()
    session = f", session {actor['session_id']}" if "session_id" in actor else ", no session"
    yield row("name", "ok", actor["agent_id"] + session)
    if not call.named:
        what = "COORD_AGENT is not set, so a command in a pipe or script has no name"
        yield row("name", "note", what, "export COORD_AGENT=NAME")


def store(call: Call) -> Iterator[Json]:
    """Where the store is."""
    opened = call.journal.store
    replica = (opened.replicas() or ["none yet"])[-1]
    yield row("store", "ok", f"{opened.path}, project {opened.project}, replica {replica}")
    if not known_local(opened.path):
        what = "on a network file system: its locks and fsync are unreliable"
        yield row("store", "note", what, "move the repository to a local disk")


def settings(call: Call) -> Iterator[Json]:
    """Does coord.toml have only what something reads?"""
    file = config.Config(locate.root(call.journal.store.path))
    unknown = file.unknown()
    for name in unknown:
        near = difflib.get_close_matches(name, (*config.KEYS, *config.TABLES), 1)
        todo = f"did you mean {near[0]}?" if near else "see coord(7), FILES"
        yield row("settings", "problem", f"{file.path}: unknown: {name}", todo)
    if not unknown:
        yield row("settings", "ok", f"{config.CONFIG} has only what is known")


def journal(call: Call) -> Iterator[Json]:
    """Is every byte an event?"""
    bad = tools.ask({"verify": ("ev", "verify")})["verify"]
    if bad.fault and bad.fault.status != 1:
        raise bad.fault
    for problem in bad.rows[:SHOWN]:
        where = f"{problem['file']} at {problem['offset']}: {problem['reason']}"
        yield row("journal", *_place(problem["reason"], where))
    if len(bad.rows) > SHOWN:
        count = f"{len(bad.rows) - SHOWN}{'+' * bad.cut} more"
        yield row("journal", "problem", count, "`ev verify` lists them")
    if not bad.rows:
        size = call.journal.size()
        yield row("journal", "ok", f"{size:,} bytes, every byte of it in an event")


def _place(reason: str, where: str) -> tuple[str, str, str]:
    """Status, text and remedy for what `ev verify` reports."""
    if "torn tail" in reason:
        return "note", where, "nothing to do: the next event ends it"
    if "future" in reason:
        return "problem", where, "set the clock of the machine that wrote it"
    if "fork" in reason:
        return "problem", where, "both are kept; a copy of a store must not write: see coord(7)"
    return "problem", where, "readers skip it; if it was an event, `ev sync` may bring it back"


def lock(call: Call) -> Iterator[Json]:
    """Can the store's lock be had?"""
    with call.journal.store.lock(LOCK_S):
        pass
    yield row("lock", "ok", "free")


def clock(call: Call) -> Iterator[Json]:
    """Is this machine's clock behind the events?"""
    last, now = stamp.load(call.journal.store), world.now_ms()
    ahead = 0 if last is None else (last >> 16) - now
    if ahead > ids.AHEAD_MS:
        what = f"behind the newest event here by {age_ms(ahead)}"
        yield row("clock", "problem", what, "set the clock of this machine: `timedatectl`")
    else:
        yield row("clock", "ok", world.format_ts(now))


def disk(call: Call) -> Iterator[Json]:
    """Is there room for events?"""
    free, inodes = machine.room(call.journal.store.path)
    size = f"{free / 1e9:,.1f} GB free"
    if free < machine.LEAST_ROOM or inodes == 0:
        what = "no free inode" if inodes == 0 else f"{free / 1e6:,.0f} MB free"
        yield row("disk", "problem", what, "make room: a full disk refuses events")
    else:
        yield row("disk", "ok", size)


def index(call: Call) -> Iterator[Json]:
    """Are the views that SQLite keeps sound? They can be deleted at any time."""
    opened = call.journal.store
    views = [view for view in opened.listdir("local") if view.endswith(".sqlite")]
    for view in views:
        path = os.path.join(opened.path, "local", view)
        if fault := machine.damage(path):
            yield row("index", "problem", f"local/{view}: {fault}", f"rm {path}; it is made again")
    if not views:
        yield row("index", "ok", "not made yet")
    elif not any(machine.damage(os.path.join(opened.path, "local", view)) for view in views):
        yield row("index", "ok", f"{len(views)} views")


def remote(call: Call) -> Iterator[Json]:
    """Is each configured remote trusted, reachable, and was it synced?"""
    names = locate.remotes(call.journal.store)
    if not names:
        yield row("remote", "ok", "none is configured; `ev sync --remote NAME` begins to sync")
    for configured in names:
        yield from _guarded(partial(_remote, name=configured), call, "remote")


def _remote(call: Call, name: str) -> Iterator[Json]:
    from coord_kernel.sync import bus, remotes, settings

    opened, is_live = call.journal.store, settings.is_live(name)
    if is_live:
        live = remotes.live(opened, name)
        try:
            live.look()
        finally:
            live.close()
    else:
        from coord_kernel.sync.wire import Wire

        Wire(opened, settings.remote(opened), REMOTE_S).look()
    last = remotes.synced(opened, name)
    when = f"synced {age_ms(age(last, world.now_ms()))} ago" if last else "never synced"
    if is_live:
        with bus.connected(opened) as mirror:
            when += "" if mirror else "; no mirror runs, so commands connect by themselves"
    todo = "" if last else "run `ev sync`"
    yield row("remote", "ok" if last else "note", f"{settings.public(name)} answers, {when}", todo)


ALWAYS = ("claude", "codex")
"""Programs whose settings are looked at even if they are not installed here."""


def hooks(call: Call) -> Iterator[Json]:
    """Are the coding agents that are installed here set up?"""
    for program in PROGRAMS:
        check = f"hooks of {program}"
        if program not in ALWAYS and not (
            tools.on_path(program) or present(call.journal.store, program)
        ):
            continue
        try:
            work = Setup(call, program)
        except Fault as fault:
            yield row(check, "problem", *_said(fault))
            continue
        if not work.needed:
            yield row(check, "ok", " ".join(change.path for change in work.changes))
        elif work.begun:
            what = "set up, but not as this version does it or for another name"
            yield row(check, "note", what, f"see `coord setup {program} --dry-run`")
        elif tools.on_path(program):
            yield row(check, "note", "not set up", f"run `coord setup {program}`")
