"""The bridge as a controller: look at both sides, compare, and take over what differs.

    1. look    what GitHub has changed since the last look; what the journal has since then
    2. plan    for each issue that changed on a side: what is to be changed where (`fields`)
    3. act     import: in one transaction, compared again under the lock
               export: the issue is fetched again first; if it needs an import, that comes before
    4. when nothing is left to do, how far GitHub was read is saved

What was the same last is an event, `github.synced`, in the same transaction as an import, and after
an export. A process that dies before it leaves a change that is on both sides: the next one finds
them the same, and only writes the event. What is created at GitHub has a marker with the id of the
item or the comment, and is looked for before anything is created again.
"""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import TYPE_CHECKING

from coord_envelope import codec, world
from coord_envelope.errors import Fault
from coord_github import asked, fields, fold, remote
from coord_github.api import Limited
from coord_github.checks import Checks
from coord_github.events import leads_to_a_look
from coord_github.exports import Exports
from coord_github.fields import kept, merged, same
from coord_github.imports import Imports
from coord_github.items import exportable
from coord_github.pair import Pair
from coord_github.pulls import Pulls
from coord_kernel.controller import Act, Plan
from coord_kernel.rules import control
from coord_kernel.views.presence import Stops
from coord_kernel.views.view import View

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_github.api import Api
    from coord_github.fields import Side
    from coord_github.fold import Linked
    from coord_github.items import Book
    from coord_github.pair import Mode
    from coord_kernel.cli.call import Call
    from coord_wk.items import Items

BATCH = 100
"""Issues of one transaction."""
GAP_MS = 2_000
"""Least time between two looks that webhooks ask for."""
WAITING_MS = 15_000
"""Time between two looks while a merge queue waits for a check."""


