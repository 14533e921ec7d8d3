"""What is new at GitHub since the last look: issues and comments, until they are processed.

The only thing that is kept between two processes is how far was read, in the store's own directory:
without it everything is read again, and nothing is done twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from coord_envelope import No, codec, world
from coord_github import fields
from coord_github.fields import desc_of, issue_side, marker_of, number_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coord_envelope.codec import Json
    from coord_github.api import Api
    from coord_github.fields import Side
    from coord_kernel import Store

OVERLAP_MS = 60_000
"""How far a look begins before the end of the last one: GitHub's lists may be late."""


class Issue(NamedTuple):
    """An issue as it was seen last."""

    number: int
    id: int
    side: Side
    marker: str
    body: str


class Said(NamedTuple):
    """A comment of an issue."""

    id: int
    author: str
    text: str
    marker: str


class Remote:
    """The issues and comments of a repository that were seen, and how far was read."""

    def __init__(self, api: Api, store: Store, slug: str) -> None:
        self._api, self._store, self._slug = api, store, slug
        self.issues: dict[int, Issue] = {}
        self.comments: dict[int, dict[int, Said]] = {}
        """By issue, those that were not processed."""
        self._place = ("local", "github", f"{slug.lower().replace('/', '~')}.json")
        saved = codec.loads(store.load(*self._place) or b"{}")
        self.since: str = saved.get("since", "")
        self.seen: Json = saved.get("seen", {})
        """How far other parts have read."""
        self.seen_next: Json = {}
        """The same, when all of it is processed."""
        api.etags = dict(saved.get("etags", {}))
        self._next = self.since

    def look(self) -> set[int]:
        """Read what has changed; the numbers of these issues. Raises Fault."""
        query = {"state": "all", "sort": "updated", "direction": "asc"} | self._after()
        touched = set[int]()
        for row in self._api.changed("/issues", query) or ():
            if "pull_request" not in row and (number := self.take(row)):
                touched.add(number)
                self._reached(row)
        query = {"sort": "updated", "direction": "asc"} | self._after()
        for row in self._api.changed("/issues/comments", query) or ():
            number = number_of(row.get("issue_url"), self._slug)
            if number and self._hear(number, row):
                touched.add(number)
                self._reached(row)
        return touched

    def take(self, row: Json) -> int:
        """Remember an issue; its number, 0 if it is not one."""
        number, ident = row.get("number"), row.get("id")
        if type(number) is not int or type(ident) is not int:
            return 0
        blocked = row.get("issue_dependencies_summary")
        if isinstance(blocked, dict):
            row = row | {"blocked_by": self._blockers(number, blocked)}
        side = issue_side(row, self._slug)
        body = row.get("body")
        text = body if isinstance(body, str) else ""
        self.issues[number] = Issue(number, ident, side, marker_of(text), text)
        return number

    def again(self, number: int) -> Issue:
        """The issue as it is now. Raises No if it is gone."""
        self.take(self._api.get(f"/issues/{number}"))
        return self.issues[number]

    def _blockers(self, number: int, summary: Json) -> Any:
        if not summary.get("total_blocked_by", summary.get("blocked_by")):
            return []
        try:
            rows = self._api.changed(f"/issues/{number}/dependencies/blocked_by", {})
        except No:
            return None
        self._api.etags.pop(f"/issues/{number}/dependencies/blocked_by?{{}}", None)
        return list(rows or ())

    def _hear(self, number: int, row: Json) -> bool:
        ident, user = row.get("id"), row.get("user")
        if type(ident) is not int:
            return False
        login = user.get("login") if isinstance(user, dict) else None
        author = fields.title_of(login or "ghost")
        text = row.get("body")
        said = Said(ident, f"@{author}", desc_of(text), marker_of(text))
        self.comments.setdefault(number, {})[ident] = said
        return True

    def _after(self) -> Json:
        if not self.since:
            return {}
        at = world.parse_ts(self.since) - OVERLAP_MS
        return {"since": world.format_ts(at)[:19] + "Z"}

    def _reached(self, row: Json) -> None:
        at = row.get("updated_at")
        if isinstance(at, str) and len(at) == 20:
            self._next = max(self._next, at[:19] + ".000Z")

    def save(self) -> None:
        """Everything that was read is processed."""
        lists = {k: v for k, v in self._api.etags.items() if k.startswith("/issues")}
        if self._next != self.since:
            # Pages of an earlier time are not asked for again.
            for key in lists:
                del self._api.etags[key]
            lists = {}
        self.since = self._next
        self.seen |= self.seen_next
        kept = {"since": self.since, "etags": lists, "seen": self.seen}
        data = codec.dumps(kept) + b"\n"
        if self._store.load(*self._place) != data:
            self._store.save(data, *self._place)


def numbers(issues: Iterable[str], slug: str) -> dict[int, str]:
    """Of the issues that events name, those of a repository: number → name."""
    before = f"{slug.lower()}#"
    found = {}
    for name in issues:
        if name.lower().startswith(before) and name[len(before) :].isdecimal():
            found[int(name[len(before) :])] = name
    return found
