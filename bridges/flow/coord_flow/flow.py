"""The controller of flows: what it sees of a store, plans and does.

Everything is written by the tools, as `bridge:flow`, with a key that names what was judged: done
again, by this controller or another one, it changes nothing. A convoy lands in two steps, the
close and the announcement: if it dies between them, the next look completes them. Where the
store has a remote its arbiter confirms the close first, so of several stores one lands it.
"""

from __future__ import annotations

import os

from coord_envelope import world
from coord_envelope.errors import BadData, No
from coord_envelope.fields import Where
from coord_envelope.filter import Filter
from coord_flow import gates, wisps
from coord_flow import plan as planning
from coord_flow.draft import landed, late, question
from coord_flow.look import AGENT, Look, World
from coord_kernel.cli.person import person
from coord_kernel.cli.tools import Tools
from coord_kernel.store import locate
from coord_kernel.views.presence import Stops
from coord_kernel.views.view import View
from coord_run.jobs import Jobs
from coord_wk.items import Items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_flow.elsewhere import Elsewhere
    from coord_kernel.cli.call import Call
    from coord_kernel.controller import Act, Plan

_NAMESPACES = ("work", "control", "convoy", "flow")
_ENDS = ("run.completed", "run.cancelled", "run.expired")


class Flow:
    """It acts as one agent, bridge:flow, whoever started it."""

    def __init__(self, call: Call, elsewhere: Elsewhere, programs: str | None = None) -> None:
        self._call, self._journal, self._elsewhere = call, call.journal, elsewhere
        self._store = store = call.journal.store
        self._items, self._jobs = View(store, Items.fold), View(store, Jobs.fold)
        self._stops, self._matches = Stops(store), Matches(call)
        self._programs = programs and os.path.realpath(programs)
        self._root = locate.root(store.path)
        self._tools = Tools(AGENT, self._root)
        self._warned = set[str]()
        self._settled = set[str]()

    def wakes(self, event: Event) -> bool:
        """Can the event change the plan?"""
        kind = event["type"]
        return kind.partition(".")[0] in _NAMESPACES or kind in _ENDS or self._matches.wanted(event)

    def plan(self) -> Plan:
        return self._planned(None)

    def still(self, act: Act) -> bool:
        """Would `plan` have it now? Reads no convoy but the act's: there may be thousands."""
        return self._planned(planning.convoys(act)).has(act)

    def _planned(self, convoys: Collection[str] | None) -> Plan:
        items = Items.current(self._items)
        jobs = Jobs.current(self._jobs)
        look = Look(items, jobs, self._items, self._world(items))
        seen = look.seen(self._stops.control(), convoys)
        self._warn(seen["gates"])
        return planning.plan(seen, world.now_ms())

    def _world(self, items: Items) -> World:
        look = Look(items, None, self._items, None)  # type: ignore[arg-type]
        self._matches.refresh(look.waited())
        index = self._journal.index.refresh()
        seen = World(
            lambda kind, key: index.by_key(kind, key) is not None,
            lambda item, _: self._matches.first(item),
            self._elsewhere.item,
        )
        seen.programs = self._programs is not None
        seen.stores, seen.settled = self._elsewhere.names, self._settled
        seen.own = set(self._store.replicas())
        seen.replica = self._replica
        return seen

    def _replica(self, event: str) -> str:
        stored = self._journal.index.by_id(event)
        return str(stored.event["writer"]).rpartition("~")[2] if stored else ""

    def _warn(self, opened: list[planning.Gate]) -> None:
        """Say once of each gate that needs a program that none may be run."""
        needy = [gate for gate in opened if gate["kind"] in (gates.COMMAND, gates.CHECK)]
        for gate in needy if self._programs is None else ():
            if gate["id"] not in self._warned:
                self._warned.add(gate["id"])
                what = f"{gate['id']}: waits for a program: {gate['fields'].get('gate.id')}"
                self._call.warn(f"{what}; name where programs may be run from: --programs DIR")

    def rows(self) -> Iterator[Json]:
        """What it would do now."""
        for act in self.plan().acts:
            about = act.about
            item = about.get("item") or about.get("gate", about.get("convoy", {})).get("id")
            row = {"act": act.kind, "work_id": item, "title": self._call.title(item)}
            yield row | {n: about[n] for n in ("note", "why") if about.get(n)} | {"key": act.key}

    def act(self, act: Act) -> None:
        """Do it, unless it was done. Raises Fault."""
        acts: dict[str, Callable[[Act], None]] = {
            "open": self._open,
            "hold": self._hold,
            "ask": self._ask,
            "defer": self._defer,
            "try": self._try,
            "again": self._again,
            "land": self._land,
            "reopen": self._reopen,
            "close": self._close,
            "squash": self._squash,
            "late": self._late,
        }
        try:
            acts[act.kind](act)
        except No:
            if self.still(act):  # else somebody else did it
                raise

    def _put(self, events: list[Json]) -> None:
        """Print those that were written now."""
        new = (str(event["event_id"]) for event in events if "$dup" not in event)
        self._call.put(filter(None, map(self._call.event, new)))

    def _apply(self, *operations: Json) -> None:
        self._put(self._tools.run("wk", "apply", "--atomic", lines=operations))

    def _open(self, act: Act) -> None:
        how, note = act.about["resolution"] or "done", str(act.about["note"])[:4_000]
        close = {"op": "close", "id": act.about["item"], "resolution": how, "note": note}
        self._apply({**close, "force": True, "idempotency_key": act.key})

    def _hold(self, act: Act) -> None:
        evidence = act.key.rpartition(":")[2]
        words = {"hold": act.about["why"][:400], "fields.gate.held": evidence}
        update = {"op": "update", "id": act.about["item"], "set": words}
        self._apply({**update, "idempotency_key": act.key})

    def _defer(self, act: Act) -> None:
        words = {"defer_until": act.about["until"]}
        update = {"op": "update", "id": act.about["item"], "set": words}
        self._apply({**update, "idempotency_key": act.key})

    def _ask(self, act: Act) -> None:
        gate = act.about["gate"]
        to = gate["fields"].get("gate.to") or person(self._store)
        text, words = question(gate, act.about["why"], act.about["options"])
        argv = ("wk", "ask", f"--to={to}", f"--key={act.key}", f"--blocks={gate['id']}", *words)
        self._put(self._tools.run(*argv, "--", text))

    def _try(self, act: Act) -> None:
        gate = act.about["gate"]
        name = str(gate["fields"].get("gate.id", ""))
        program = self._program(name)
        if program is None:
            held = f"{name} is not a program in {self._programs}"
            words = {"hold": held[:400]}
            self._apply({"op": "update", "id": gate["id"], "set": words})
            return
        limit = gates.spanned(gate["fields"], "gate.limit", gates.LIMIT_MS)
        options = (f"--key={act.key}", f"--timeout={limit}ms", f"--work={gate['id']}", "--detach")
        about = gate["step"] or gate["id"]
        env = (f"--env=COORD_WORK={about}", f"--env=COORD_GATE={gate['id']}")
        self._put(self._tools.run("run", "exec", *options, *env, "--", program))

    def _program(self, name: str) -> str | None:
        """The program of this name in the directory of programs; None if there is none."""
        assert self._programs is not None
        for home in (self._programs, self._root):
            path = os.path.realpath(os.path.join(home, name))
            inside = os.path.commonpath((path, self._programs)) == self._programs
            if inside and path != self._programs and os.path.isfile(path):
                return path
        return None

    def _again(self, act: Act) -> None:
        about, why = act.about, act.about["why"][:400]
        reopen = {"op": "reopen", "id": about["item"], "reason": why, "idempotency_key": act.key}
        words = {"fields.gate.attempt": about["attempt"]}
        update = {"op": "update", "id": about["gate"], "set": words}
        self._apply(reopen, {**update, "idempotency_key": act.key})

    def _reopen(self, act: Act) -> None:
        reopen = {"op": "reopen", "id": act.about["item"], "reason": act.about["why"]}
        self._apply({**reopen, "idempotency_key": act.key})

    def _close(self, act: Act) -> None:
        note = "all its steps are closed"
        close = {"op": "close", "id": act.about["item"], "note": note, "force": True}
        self._apply(close)

    def _squash(self, act: Act) -> None:
        self._apply(*wisps.squash(Items.current(self._items), act.about["item"]))

    def _land(self, act: Act) -> None:
        convoy = act.about["convoy"]
        if not convoy["event"]:
            sure = ["--require=confirmed"] if locate.remote(self._store) else []
            note = f"--note={len(convoy['members'])} members are closed"
            try:
                self._put(self._tools.run("wk", "close", *sure, note, convoy["id"]))
            except No:
                if sure:
                    return  # another store lands it
                raise
        items = Items.current(self._items)
        detail: Json = {**items.detail(convoy["id"])}
        self._write(landed(detail, convoy["members"], act.key))

    def _late(self, act: Act) -> None:
        items = Items.current(self._items)
        root = next(reversed(items.ancestors(act.about["item"])), act.about["item"])
        item: Json = {**items.detail(act.about["item"])}
        top: Json = {**items.detail(root)}
        self._write(late(item, top, act.about["row"], act))

    def _write(self, draft: Json) -> None:
        with self._journal.transaction({"agent_id": AGENT}) as t:
            # Two controllers see two states: the first event counts.
            index = self._journal.index.refresh()
            if index.by_key(draft["type"], draft["idempotency_key"]) is None:
                t.add(draft)
        self._call.put(t.events)


