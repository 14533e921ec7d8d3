"""From GitHub to here: new items, changes, comments, and what was the same afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coord_envelope import BadData, No, ids
from coord_envelope.errors import Refused
from coord_github import fold
from coord_github.fields import RELATIONS, SETS, desc_of, kept, merged
from coord_github.items import created, said
from coord_kernel.rules import claims
from coord_kernel.store.blobs import Blobs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_github.fields import Merged, Side
    from coord_github.pair import Pair
    from coord_github.remote import Issue, Said
    from coord_kernel.journal.transaction import Transaction
    from coord_wk.items import Items


class Imports:
    """What is written here."""

    def __init__(self, pair: Pair) -> None:
        self._pair, self._book = pair, pair.book
        self._linked = set[str]()
        """The items that are issues since the transaction began."""

    def by_marker(self, items: Items, issue: Issue) -> str:
        """The item that an issue was made of, if it is not another issue already."""
        work = issue.marker
        if not work or items.state(work) is None:
            return ""
        name = items.name(work)
        return "" if name in self._book.numbers or name in self._linked else name

    def needed(self, result: Merged) -> bool:
        """Is something to be changed here that can be?"""
        return any(name not in RELATIONS or not self._missing(result, name) for name in result.here)

    def _missing(self, result: Merged, name: str) -> bool:
        """Is this a relation to an issue without an item?"""
        value = result.here[name]
        numbers = value if isinstance(value, list) else [value]
        return any(number and number not in self._book.works for number in numbers)

    def take(self, numbers: Sequence[int]) -> None:
        """Take over these issues, in one transaction."""
        pair = self._pair
        pair.call.journal.index.refresh()
        self._linked.clear()
        with pair.desk.transaction() as (t, items):
            for number in numbers:
                try:
                    self._one(t, items, number)
                except (BadData, Refused, No) as fault:
                    pair.refuse(number, fault)
        for number in numbers:
            pair.touch(number)
        pair.call.put(event for event in t.events if not event.get("$dup"))

    def _one(self, t: Transaction, items: Items, number: int) -> None:
        link, issue = self._pair.links.get(number), self._pair.remote.issues.get(number)
        work = link["work"] if link else ""
        if (not work or items.state(work) is None) and issue:
            work = self.by_marker(items, issue) or self._created(t, items, issue)
        if not work or items.state(work) is None:
            return
        if issue:
            self._changed(t, items, work, issue)
        heads = [each.id for each in t.events[-1:]] or claims.base(items.known(work))
        self._comments(t, items, number, (work, heads))

    def _created(self, t: Transaction, items: Items, issue: Issue) -> str:
        """A new item; empty, or the item if there is one with its key already."""
        side = issue.side
        event = self._pair.desk.create(t, items, created(side, self._book, issue.number))
        if event.get("$dup"):
            return event.id
        last = event.id
        refs = {"work_id": event.id}
        if side["state"] != "open":
            body = {"resolution": side["state"], "note": "closed on GitHub"}
            last = t.add({"type": "work.closed", "refs": refs, "base": [last], "body": body}).id
        last = self._comments(t, items, issue.number, (event.id, [last])) or last
        there: Json = {**kept(side)} | {
            name: value and type(value)() for name, value in kept(side).items() if name in RELATIONS
        }
        people = self._book.people
        here = there | {"assignee": people.login(people.address(side["assignee"] or ""))}
        self.synced(t, issue.number, event.id, (here, there), [last])
        return ""

    def _changed(self, t: Transaction, items: Items, work: str, issue: Issue) -> None:
        """Bring an item to what its issue says, and note what is the same now."""
        link = self._pair.links.get(issue.number)
        base = link["synced"] if link and link["synced"] else None
        here, state = self._book.side(items, work), items.known(work)
        result = merged(base, here, issue.side)
        before, heads = claims.base(state), claims.base(state)
        done: list[Event] = []
        if base and result.conflicts:
            before = fold.ids_of(base.get("heads")) or before
            self._tell(t, work, issue, (here, result))
        if self.needed(result):
            done = list(self._brought(t, items, work, (here, result), before))
        if done:
            heads = [done[-1].id] if before == claims.base(state) else [*heads, done[-1].id]
        sides = self._sides(base, here, issue.side, result)
        if not base or sides != (base["here"], base["there"]):
            self.synced(t, issue.number, work, sides, heads)

    def _brought(
        self,
        t: Transaction,
        items: Items,
        work: str,
        change: tuple[Side, Merged],
        base: Sequence[str],
    ) -> Iterator[Event]:
        """Add what brings the item to the issue's side."""
        here, result = change
        desk = self._pair.desk
        wish = self._book.wish(items, work, result.here)
        state = result.here.get("state")
        if state == "open":
            wish["status"] = "open"
        elif state and here["state"] == "open":
            wish["status"] = "closed"
            wish["closing"] = {"resolution": state, "note": "closed on GitHub"}
        try:
            done = desk.bring(t, items, work, wish, base)
        except BadData as fault:
            # Such as a cycle of dependencies: the issue's other fields need not wait for it.
            if not result.here.keys() & {*RELATIONS}:
                raise
            fault.where = here["title"]
            self._pair.call.complain(fault)
            wish["set"].pop("parent", None)
            for how in (wish["add"], wish["rm"]):
                how.pop("deps", None)
            done = desk.bring(t, items, work, wish, base)
        if state and state != "open" and here["state"] != "open":
            # It was closed with another resolution: closed again, with this one.
            after = [done[-1].id] if done else list(base)
            refs, body = {"work_id": work}, {"resolution": state, "note": "closed on GitHub"}
            opened = t.add({"type": "work.reopened", "refs": refs, "base": after, "body": {}})
            closed = {"type": "work.closed", "refs": refs, "base": [opened.id], "body": body}
            done = [*done, opened, t.add(closed)]
        yield from done

    def _sides(
        self, base: Json | None, here: Side, there: Side, result: Merged
    ) -> tuple[Json, Json]:
        """What is the same after an import: what is still to be exported stays a difference."""
        new_here, new_there = kept({**here, **result.here}), kept(there)
        old = base or {"here": kept(there), "there": kept(there)}
        for name in result.here.keys() & {*RELATIONS}:
            if self._missing(result, name):
                new_here[name], new_there[name] = old["here"].get(name), old["there"].get(name)
        for name in result.there:
            if name in SETS:
                new_here[name] = new_there[name]
            else:
                new_here[name] = old["here"].get(name, new_there[name])
                new_there[name] = old["there"].get(name, new_there[name])
        return new_here, new_there

    def synced(
        self,
        t: Transaction,
        number: int,
        work: str,
        sides: tuple[Json, Json],
        heads: Sequence[str],
    ) -> None:
        """Write what is the same now."""
        here, there = sides
        body = {
            "issue": self._book.name(number),
            "here": here,
            "there": there,
            "heads": list(heads),
        }
        t.add({"type": fold.SYNCED, "refs": {"work_id": work}, "body": body})
        self._linked.add(work)

    def _tell(self, t: Transaction, work: str, issue: Issue, change: tuple[Side, Merged]) -> None:
        """Mail about the values that lost."""
        here, result = change
        ours: Json = {**here}
        theirs: Json = {**issue.side}
        name, short = self._book.name(issue.number), ids.short("wk", work)
        last = self._pair.desk.items().known(work)["last"]["by"]
        for field in result.conflicts:
            lost, won = str(ours[field])[:1000], str(theirs[field])[:1000]
            body = {
                "issue": name,
                "field": field,
                "kept": won,
                "lost": lost,
                "subject": f"{short}: {field} was changed on GitHub, too",
                "text": f"{name} has: {won}\nHere it was: {lost}\n"
                f"GitHub's value counts now. To change it back, edit {short} again;\n"
                f"`wk show {short}` has what was lost under conflicts.",
            }
            to = {} if last.startswith("bridge:") else {"to": [last]}
            refs = {"work_id": work}
            t.add({"type": "github.conflict", "refs": refs, "body": body, **to})

    def heard(self, items: Items, number: int) -> list[Said]:
        """The comments of an issue that are not here. Those that are, are forgotten."""
        link, pending = self._pair.links.get(number), self._pair.remote.comments[number]
        sent = {*link["sent"].values()} if link else set()
        for comment in list(pending.values()):
            if comment.id in sent or self._key(comment) is None:
                del pending[comment.id]
        return list(pending.values())

    def _key(self, comment: Said) -> str | None:
        """The key of a new comment, or of an edit of one; None if it is here."""
        index = self._pair.call.journal.index
        first = f"github:{self._book.slug}:{comment.id}"
        known = index.by_key("work.commented", first)
        if known is None:
            return first
        body = known.event["body"]
        whole = Blobs(self._pair.call.journal.store).whole(body) or body
        if whole.get("text") == said(comment.author, comment.text) or "redacted" in body:
            return None
        edit = f"{first}:{hash_of(comment.text)}"
        return None if index.by_key("work.commented", edit) else edit

    def _comments(
        self, t: Transaction, items: Items, number: int, item: tuple[str, Sequence[str]]
    ) -> str:
        """Add the comments that are not here; the id of the last event."""
        work, heads = item
        pair, last = self._pair, ""
        pending = pair.remote.comments.get(number, {})
        state = items.state(work)
        ours = {each["event_id"] for each in state["comments"]} if state else set()
        link = pair.links.get(number)
        sent = link["sent"] if link else {}
        for comment in sorted(self.heard(items, number) if pending else (), key=lambda c: c.id):
            refs = {"work_id": work}
            if comment.marker in ours and comment.marker not in sent:
                self.commented(t, number, work, (comment.marker, comment.id))
            elif key := self._key(comment):
                text = said(comment.author, comment.text)
                edited = "" if key.count(":") == 2 else "(edited) "
                body: Json = {"text": edited + text}
                body |= pair.desk.shortened(body, "text")
                draft = {"type": "work.commented", "refs": refs, "body": body}
                event = t.add(draft | {"base": list(heads), "idempotency_key": key})
                last, heads = event.id, [event.id]
            pending.pop(comment.id, None)
        return last

    def commented(self, t: Transaction, number: int, work: str, pair: tuple[str, int]) -> None:
        """Write that a comment of the item is a comment of the issue."""
        event, comment = pair
        body = {"issue": self._book.name(number), "event": event, "comment": comment}
        key = f"github:{self._book.slug}:{event}"
        draft = {"type": fold.COMMENTED, "refs": {"work_id": work}, "body": body}
        t.add(draft | {"idempotency_key": key})


def hash_of(text: str) -> str:
    """Eight characters of a digest."""
    import hashlib

    return hashlib.sha256(desc_of(text).encode("utf-8", "replace")).hexdigest()[:8]
