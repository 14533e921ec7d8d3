"""What an import does: make the items, then tell of each what its record says, and say what was odd."""

from __future__ import annotations

import hashlib
import os

from coord_envelope import BadData, codec
from coord_envelope.errors import DiskFault, Refused
from coord_envelope.event import Made
from coord_envelope.secrets import refuse_secret
from coord_kernel.cli import complaints
from coord_kernel.rules import claims
from coord_kernel.store.disk import write_all
from coord_wk import fold, foreign
from coord_wk.foreign import Foreign
from coord_wk.work import Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.views.index import Index
    from coord_wk.items import Items

BATCH = 1_000
"""Records taken over under one lock."""


def take(
    call: Call, found: list[Foreign | BadData], item: Callable[[Json], Foreign], file: str
) -> None:
    """Import records that were read from a file. `item` reads a record that was imported before."""
    records = [one for one in found if isinstance(one, Foreign)]
    faults = [one for one in found if isinstance(one, BadData)]
    if faults and not records:
        raise faults[0]
    for fault in faults:
        call.fail(fault)
    ones = foreign.once(records)
    intake = _Intake(call, item)
    intake.run(ones)
    said = list(_said(ones, file))
    for line in said:
        complaints.warn(f"import: {line}")
    complaints.warn(
        f"import: {len(records)} records: {intake.counts(len(ones))}, {len(said)} reported"
    )


class _Intake:
    """First every item is made; with all ids known, the rest follows: look, compare and append under one lock."""

    def __init__(self, call: Call, item: Callable[[Json], Foreign]) -> None:
        self._call, self._item, self._work = call, item, Work(call)
        self._ids: dict[str, str] = {}
        self._items: dict[str, str] = {}
        self._created, self._changed = set[str](), set[str]()

    def run(self, ones: list[Foreign]) -> None:
        taken = [one for one in ones if not self._ours(one)]
        for act in (self._create, self._follow):
            for begin in range(0, len(taken), BATCH):
                _progress(f"import: {begin} of {len(taken)}")
                act(taken[begin : begin + BATCH])
        _progress("")

    def counts(self, items: int) -> str:
        changed = len(self._changed - self._created)
        return f"{len(self._created)} created, {changed} changed, {items - len(self._created) - changed} as before"

    def _ours(self, one: Foreign) -> bool:
        """Is it the record of an item that was made here, come back?"""
        found = self._made_here(one.name) if one.name else None
        if found:
            self._ids[one.name or ""] = found
            one.notes.append("was made here, and stays as it is")
        return found is not None

    def _made_here(self, name: str) -> str | None:
        full = (
            self._call.journal.index.refresh().resolve(name)
            if name.startswith("wk-") and len(name) == 11
            else None
        )
        return full if full and self._work.items().state(full) else None

    def _create(self, batch: list[Foreign]) -> None:
        fresh: list[Foreign] = []

        def under_lock(index: Index) -> list[Json]:
            known = index.refresh()
            fresh.extend(one for one in batch if not known.by_key("work.created", one.key))
            return [foreign.created(one) for one in fresh]

        self._append(fresh, under_lock)
        self._call.journal.index.refresh()
        self._created |= {one.key for one in fresh}
        for one in batch:
            item = self._made_of(one.key)
            if item:
                self._items[one.key] = item
                self._ids |= {one.name: item} if one.name else {}

    def _made_of(self, key: str) -> str | None:
        place = self._call.journal.index.by_key("work.created", key)
        return next(iter(fold.entities(place.event)), None) if place else None

    def _follow(self, batch: list[Foreign]) -> None:
        told: list[Foreign] = []

        def under_lock(index: Index) -> list[Json]:
            items, drafts = self._work.items(), _Drafts()
            index.refresh()
            for one in batch:
                if one.key in self._items:
                    self._tell(one, items, index, drafts)
                    told.extend([one] * (len(drafts.made) - len(told)))
            return drafts.made

        self._append(told, under_lock)

    def _tell(self, one: Foreign, items: Items, index: Index, drafts: _Drafts) -> None:
        item = self._items[one.key]
        bodies = [
            place.event["body"] for each in items.known(item)["dag"] if (place := index.by_id(each))
        ]
        version, records = foreign.restored(one.source, bodies)
        then = foreign.once(map(self._item, records))[0] if records else _as_made(one, item, index)
        self._learn(one, then)
        ends = {
            item,
            *(self._ids[src] for src, *_ in (*one.edges, *then.edges) if src in self._ids),
        }
        found = list(
            foreign.steps(one, then, item, {end: items.known(end) for end in ends}, self._ids)
        )
        if not codec.same(records, [each.record for each in (one, *one.also)]):
            found += [(item, "updated", body) for body in foreign.origins(one, version + 1)]
        for n, (whom, what, body) in enumerate(found):
            digest = hashlib.sha256(codec.dumps(body)).hexdigest()[:16]
            drafts.add(items, whom, what, body, f"import:{one.key}:{version + 1}.{n}:{digest}")
        if found:
            self._changed.add(one.key)

    def _learn(self, one: Foreign, then: Foreign) -> None:
        """Look up what its records name, and report what is nowhere."""
        for edge in (*one.edges, *then.edges):
            for name in (edge[0], edge[2]):
                if name not in self._ids:
                    found = self._made_of(f"{one.source}:{name}") or self._made_here(name)
                    if found:
                        self._ids[name] = found
                    elif edge in one.edges:
                        one.reports.append(f"{' '.join(edge)}: {name} is not here, kept")

    def _append(self, ones: list[Foreign], drafts: Callable[[Index], list[Json]]) -> None:
        self._call.journal.index.refresh()  # a long way to go is gone before the lock is taken
        # A credential is said, not refused: in the other program's file it stands already.
        try:
            answers = self._call.journal.append_each(self._call.actor(), drafts, allow_secret=True)
        except DiskFault as fault:
            self._call.put(fault.accepted)
            raise
        for one, answer in zip(ones, answers, strict=True):
            self._call.tell(one.where, answer)
        self._call.out.flush()


