"""From here to GitHub: changes, comments and new issues, and what was the same afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coord_envelope import No
from coord_github.fields import RELATIONS, kept, marked, merged, state_words
from coord_kernel.rules import claims

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope.codec import Json
    from coord_github.fields import Side
    from coord_github.imports import Imports
    from coord_github.pair import Pair
    from coord_github.remote import Issue
    from coord_wk.items import Items

LONGEST_COMMENT = 60_000


class Exports:
    """What is written at GitHub."""

    def __init__(self, pair: Pair, imports: Imports) -> None:
        self._pair, self._imports = pair, imports
        self._book, self._api = pair.book, pair.api
        self._milestones: dict[str, int] | None = None

    def change(self, number: int) -> None:
        """Bring an issue to what its item says. Raises Fault."""
        pair = self._pair
        link = pair.links[number]
        pair.touch(number)
        try:
            issue = pair.remote.again(number)
        except No as fault:
            pair.refuse(number, fault)
            return
        items = pair.desk.items()
        work, base = link["work"], link["synced"]
        here, heads = self._book.side(items, work), claims.base(items.known(work))
        result = merged(base, here, issue.side)
        if pair.mode.pull and self._imports.needed(result):
            return  # that comes first: it is planned now that the issue is known
        if result.there:
            self._patch(issue, here, result.there)
        after = pair.remote.issues[number]
        new_here, new_there = kept(here), kept(issue.side)
        new_there |= {name: kept(after.side)[name] for name in result.there}
        for name in result.here:
            new_here[name], new_there[name] = base["here"].get(name), base["there"].get(name)
        self._note(number, work, (new_here, new_there), heads)

    def _patch(self, issue: Issue, here: Side, changes: Json) -> None:
        words: Json = {}
        if "title" in changes:
            words["title"] = changes["title"]
        if "desc" in changes:
            text = changes["desc"]
            words["body"] = marked(text, issue.marker) if issue.marker else text
        if "state" in changes:
            words |= state_words(changes["state"])
        if "labels" in changes:
            words["labels"] = changes["labels"]
        if "assignee" in changes:
            words["assignees"] = [changes["assignee"]] if changes["assignee"] else []
        if "milestone" in changes:
            words["milestone"] = self._milestone(changes["milestone"])
        if words:
            row = self._api.write("PATCH", f"/issues/{issue.number}", words)
            self._pair.remote.take(row | {"number": issue.number, "id": issue.id})
        if changes.keys() & {*RELATIONS}:
            self._relate(issue, changes)
            self._pair.remote.again(issue.number)

    def _relate(self, issue: Issue, changes: Json) -> None:
        """Parents and blockers, each a request."""
        now = issue.side
        if "parent" in changes:
            words = {"sub_issue_id": issue.id}
            if changes["parent"]:
                path = f"/issues/{changes['parent']}/sub_issues"
                self._api.write("POST", path, words | {"replace_parent": True})
            elif now["parent"]:
                self._api.write("DELETE", f"/issues/{now['parent']}/sub_issue", words)
        if "blocked_by" in changes:
            before, after = {*(now["blocked_by"] or ())}, {*changes["blocked_by"]}
            path = f"/issues/{issue.number}/dependencies/blocked_by"
            for number in sorted(after - before):
                self._api.write("POST", path, {"issue_id": self._id(number)})
            for number in sorted(before - after):
                self._api.write("DELETE", f"{path}/{self._id(number)}", {})

    def _id(self, number: int) -> int:
        known = self._pair.remote.issues.get(number)
        return (known or self._pair.remote.again(number)).id

    def _milestone(self, title: str) -> int | None:
        """The number of a milestone, which is made if there is none."""
        if not title:
            return None
        if self._milestones is None:
            self._api.etags = {
                k: v for k, v in self._api.etags.items() if not k.startswith("/milestones")
            }
            rows = self._api.changed("/milestones", {"state": "all"}) or ()
            self._milestones = {str(row.get("title")): int(row["number"]) for row in rows}
        if title not in self._milestones:
            row = self._api.write("POST", "/milestones", {"title": title})
            self._milestones[title] = int(row["number"])
        return self._milestones[title]

    def create(self, work: str) -> None:
        """Make an issue of an item. Raises Fault."""
        items = self._pair.desk.items()
        here, heads = self._book.side(items, work), claims.base(items.known(work))
        words: Json = {"title": here["title"], "body": marked(here["desc"], work)}
        if here["labels"]:
            words["labels"] = here["labels"]
        if here["assignee"]:
            words["assignees"] = [here["assignee"]]
        if here["milestone"]:
            words["milestone"] = self._milestone(here["milestone"])
        number = self._pair.remote.take(self._api.write("POST", "/issues", words))
        issue = self._pair.remote.issues[number]
        sides = kept(here), kept(issue.side)
        for name in RELATIONS:
            sides[0][name] = sides[1][name]
        self._note(number, work, sides, heads)
        self._pair.touch(number)

    def comments(self, items: Items, number: int) -> Iterator[str]:
        """The comments of the item that the issue does not have, by event id."""
        link = self._pair.links[number]
        me = self._pair.call.actor()["agent_id"]
        for comment in items.known(link["work"])["comments"]:
            if comment["by"] == me or comment["event_id"] in link["sent"]:
                continue
            if "trust" in comment:
                continue  # nobody has signed it
            if comment["text"] or "blob" in comment:
                yield comment["event_id"]

    def comment(self, number: int, event_id: str) -> None:
        """Post one comment. Raises Fault."""
        pair = self._pair
        pair.touch(number)
        work = pair.links[number]["work"]
        items = pair.desk.items()
        found: list[Any] = [
            each for each in items.detail(work)["comments"] if each["event_id"] == event_id
        ]
        if not found:
            return
        text = f"**{found[0]['by']}**: {found[0]['text']}"[:LONGEST_COMMENT]
        row = self._api.write(
            "POST", f"/issues/{number}/comments", {"body": marked(text, event_id)}
        )
        with pair.desk.transaction() as (t, _):
            self._imports.commented(t, number, work, (event_id, int(row["id"])))
        pair.call.put(t.events)

    def _note(self, number: int, work: str, sides: tuple[Json, Json], heads: list[str]) -> None:
        pair = self._pair
        with pair.desk.transaction() as (t, _):
            self._imports.synced(t, number, work, sides, heads)
        pair.call.put(t.events)
