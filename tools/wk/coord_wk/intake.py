"""An import: create the items, bring them to what their records say, and report differences.

    1. Issues of items that were created here are left alone.
    2. Every other issue that has no item gets one. Then the items of all ids are known.
    3. For each issue the record of the last import is restored from its item's events, and what
       changed since is appended (`foreign.steps`), then the record itself.

Each of 2 and 3 takes one lock per batch: it looks, compares and appends under it. Every event has
an idempotency key made of the issue, the version and the body, so that an import that was cut short
is completed by the next, and two at the same time write once.
"""

from __future__ import annotations

import hashlib
import os

from coord_envelope import BadData, codec
from coord_envelope.errors import Refused
from coord_envelope.secrets import refuse_secret
from coord_kernel.rules import claims
from coord_kernel.store.disk import write_all
from coord_wk import fold, foreign
from coord_wk.foreign import Foreign, brief
from coord_wk.work import Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coord_envelope import Event, Fault
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.journal.transaction import Transaction
    from coord_wk.items import Items

    Answer = tuple[str, Event | Fault]

BATCH = 1_000
"""Issues imported under one lock."""


def take(
    call: Call, results: list[Foreign | BadData], read: Callable[[Json], Foreign], file: str
) -> None:
    """Import what was read from a file. `read` reads the record of an earlier import."""
    issues = [result for result in results if isinstance(result, Foreign)]
    faults = [result for result in results if isinstance(result, BadData)]
    if faults and not issues:
        raise faults[0]
    for fault in faults:
        call.fail(fault)
    distinct = foreign.distinct(issues)
    intake = _Intake(call, read)
    intake.run(distinct)
    warnings = list(_warnings(distinct, file))
    for warning in warnings:
        call.warn(f"import: {warning}")
    counts = f"{intake.counts(len(distinct))}, {len(warnings)} reported"
    call.warn(f"import: {len(issues)} records: {counts}")