class _Drafts:
    """Drafts of one append, each of which has seen the one before it of its item."""

    def __init__(self) -> None:
        self.made: list[Json] = []
        self._last: dict[str, Made] = {}

    def add(self, items: Items, item: str, what: str, body: Json, key: str) -> None:
        label = str(len(self.made))
        base = [self._last[item]] if item in self._last else claims.base(items.known(item))
        self._last[item] = Made(label)
        draft = {
            "type": f"work.{what}",
            "refs": {"work_id": item},
            "base": base,
            "body": body,
            "idempotency_key": key,
        }
        self.made.append(draft | {"$as": label})


def _as_made(one: Foreign, item: str, index: Index) -> Foreign:
    """What is known to be taken over of the record where an import was cut short: the item's first event."""
    place = index.by_id(item)
    return Foreign(one.source, one.name, "", {}, place.event["body"] if place else {})


def _said(ones: list[Foreign], file: str) -> Iterator[str]:
    """What is to be reported: of each record, of all together, and what is so of many once."""
    notes: dict[str, list[str]] = {}
    for one in (each for first in ones for each in (first, *first.also)):
        try:
            refuse_secret(codec.dumps(one.record))
        except Refused as fault:
            one.reports.append(f"{fault.what}, imported all the same")
        yield from (f"{one.where}: {what}" for what in one.reports)
        for note in one.notes:
            notes.setdefault(note, []).append(one.where)
    waits: dict[str, list[str]] = {one.name: [] for one in ones if one.name}
    for src, relation, dst in (
        edge for one in ones for edge in one.edges if {edge[0], edge[2]} <= waits.keys()
    ):
        if relation == "blocked_by":
            waits[src].append(dst)
        elif relation == "parent":
            waits[dst].append(src)
    yield from (f"{file}: cycle: {' → '.join(way)}" for way in foreign.circles(waits))
    for note, where in notes.items():
        yield f"{where[0]}: {note}" + (f" ({len(where)} times)" if where[1:] else "")


def _progress(text: str) -> None:
    if os.isatty(2) and not os.isatty(1):  # there the events show it
        write_all(2, f"\r\x1b[K{text}".encode())
