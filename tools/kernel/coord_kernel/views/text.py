"""Full-text search: the entities whose texts have some words, by an index beside their view.

    texts = Texts(store, fold).refresh()
    for name in texts.matching(entities, words("login saf*")): ...

`entities` are the `Entities` of the same fold, which says besides what a view needs of it:

    texts(event)              (entity, part, text) …: what an event says about an entity, in parts
                              that have short names, such as title
    says(state, event_id, part)
                              does the entity still say it? A title that was replaced is not found

Both are pure and total; `texts` is given tombstones in place of redacted events, and no text of a
redacted event is ever in the file (see `shown`).

1. Each part of each event is a document, which is only added. So an event costs its own text,
   however much was said about the entity before.
2. A document's number is the stamp of its event, and 4 bits more to tell those of one stamp apart:
   16 at most, what does not fit is taken for older than everything. So SQLite finds the newest
   documents first without sorting, and a search costs what is read of its answer.
3. FTS5 keeps which words stand where, not the text. Words are runs of letters and digits; case and
   accents do not count.
4. Of several words, each may stand in another document of the entity. The documents of the longest
   word, mostly the rarest, are gone through; the others are looked up among those of its entity.

The file is made when something is first searched for, and disposable as every view is.
"""

from __future__ import annotations

from coord_envelope import ids
from coord_envelope.errors import Unreachable
from coord_kernel.views.shown import Shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any, Protocol, Self

    from coord_envelope.event import Event
    from coord_kernel.store.directory import Store
    from coord_kernel.views.entities import Entities
    from coord_kernel.views.fill import Located

    class Spoken(Protocol):
        """A fold whose entities have texts."""

        name: str
        version: str

        def texts(self, event: Event) -> Iterable[tuple[str, str, str]]: ...
        def says(self, state: Any, event_id: str, part: str) -> bool: ...


PAGE, MOST = 64, 4096
"""Documents that are asked for at once: at first, and when many were not enough."""
SAME = 16
_STAMP = (1 << 58) - 1
_FOUND = """SELECT no, entity, id, part FROM text JOIN doc ON no = text.rowid
            WHERE text MATCH ? AND text.rowid <= ? ORDER BY text.rowid DESC LIMIT ?"""
_AMONG = """SELECT id, part FROM doc CROSS JOIN text ON text.rowid = no
            WHERE entity = ? AND text MATCH ?"""
_TAKEN = "SELECT no, id, part FROM doc WHERE no >= ? AND no < ?"
_OLDEST = "SELECT min(coalesce(min(no), 0), 0) - 1 FROM doc"


class Texts(Shown):
    """The texts of a fold's entities, as of the last `refresh`."""

    tables = """
    CREATE TABLE doc (no INTEGER PRIMARY KEY, entity TEXT, id TEXT, part TEXT);
    CREATE INDEX about ON doc (entity);
    CREATE VIRTUAL TABLE text USING fts5(words, content='', columnsize=0,
                                         tokenize='unicode61 remove_diacritics 2');
    """

    def __init__(self, store: Store, fold: Spoken) -> None:
        super().__init__(store, f"{fold.name}-text", f"{fold.version}.1")  # .1: of the tables
        self._fold = fold

    def refresh(self) -> Self:
        """Read what is new. Raises Unreachable if SQLite was built without FTS5."""
        from coord_envelope.platform import sqlite3

        memory = sqlite3.connect(":memory:")
        known = "SELECT 1 FROM pragma_module_list WHERE name = 'fts5'"
        if not memory.execute(known).fetchone():
            raise Unreachable("no full-text search: the SQLite of this Python has no FTS5")
        memory.close()
        return super().refresh()

    def add(self, db: sqlite3.Connection, located: Iterator[Located]) -> None:
        redacted = self._redactions.targets
        for event, _, _ in located:
            shown = self._redactions.apply(event) if event["event_id"] in redacted else event
            for entity, part, text in self._fold.texts(shown):
                number = _free(db, event["event_id"], part)
                if number is not None:
                    row = (number, entity, event["event_id"], part)
                    db.execute("INSERT INTO doc VALUES (?, ?, ?, ?)", row)
                    db.execute("INSERT INTO text (rowid, words) VALUES (?, ?)", (number, text))

    def matching(self, entities: Entities, words: Sequence[str]) -> Iterator[str]:
        """The names of the entities that say all these words, each once.

        In the order of the last time that the longest word was said, the newest first. Without
        words: none.
        """
        if not words:
            return
        first, *others = sorted(words, key=len, reverse=True)
        seen = set[str]()
        for entity, event_id, part in self._found(first):
            state, same = entities.look(entity)
            if state is None or same[0] in seen or not self._fold.says(state, event_id, part):
                continue
            if all(self._said(state, same, word) for word in others):
                seen.add(same[0])
                yield same[0]

    def _found(self, word: str) -> Iterator[tuple[str, str, str]]:
        """(entity, event, part) of the documents with a word, the newest first."""
        last, page = (1 << 63) - 1, PAGE
        given: set[Any] = set()
        while True:
            rows = sorted(set(self.query(_FOUND, word, last, page)), reverse=True)[:page]
            yield from (row[1:] for row in rows if row not in given)
            if len(rows) < page:
                return
            last, page = rows[-1][0], min(2 * page, MOST)
            given = {row for row in rows if row[0] == last}

    def _said(self, state: Any, same: Iterable[str], word: str) -> bool:
        return any(
            self._fold.says(state, event_id, part)
            for entity in same
            for event_id, part in self.query(_AMONG, entity, word)
        )


def _free(db: sqlite3.Connection, event_id: str, part: str) -> int | None:
    """The number of a new document; None if it is there already: the event came twice."""
    begin = (ids.stamp_of(event_id) & _STAMP) * SAME
    taken = db.execute(_TAKEN, (begin, begin + SAME)).fetchall()
    if any(row[1:] == (event_id, part) for row in taken):
        return None
    number = 1 + max((row[0] for row in taken), default=begin - 1)
    return number if number < begin + SAME else int(db.execute(_OLDEST).fetchone()[0])


def words(text: str) -> list[str]:
    """The words of a query, each as FTS5 has it; none if there is nothing to search for.

    A phrase in double quotes counts as one word, and `log*` stands for every word that begins so.
    """
    pieces = text.replace("\0", " ").split('"')
    phrases = [piece for at, piece in enumerate(pieces) if at % 2]
    plain = [word for piece in pieces[::2] for word in piece.split()]
    return [
        f'"{word.rstrip("*")}"' + ("*" if word.endswith("*") else "")
        for word in [*phrases, *plain]
        if any(map(str.isalnum, word))
    ]
