"""Pull requests, as drafts of events. What an answer becomes is pure.

    github.pr.opened, .merged, .closed   once each; with an artifact of the item that it names

A request names an item as an issue (`Fixes #12`), or by its short id in the title, the text or the
name of the branch (`wk-k3f9x2ab`).
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any

from coord_envelope import SELF
from coord_github.fields import title_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope.codec import Json
    from coord_github.api import Api
    from coord_github.checks import Checks
    from coord_github.items import Book
    from coord_github.remote import Remote

_FIXES = re.compile(r"\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?):?\s+#(\d{1,9})\b", re.IGNORECASE)
_SHORT = re.compile(r"\bwk-([0-9a-hjkmnp-tv-z]{8})\b")
MOST_OPEN = 50
"""Open requests whose checks are looked at: those that changed last."""


class Pulls:
    """The pull requests of a repository."""

    def __init__(self, api: Api, checks: Checks, remote: Remote, book: Book) -> None:
        self._api, self._checks, self._remote, self._book = api, checks, remote, book
        self._open: dict[int, Json] = {}

    def look(self) -> list[Json]:
        """Drafts of what has happened since the last look, each with its key. Raises Fault."""
        since = str(self._remote.seen.get("pulls", ""))
        query = {"sort": "updated", "direction": "desc"}
        drafts: list[Json] = []
        newest = since
        rows = self._api.changed("/pulls", query | {"state": "open"})
        opened = None if rows is None else list(islice(rows, MOST_OPEN))
        if opened is not None:
            self._open = {row["number"]: row for row in opened if _numbered(row)}
        recent = self._api.changed("/pulls", query | {"state": "all"}) if since else opened
        for row in recent or ():
            at = str(row.get("updated_at", ""))
            if since and at < since:
                break
            newest = max(newest, at)
            drafts += self._drafts(row)
        for number, row in list(self._open.items()):
            drafts += self._failed(number, row)
        self._remote.seen_next["pulls"] = newest or "1970-01-01T00:00:00Z"
        return drafts

    def _drafts(self, row: Json) -> Iterator[Json]:
        work = self._work(row)
        for draft in of_pull(row, self._book.slug):
            refs = {"refs": {"work_id": work}} if work else {}
            yield draft | refs
        if work:
            name = f"{self._book.slug}#{row.get('number')}"
            uri = str(row.get("html_url", ""))[:2000]
            body = {"kind": "pr", "on": work, "uri": uri, "name": name}
            yield {
                "type": "artifact.added",
                "refs": {"artifact_id": SELF, "work_id": work},
                "body": body,
                "idempotency_key": f"github:{name}:{work}",
            }

    def _failed(self, number: int, row: Json) -> Iterator[Json]:
        commit = _object(row, "head").get("sha")
        work = self._work(row)
        for draft in self._checks.failed(str(commit), number):
            yield draft | ({"refs": {"work_id": work}} if work else {})

    def _work(self, row: Json) -> str:
        """The item that a request is about; empty if it names none that is an issue."""
        branch = _object(row, "head").get("ref")
        text = " ".join(str(each) for each in (row.get("title"), branch, row.get("body")))
        for number in _FIXES.findall(text):
            if int(number) in self._book.works:
                return self._book.works[int(number)]
        for short in _SHORT.findall(text):
            found = [work for work in self._book.numbers if work.lower().endswith(short)]
            if len(found) == 1:
                return found[0]
        return ""


def _numbered(row: Json) -> bool:
    return type(row.get("number")) is int


def of_pull(row: Json, slug: str) -> Iterator[Json]:
    """The drafts of a pull request, as it is now. Total."""
    number = row.get("number")
    if type(number) is not int:
        return
    user, head, base = (_object(row, name) for name in ("user", "head", "base"))
    body = {
        "repository": slug,
        "number": number,
        "title": title_of(row.get("title")),
        "url": str(row.get("html_url", ""))[:2000],
        "author": title_of(user.get("login")),
        "branch": title_of(head.get("ref")),
        "onto": title_of(base.get("ref")),
        "sha": str(head.get("sha", ""))[:64],
    }
    key = f"github:{slug}#{number}"
    yield {"type": "github.pr.opened", "body": body, "idempotency_key": f"{key}:opened"}
    if isinstance(row.get("merged_at"), str):
        merged = str(row.get("merge_commit_sha", ""))[:64]
        yield {
            "type": "github.pr.merged",
            "body": body | {"merged": merged},
            "idempotency_key": f"{key}:merged",
        }
    elif row.get("state") == "closed":
        yield {
            "type": "github.pr.closed",
            "body": body,
            "idempotency_key": f"{key}:closed:{str(row.get('closed_at'))[:30]}",
        }


def _object(row: Json, name: str) -> dict[str, Any]:
    value = row.get(name)
    return value if isinstance(value, dict) else {}