class _Intake:
    """The import of the issues of one file."""

    def __init__(self, call: Call, read: Callable[[Json], Foreign]) -> None:
        self._call, self._read, self._index = call, read, call.journal.index
        # A credential is reported, not refused: it is in the other program's file already.
        self._work = Work(call, allow_secret=True)
        self._ids: dict[str, str] = {}
        """Foreign id → item."""
        self._items: dict[str, str] = {}
        """Key of an issue → item."""
        self._created, self._changed = set[str](), set[str]()

    def run(self, issues: list[Foreign]) -> None:
        taken = [issue for issue in issues if not self._skip(issue)]
        for issue in taken:
            self._shorten(issue)
        for act in (self._create, self._change):
            for begin in range(0, len(taken), BATCH):
                _progress(f"import: {begin} of {len(taken)}")
                self._index.refresh()  # a long way to go is gone before the lock is taken
                with self._call.printing_accepted(), self._work.transaction() as (t, items):
                    answers = list(act(taken[begin : begin + BATCH], t, items))
                self._call.tell_each(answers)
        _progress("")

    def counts(self, items: int) -> str:
        created, changed = len(self._created), len(self._changed - self._created)
        return f"{created} created, {changed} changed, {items - created - changed} unchanged"

    def _shorten(self, issue: Foreign) -> None:
        """Put a description that is too long for an event into a blob."""
        if blob := self._work.shortened(issue.words, "desc"):
            issue.words["desc"] = blob

    def _skip(self, issue: Foreign) -> bool:
        """Is it the record of an item that was created here, exported and now back?"""
        item = self._created_here(issue.name) if issue.name else None
        if item:
            self._ids[issue.name or ""] = item
            issue.notes.append("created here, left as it is")
        return item is not None

    def _created_here(self, name: str) -> str | None:
        if name.startswith("is-") and len(name) == 29:
            name = name[3:].upper()  # as `wk export --to tbd` names it
        elif not name.startswith("wk-") or len(name) != 11:
            return None
        item = self._index.refresh().resolve(name)
        return item if item and self._work.items().state(item) else None

    def _create(self, issues: list[Foreign], t: Transaction, items: Items) -> Iterator[Answer]:
        self._index.refresh()
        for issue in issues:
            item = self._item_of(issue.key)
            if item is None:
                answer = t.attempt(foreign.created(issue))
                self._created.add(issue.key)
                yield issue.where, answer
                item = next(iter(fold.entities(answer))) if isinstance(answer, dict) else None
            if item:
                self._items[issue.key] = item
                self._ids |= {issue.name: item} if issue.name else {}

    def _item_of(self, key: str) -> str | None:
        place = self._index.by_key("work.created", key)
        return next(iter(fold.entities(place.event)), None) if place else None

    def _change(self, issues: list[Foreign], t: Transaction, items: Items) -> Iterator[Answer]:
        self._index.refresh()
        last: dict[str, str] = {}
        for issue in issues:
            if issue.key not in self._items:
                continue
            version, changes = self._steps(issue, items)
            for number, (item, verb, body) in enumerate(changes):
                digest = hashlib.sha256(codec.dumps(body)).hexdigest()[:16]
                draft = {
                    "type": f"work.{verb}",
                    "refs": {"work_id": item},
                    "base": [last[item]] if item in last else claims.base(items.known(item)),
                    "body": body,
                    "idempotency_key": f"import:{issue.key}:{version}.{number}:{digest}",
                }
                answer = t.attempt(draft)
                if isinstance(answer, dict):
                    last[item] = answer.id
                self._changed.add(issue.key)
                yield issue.where, answer

    def _steps(self, issue: Foreign, items: Items) -> tuple[int, list[foreign.Step]]:
        """The version that this import writes, and what changes for it."""
        item = self._items[issue.key]
        events = [self._index.by_id(event_id) for event_id in items.known(item)["dag"]]
        bodies = [place.event["body"] for place in events if place]
        version, records = foreign.restored(issue.source, bodies)
        if records:
            then = foreign.distinct(map(self._read, records))[0]
            foreign.as_it_was(then, items.known(item))
            self._shorten(then)
        else:  # an import was cut short: the item's first event is all there is
            place = self._index.by_id(item)
            words = place.event["body"] if place else {}
            then = Foreign(issue.source, issue.name, "", {}, words | _described(words))
        self._learn(issue, then)
        sources = (src for src, *_ in (*issue.edges, *then.edges))
        ends = {item, *(self._ids[src] for src in sources if src in self._ids)}
        states = {end: items.known(end) for end in ends}
        changes = list(foreign.steps(issue, then, item, states, self._ids))
        if not codec.same(records, [each.record for each in (issue, *issue.also)]):
            changes += [(item, "updated", body) for body in foreign.origins(issue, version + 1)]
        return version + 1, changes

    def _learn(self, issue: Foreign, then: Foreign) -> None:
        """Look up the ids that its records name, and report those that do not exist here."""
        for edge in (*issue.edges, *then.edges):
            for name in (edge[0], edge[2]):
                if name in self._ids:
                    continue
                item = self._item_of(f"{issue.source}:{name}") or self._created_here(name)
                if item:
                    self._ids[name] = item
                elif edge in issue.edges:
                    issue.notes.append(f"{edge[1]} {brief(name)}: not here, kept")


def _described(body: Json) -> Json:
    """The description of the body of a `work.created`, if that is in a blob."""
    return {"desc": {"blob": body["blob"]}} if "blob" in body else {}


def _warnings(issues: list[Foreign], file: str) -> Iterator[str]:
    """Of each record, of all together, and once what many share."""
    notes: dict[str, list[str]] = {}
    for issue in (each for first in issues for each in (first, *first.also)):
        try:
            refuse_secret(codec.dumps(issue.record))
        except Refused as fault:
            issue.reports.append(f"{fault.what}, imported anyway")
        yield from (f"{issue.where}: {report}" for report in issue.reports)
        for note in dict.fromkeys(issue.notes):
            notes.setdefault(note, []).append(issue.where)
    waits: dict[str, list[str]] = {issue.name: [] for issue in issues if issue.name}
    for src, relation, to in (edge for issue in issues for edge in issue.edges):
        if src in waits and to in waits and relation == "blocked_by":
            waits[src].append(to)
        elif src in waits and to in waits and relation == "parent":
            waits[to].append(src)
    yield from (f"{file}: cycle: {' → '.join(cycle)}" for cycle in foreign.cycles(waits))
    for note, where in notes.items():
        yield f"{where[0]}: {note}" + (f" ({len(where)} times)" if where[1:] else "")


def _progress(text: str) -> None:
    if os.isatty(2) and not os.isatty(1):  # on a terminal the events show it
        write_all(2, f"\r\x1b[K{text}".encode())
