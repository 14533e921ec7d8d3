"""What a moment of the past needs and no other view keeps: signs of life by time, and marks.

    chain, sign   each sign of life of a session (see `coord_kernel.rules.presence`), by its time
    rare          events that say more of a session, and those that stop something
    mark          what a person looks for in a history: what landed, failed, was asked
    minute        how many events were written in each

A view of sessions keeps their last signs only, so it cannot say how they were before. Here each
sign is a row of some 20 bytes, and the sessions at a time are their last rows before it.
"""

from __future__ import annotations

from typing import NamedTuple

from coord_envelope import codec, ids, world
from coord_envelope.event import Event
from coord_kernel.rules import control, presence
from coord_kernel.streams.stream import streams
from coord_kernel.views.past import Snapshot
from coord_kernel.views.shown import Shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterator

    from coord_kernel.rules.control import Control
    from coord_kernel.rules.presence import Session
    from coord_kernel.store.directory import Store
    from coord_kernel.streams.stream import Stream
    from coord_kernel.views.fill import Located


class Mark(NamedTuple):
    """Something that mattered."""

    ms: int
    """When: Unix milliseconds."""
    kind: str
    """landed, asked, answered, failed, died, stopped or resumed"""
    event: str
    about: str
    """The full id of an item or job; else the address of an agent, or a scope."""


MINUTE_MS = 60_000
NEVER = 1 << 52
MOST_MINUTES = 10_000
"""The time of an event whose stamp is none."""
_MARKED = {"patrol.reclaimed": "died", "control.stopped": "stopped", "control.resumed": "resumed"}
_CHAINS = "SELECT no, session, name FROM chain WHERE begun <= ?"
_LAST = "SELECT ms, seq FROM sign WHERE chain = ? AND ms <= ? ORDER BY ms DESC, seq DESC LIMIT 1"
_BEATS = """SELECT session, event, max(ms) FROM rare
            WHERE kind = 'agent.seen' AND ms <= ? GROUP BY session"""
_RARE = "SELECT session, event FROM rare WHERE kind = ? AND ms <= ?"
_MARKS = "SELECT ms, kind, event, about FROM mark WHERE ms > ? AND ms <= ? ORDER BY ms DESC LIMIT ?"
_KIND = """SELECT ms, kind, event, about FROM mark
           WHERE kind = ? AND ms <= ? ORDER BY ms DESC, event DESC LIMIT ?"""
_MINUTES = """SELECT (minute - ?) / ?, sum(n) FROM minute
              WHERE minute >= ? AND minute <= ? GROUP BY 1"""