class Matches:
    """The events that gates wait for, as far as they were found: read once."""

    def __init__(self, call: Call) -> None:
        self._journal = call.journal
        self._gates: dict[str, Json] = {}
        self._first: dict[str, str] = {}
        self._cursor: dict[str, int] | None = None

    def refresh(self, waited: list[tuple[str, Json]]) -> None:
        """Look for what these gates wait for: among what is new, or since the gate was made."""
        new = {item: fields for item, fields in waited if item not in self._gates}
        old = {item: f for item, f in waited if item in self._gates and item not in self._first}
        end = self._journal.end(live=False)
        self._look(old, self._cursor, "")
        if new:
            self._look(new, None, min(str(fields["since"]) for fields in new.values()))
        self._gates, self._cursor = dict(waited), end

    def _look(self, wanted: dict[str, Json], after: dict[str, int] | None, since: str) -> None:
        if not wanted:
            return
        types = [str(fields.get("gate.id", "")) for fields in wanted.values()]
        for event in self._journal.replay(_filter(types, since), after):  # type: ignore[arg-type]
            for item, fields in wanted.items():
                if item in self._first or not fits(event, fields):
                    continue
                if "$trust" not in self._journal.shown(event):
                    self._first[item] = event.id

    def first(self, item: str) -> str:
        """The first event that a gate waits for; empty: none came."""
        return self._first.get(item, "")

    def wanted(self, event: Event) -> bool:
        """Does a gate wait for this event?"""
        return any(fits(event, fields) for fields in self._gates.values())


def _filter(types: list[str], since: str) -> Filter:
    try:
        return Filter(types=types, since=since or None)
    except BadData:
        return Filter(since=since or None)


def fits(event: Event, fields: Json) -> bool:
    """Is it of the type that a gate names, since then, with the values that it names?"""
    from fnmatch import fnmatchcase

    named = str(fields.get("gate.id", ""))
    if event["ts"] < fields["since"] or not fnmatchcase(event["type"], named):
        return False
    where = {k[11:]: v for k, v in fields.items() if k.startswith("gate.where.")}
    try:
        return Where(where)(event["body"])
    except ValueError:
        return False