class Bridge(Pair):
    """The controller of one repository and one store."""

    def __init__(self, call: Call, api: Api, book: Book, mode: Mode) -> None:
        """Raises TryAgain if another process does the same."""
        super().__init__(call, api, book, mode)
        self.over = 0
        """How many issues were to be created, if they were too many."""
        store = call.journal.store
        self._view, self._stops = View(store, fold), Stops(store)
        self._follower = call.journal.follow(call.journal.end(), live=False)
        self._waiting, self._works = set[int](), set[str]()
        self._acts: dict[int, list[Act]] = {}
        self._due = self._asked = self._limited = 0
        self._failed = False
        self._reports: list[Json] = []
        self._again: list[Json] = []
        """What a merge queue has asked once more, and the check was not run again."""
        self._me = call.actor()["agent_id"]
        self._checks, self._asks = Checks(api, book.slug), View(store, asked)
        self._pulls = Pulls(api, self._checks, self.remote, book)
        self.imports = Imports(self)
        self.exports = Exports(self, self.imports)
        self._load()
        items = self.desk.items()
        self._new: list[str] = []
        """The items of which issues are to be made."""
        if mode.new is not None:
            self._new = list(mode.new) or list(items.ranked("open"))

    def _load(self) -> None:
        """All links. Every linked item is compared once."""
        self._view.refresh()
        for number, name in remote.numbers(self._view.entities(), self.book.slug).items():
            self._link(number, self._view.get(name))
        self.dirty |= self.links.keys()

    def _link(self, number: int, state: Linked) -> None:
        self.links[number] = state
        if state["work"] and number not in self.book.works:
            self.book.link(number, state["work"])
            # Others may have waited for this one to be an item.
            self.dirty |= self._waiting
            self._waiting.clear()

    def wakes(self, event: Event) -> bool:
        """Does it concern a work item, or does GitHub say that something is new?"""
        kind = event["type"]
        if kind == "land.asked" and event["body"].get("by") == self._me:
            self._due = min(self._due, world.now_ms())
            return True
        # A hook of coord-webhook may have this bridge's name.
        if leads_to_a_look(kind):
            self._due = min(self._due, max(world.now_ms(), self._asked + GAP_MS))
            return True
        ours = event["actor"]["agent_id"] == self._me
        return not ours and kind.partition(".")[0] in ("work", "control", "coord")

    def plan(self) -> Plan:
        """What is to be done now. Reads GitHub if it is time."""
        if control.stopped(self._stops.control()):
            return Plan([])
        if world.now_ms() >= max(self._due, self._limited):
            self._look()
        items = self._refresh()
        for number in self.dirty:
            acts = [] if number in self.refused else list(self._compared(items, number))
            if acts:
                self._acts[number] = acts
            else:
                self._acts.pop(number, None)
        self.dirty.clear()
        acts = [*self._together(), *self._created(items)]
        if self._reports:
            acts.append(Act("report", f"report:{_digest(self._reports)}"))
        if self.mode.push:
            acts += [Act("rerun", f"rerun:{ask['id']}", ask=ask) for ask in self._again]
        if world.now_ms() < self._limited:
            acts = [act for act in acts if act.kind in ("import", "report")]
        elif not acts and self.mode.pull and not self._failed and not self.mode.dry:
            self.remote.save()  # an export takes over nothing of what it has read
        return Plan(acts, self._due)

    def _look(self) -> None:
        """Read what is new at GitHub; a failure is reported, and it is tried again later."""
        now = world.now_ms()
        self._asked, self._due, self._failed = now, now + self.mode.interval_ms, False
        try:
            touched = self.remote.look()
            for number in list(self.remote.comments):
                if number not in self.remote.issues and number not in self.links:
                    del self.remote.comments[number]  # of a pull request
            self.dirty |= touched
            self.refused -= touched
            if self.mode.pull:
                index = self.call.journal.index.refresh()
                asks = self._open_asks()
                drafts = [*self._pulls.look(), *self._checks.asked(asks)]
                self._again = [ask for ask in asks if self._unheard(ask)]
                if asks:
                    self._due = min(self._due, now + WAITING_MS)
                keyed = {(each["type"], each["idempotency_key"]): each for each in drafts}
                self._reports = [each for key, each in keyed.items() if not index.by_key(*key)]
        except Fault as fault:
            self.late(fault)
            (self.call.fail if self.mode.once else self.call.complain)(fault)

    def _open_asks(self) -> list[Json]:
        """What a merge queue waits for, of this bridge."""
        view, now = self._asks.refresh(), world.format_ts(world.now_ms())
        states = [view.get(entity) for _, entity in view.find("open", now)]
        return [state["ask"] for state in states if state["ask"].get("by") == self._me]

    def _unheard(self, ask: Json) -> bool:
        """Has the check to be run again for this, and was that not asked for?"""
        attempt, index = ask.get("attempt"), self.call.journal.index
        if type(attempt) is not int or attempt < 2:
            return False
        return index.by_key("github.rerun", f"rerun:{ask['id']}") is None

    def late(self, fault: Fault) -> None:
        """GitHub has failed: look again before anything else is tried."""
        self._failed = True
        # What was read and not processed is read again.
        self.api.etags.clear()
        if isinstance(fault, Limited):
            self._limited = self._due = max(self._due, fault.until_ms)

    def _refresh(self) -> Items:
        """Read what is new in the journal."""
        self._view.refresh()
        for event in self._follower.batch():
            for number, name in remote.numbers(fold.entities(event), self.book.slug).items():
                self._link(number, self._view.get(name))
                self.dirty.add(number)
            refs = event.get("refs")
            work = refs.get("work_id") if isinstance(refs, dict) else None
            if event["type"] == "work.created":
                work = event.id
            if isinstance(work, str) and event["type"].partition(".")[0] in ("work", "coord"):
                self._works.add(work)
        items = self.desk.items()
        for work in self._works:
            if items.state(work) is None:
                continue
            name = items.name(work)
            linked = self.book.numbers.get(name)
            if linked:
                self.dirty.add(linked)
                self.refused.discard(linked)
            elif self.mode.new is not None and not self.mode.new and name not in self._new:
                self._new.append(name)
        self._works.clear()
        return items

    def _compared(self, items: Items, number: int) -> Iterator[Act]:
        """The acts that an issue needs."""
        link, issue = self.links.get(number), self.remote.issues.get(number)
        work = link["work"] if link else ""
        take = Act("import", f"import:{number}", number=number)
        if not link or not work or items.state(work) is None:
            if issue and (self.mode.pull or self.imports.by_marker(items, issue)):
                yield take
            return
        here, base = self.book.side(items, work), link["synced"]
        if issue:
            result = merged(base, here, issue.side)
            if self.book.unlinked(result):
                self._waiting.add(number)
            if self.mode.pull and self.imports.needed(result):
                yield take
                return
            if result.there and self.mode.push:
                yield Act("export", f"export:{number}:{_digest(result.there)}", number=number)
            elif not result and not _known(base, here, issue.side):
                yield take
                return
        elif self.mode.push and not same(base["here"], kept(here)):
            yield Act("export", f"export:{number}:{_digest(kept(here))}", number=number)
        heard = self.mode.pull and self.remote.comments.get(number)
        if heard and self.imports.heard(items, number):
            yield take
        if self.mode.push:
            for comment in self.exports.comments(items, number):
                yield Act("comment", f"comment:{comment}", number=number, comment=comment)

    def _together(self) -> Iterator[Act]:
        """The acts of all issues; imports are one transaction for many."""
        planned = [act for number in sorted(self._acts) for act in self._acts[number]]
        numbers = iter([act.about["number"] for act in planned if act.kind == "import"])
        while batch := list(islice(numbers, BATCH)):
            yield Act("import", f"import:{_digest(batch)}", numbers=batch)
        yield from (act for act in planned if act.kind != "import")

    def _created(self, items: Items) -> Iterator[Act]:
        """The issues that are to be created."""
        if self.mode.new is None or not self.mode.push:
            return
        self._new = [
            work for work in self._new if work not in self.book.numbers and exportable(items, work)
        ]
        named = bool(self.mode.new)  # by a person
        works = [work for work in self._new if named or not items.unsigned(work)]
        self.over = len(works) if len(works) > self.mode.most else 0
        if self.over and not self.mode.dry:
            return
        for work in works:
            yield Act("create", f"create:{work}", work=work)

    def act(self, act: Act) -> None:
        """Do it. Raises Fault."""
        about = act.about
        try:
            if act.kind == "import":
                self.imports.take(about["numbers"])
            elif act.kind == "export":
                self.exports.change(about["number"])
            elif act.kind == "comment":
                self.exports.comment(about["number"], about["comment"])
            elif act.kind == "create":
                self.exports.create(about["work"])
            elif act.kind == "rerun":
                self._rerun(about["ask"])
            else:
                drafts, self._reports = self._reports, []
                self.call.append_each([(each["idempotency_key"], each) for each in drafts])
        except Fault as fault:
            self.late(fault)
            self._due = max(self._limited, min(self._due, world.now_ms()))
            raise

    def _rerun(self, ask: Json) -> None:
        """Have a check run again that a merge queue asks for once more. Raises Fault."""
        run = self._checks.again(ask)
        if run:
            self._checks.rerun(run)
            name = fields.title_of(run.get("name"))
            body = {"repository": self.book.slug, "commit": str(ask["commit"])[:64], "check": name}
            key = {"idempotency_key": f"rerun:{ask['id']}"}
            self.call.append([{"type": "github.rerun", "body": body | {"ask": ask["id"]}, **key}])
        self._again = [other for other in self._again if other["id"] != ask["id"]]

    def rows(self) -> Iterator[Json]:
        """What it would do now."""
        items = self.desk.items()
        for act in self.plan().acts:
            numbers = act.about.get("numbers") or [act.about.get("number")]
            for number in numbers:
                row: Json = {"act": act.kind}
                issue = self.remote.issues.get(number) if number else None
                work = act.about.get("work") or (number and self.book.works.get(number))
                if number:
                    row["issue"] = self.book.name(number)
                if work:
                    row["item"] = self.call.short("wk", work)
                if issue:
                    row["title"] = issue.side["title"]
                elif work:
                    row["title"] = self.book.side(items, work)["title"]
                if act.kind == "report":
                    row["events"] = len(self._reports)
                yield row

    def status(self) -> Json:
        """How far both sides are the same."""
        return {
            "repository": self.book.slug,
            "linked": sum(bool(link["work"]) for link in self.links.values()),
            "since": self.remote.since or None,
            "waiting": sum(len(acts) for acts in self._acts.values()) + len(self._reports),
        }


def _known(base: Json, here: Side, there: Side) -> bool:
    """Is this what was the same last?"""
    return same(base["here"], kept(here)) and same(base["there"], kept(there))


def _digest(value: object) -> str:
    return hashlib.sha256(codec.dumps(value)).hexdigest()[:16]