class History(Shown):
    """Of the durable and the live events of a store, as of the last `refresh`."""

    tables = """
    CREATE TABLE chain (no INTEGER PRIMARY KEY, session TEXT, name TEXT, begun INTEGER,
                        UNIQUE (session, name));
    CREATE TABLE sign (chain INTEGER, ms INTEGER, seq INTEGER, PRIMARY KEY (chain, ms, seq))
        WITHOUT ROWID;
    CREATE TABLE rare (kind TEXT, session TEXT, ms INTEGER, id TEXT, event BLOB,
                       PRIMARY KEY (kind, session, ms, id)) WITHOUT ROWID;
    CREATE TABLE mark (kind TEXT, ms INTEGER, event TEXT, about TEXT,
                       PRIMARY KEY (kind, ms, event)) WITHOUT ROWID;
    CREATE INDEX marked ON mark (ms);
    CREATE TABLE minute (minute INTEGER PRIMARY KEY, n INTEGER);
    """

    def __init__(self, store: Store) -> None:
        version = f"1 {presence.version} {control.version}"
        super().__init__(store, "history", version)

    def streams(self, known: Collection[str]) -> list[Stream]:
        return streams(self._store, live=True)

    def add(self, db: sqlite3.Connection, located: Iterator[Located]) -> None:
        chains = {
            (session, name): no for no, session, name in db.execute(_CHAINS, (NEVER,)).fetchall()
        }
        begun: dict[int, int] = {}
        signs: list[tuple[int, int, int]] = []
        rare: list[tuple[object, ...]] = []
        marks: list[tuple[object, ...]] = []
        minutes: dict[int, int] = {}
        redacted = self._redactions.targets
        for event, _, _ in located:
            if self._trusted or event["event_id"] in redacted:
                event = self._shown(event)
            ms, kind = _ms(event), event["type"]
            space = kind.partition(".")[0]
            minutes[ms // MINUTE_MS] = minutes.get(ms // MINUTE_MS, 0) + 1
            for session in presence.entities(event):
                if space in ("session", "patrol"):
                    if kind != "patrol.nudged":
                        rare.append(_row(kind, session, ms, event))
                    continue
                key = session, f"{event['writer']} {space}"
                no = chains.get(key)
                if no is None:
                    no = chains[key] = len(chains) + 1
                    db.execute("INSERT INTO chain VALUES (?, ?, ?, ?)", (no, *key, ms))
                begun[no] = min(ms, begun.get(no, ms))
                signs.append((no, ms, event["seq"]))
                if kind == "agent.seen" and event["body"].get("status") in presence.STATUSES:
                    rare.append(_row(kind, session, ms, event))
            if tuple(control.entities(event)):
                rare.append(_row("control", "", ms, event))
            if marked := mark_of(event):
                marks.append((marked[0], ms, event.id, marked[1]))
        db.executemany("INSERT OR IGNORE INTO sign VALUES (?, ?, ?)", signs)
        rows = [(first, no, first) for no, first in begun.items()]
        db.executemany("UPDATE chain SET begun = ? WHERE no = ? AND begun > ?", rows)
        db.executemany("INSERT OR IGNORE INTO rare VALUES (?, ?, ?, ?, ?)", rare)
        db.executemany("INSERT OR IGNORE INTO mark VALUES (?, ?, ?, ?)", marks)
        more = "INSERT INTO minute VALUES (?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n"
        db.executemany(more, list(minutes.items()))

    def sessions(self, then_ms: int) -> Snapshot:
        """The sessions at a time, as `coord_kernel.rules.presence` folds them.

        Without what patrols told them, which says nothing of how they are.
        """
        states: dict[str, Session] = {}
        for layer in self._layers:
            for no, session, chain in layer.execute(_CHAINS, (then_ms,)).fetchall():
                last = layer.execute(_LAST, (no, then_ms)).fetchone()
                if last:
                    signs = _state(states, session)["signs"]
                    sign = [last[1], world.format_ts(last[0])]
                    signs[chain] = max(signs.get(chain, [0, ""]), sign)
        beats = [row[:2] for row in self.query(_BEATS, then_ms)]
        kinds = ("session.started", "session.ended", "patrol.noticed")
        others = [row for kind in kinds for row in self.query(_RARE, kind, then_ms)]
        for session, packed in [*beats, *others]:
            presence.step(_state(states, session), _event(packed))
        return Snapshot(presence, (), states)

    def control(self, then_ms: int) -> Control:
        """What stopped whom at a time."""
        state = control.nothing()
        for _, packed in self.query(_RARE, "control", then_ms):
            control.step(state, _event(packed))
        return state

    def newest(self, kind: str, until_ms: int, most: int) -> list[Mark]:
        """The newest marks of a kind up to a time, newest first."""
        rows = sorted({Mark(*row) for row in self.query(_KIND, kind, until_ms, most)}, reverse=True)
        return rows[:most]

    def marks(self, after_ms: int, until_ms: int, most: int) -> list[Mark]:
        """The newest marks between two times, newest first."""
        rows = {Mark(*row) for row in self.query(_MARKS, after_ms, until_ms, most)}
        return sorted(rows, reverse=True)[:most]

    def density(self, begin_ms: int, end_ms: int, most: int) -> list[int]:
        """About how many events were written in each of equal parts of a time, at most so many.

        A part is a whole number of minutes.
        """
        first, last = begin_ms // MINUTE_MS, end_ms // MINUTE_MS
        width = -(-(last - first + 1) // most)
        counts = [0] * -(-(last - first + 1) // width)
        for part, n in self.query(_MINUTES, first, width, first, last):
            counts[part] += n
        return counts


_MINUTES_OF: dict[str, int] = {}
"""How a stamp begins → Unix milliseconds of that minute. Of a million events few differ."""


def _ms(event: Event) -> int:
    ts: str = event["ts"]
    begin, digits = ts[:17], ts[17:19] + ts[20:23]
    try:
        if len(ts) != 24 or ts[19] != "." or ts[23] != "Z" or not digits.isdecimal():
            return world.parse_ts(ts)
        if begin not in _MINUTES_OF:
            if len(_MINUTES_OF) > MOST_MINUTES:
                _MINUTES_OF.clear()
            _MINUTES_OF[begin] = world.parse_ts(f"{begin}00.000Z")
        return _MINUTES_OF[begin] + int(digits)
    except (ValueError, OverflowError):
        return NEVER


def _state(states: dict[str, Session], session: str) -> Session:
    if session not in states:
        states[session] = presence.nothing(*session.split(" ", 2))
    return states[session]


def _row(kind: str, session: str, ms: int, event: Event) -> tuple[object, ...]:
    return kind, session, ms, event.id, codec.pack({**event})


def _event(packed: bytes) -> Event:
    return Event(b"", codec.unpack(packed))


def mark_of(event: Event) -> tuple[str, str] | None:
    """(kind, what it is about) of an event that matters; None for others. Pure."""
    kind, body, refs = event["type"], event["body"], event.get("refs")
    refs = refs if isinstance(refs, dict) else {}
    work, run = refs.get("work_id"), refs.get("run_id")
    if kind == "work.closed" and isinstance(work, str):
        return ("answered" if "answer" in body else "landed"), work
    if kind == "work.created" and "question" in body:
        return "asked", event.id
    if kind == "run.completed" and isinstance(run, str):
        ok = body.get("outcome") == "exit" and body.get("code") == 0
        return None if ok else ("failed", run)
    if kind in _MARKED:
        about = body.get("agent", body.get("scope", ""))
        return _MARKED[kind], about if isinstance(about, str) else ""
    return None


def id_before(ms: int) -> str:
    """A text that is greater than every event id of a time up to this one, and no later one."""
    return ids.mint((ms + 1) << 16, b"\0" * 8)
