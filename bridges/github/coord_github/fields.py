"""An issue and a work item as the same fields, and what is to be changed on either side. Pure.

A side is the fields that both have: title, desc, state (open, done, cancelled, duplicate), assignee
(a login; empty for nobody), milestone, labels, parent and blocked_by (numbers of issues). None is a
field that a side cannot express: nothing is concluded from it.

What both had when they were last the same is kept, for each side as it was there. So what GitHub
spells in another way (a label's case, an assignee that it refuses) does not count as a change.

1. A field that changed on one side is taken over by the other.
2. Of a set, what was added and what was removed on each side.
3. A field that changed on both sides to different values is a conflict. The change that is written
   here last is GitHub's, when it is imported: it follows what was the same last, and is concurrent
   to the change here, so it is the register's value, and the change here is in the attic.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coord_envelope.codec import Json

    class Side(TypedDict):
        """The fields of one side."""

        title: str
        desc: str
        state: str
        assignee: str | None
        milestone: str
        labels: list[str]
        parent: int | None
        blocked_by: list[int] | None


SETS = ("labels", "blocked_by")
RELATIONS = ("parent", "blocked_by")
LONGEST_TITLE, LONGEST_DESC, LONGEST_LABEL = 200, 60_000, 50
"""Bytes of a title here; characters of a body and of a label there, with room for a marker."""
MARKER = re.compile(r"\s*<!-- coord:([0-7][0-9A-HJKMNP-TV-Z]{25}) -->\s*\Z")
_REASONS = {"not_planned": "cancelled", "duplicate": "duplicate"}
_STATES = {"cancelled": "not_planned", "duplicate": "duplicate", "done": "completed"}


class Merged:
    """What a comparison gave: the fields to change on either side, and those in conflict."""

    def __init__(self) -> None:
        self.here: Json = {}
        self.there: Json = {}
        self.conflicts: list[str] = []

    def __bool__(self) -> bool:
        return bool(self.here or self.there)


def merged(base: Json | None, here: Mapping[str, Any], there: Mapping[str, Any]) -> Merged:
    """Compare two sides with what they were when they were last the same.

    `base` is {here, there} of `kept`. Without one, GitHub's side counts as what was the same.
    """
    result = Merged()
    known = base or {"here": kept(there), "there": kept(there)}
    old_here, old_there = known["here"], known["there"]
    now_here, now_there = kept(here), kept(there)
    for name in now_there:
        if now_here[name] is None or now_there[name] is None:
            continue
        changed_here = now_here[name] != old_here.get(name, now_here[name])
        changed_there = now_there[name] != old_there.get(name, now_there[name])
        if name in SETS:
            _merge_sets(result, name, (here, there), (old_here, old_there))
        elif changed_there and now_here[name] != now_there[name]:
            result.here[name] = there[name]
            if changed_here:
                result.conflicts.append(name)
        elif changed_here and not changed_there and now_here[name] != now_there[name]:
            result.there[name] = here[name]
    return result


def _merge_sets(
    result: Merged, name: str, now: tuple[Mapping[str, Any], ...], old: tuple[Json, ...]
) -> None:
    """Each side gets what was added and loses what was removed on the other."""
    here, there = ({*side[name]} for side in now)
    old_here, old_there = ({*(side.get(name) or ())} for side in old)
    there_new = (there | (here - old_here)) - (old_here - here)
    here_new = (here | (there - old_there)) - (old_there - there)
    if here_new != here:
        result.here[name] = sorted(here_new)
    if there_new != there:
        result.there[name] = sorted(there_new)


def kept(side: Mapping[str, Any]) -> Json:
    """A side as it is kept: of the description only a digest."""
    digest = hashlib.sha256(side["desc"].encode("utf-8", "replace")).hexdigest()[:16]
    return {**side, "desc": digest}


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Have two kept sides the same in all fields that both express?"""
    return all(
        one.get(name) == other.get(name)
        for name in {*one, *other}
        if one.get(name) is not None and other.get(name) is not None
    )


def title_of(text: object) -> str:
    """A title of one line, as it fits here."""
    line = " ".join(_plain(text).split())
    return _cut(line, LONGEST_TITLE) or "(no title)"


def label_of(text: object) -> str:
    """A label of one line, as it fits on both sides."""
    return " ".join(_plain(text).split())[:LONGEST_LABEL].strip()


def desc_of(text: object) -> str:
    """A description as both sides have it: without a marker, lines ended as UNIX does."""
    plain = text if isinstance(text, str) else ""
    plain = plain.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    return MARKER.sub("", plain).rstrip()[:LONGEST_DESC]


def marker_of(text: object) -> str:
    """The id in the marker at the end of a text; empty if there is none."""
    found = MARKER.search(text) if isinstance(text, str) else None
    return found[1] if found else ""


def marked(text: str, event_id: str) -> str:
    """A text with a marker, which GitHub does not show."""
    return f"{text}\n\n<!-- coord:{event_id} -->".lstrip("\n")


def issue_side(issue: Json, slug: str) -> Side:
    """The side of an issue as the REST API has it. Total: what is missing is empty."""
    reason = str(issue.get("state_reason"))
    closed = issue.get("state") == "closed"
    names = (
        each.get("name") if isinstance(each, dict) else each for each in _list(issue, "labels")
    )
    labels = sorted({label for name in names if (label := label_of(name))})
    people = [each.get("login") for each in _list(issue, "assignees") if isinstance(each, dict)]
    milestone = issue.get("milestone")
    return {
        "title": title_of(issue.get("title")),
        "desc": desc_of(issue.get("body")),
        "state": _REASONS.get(reason, "done") if closed else "open",
        "assignee": str(people[0]).lower() if people and people[0] else "",
        "milestone": title_of(milestone.get("title")) if isinstance(milestone, dict) else "",
        "labels": labels,
        "parent": _parent(issue, slug),
        "blocked_by": _blockers(issue, slug),
    }


def _parent(issue: Json, slug: str) -> int | None:
    """The number of the parent in the same repository; None if the API does not say."""
    if "parent_issue_url" not in issue and "sub_issues_summary" not in issue:
        return None
    return number_of(issue.get("parent_issue_url"), slug)


def _blockers(issue: Json, slug: str) -> list[int] | None:
    """The issues of the same repository that it waits on; None if they were not asked for."""
    if not isinstance(issue.get("blocked_by"), list):
        return None
    urls = (each.get("url") for each in issue["blocked_by"] if isinstance(each, dict))
    return sorted({number for url in urls if (number := number_of(url, slug))})


def number_of(url: object, slug: str) -> int:
    """The number at the end of an issue's URL; 0 if it is of another repository."""
    before, _, number = str(url).rpartition("/issues/")
    ours = before.lower().endswith(f"/repos/{slug.lower()}")
    return int(number) if ours and number.isdecimal() and len(number) < 12 else 0


def state_words(state: str) -> Json:
    """The fields of an issue for a state."""
    if state == "open":
        return {"state": "open"}
    return {"state": "closed", "state_reason": _STATES.get(state, "completed")}


def _plain(text: object) -> str:
    """A text without control characters."""
    words = text if isinstance(text, str) else ""
    return "".join(char if char >= " " and not "\x7f" <= char < "\xa0" else " " for char in words)


def _cut(text: str, most: int) -> str:
    """At most so many bytes; a text that is cut ends in …"""
    data = text.encode("utf-8", "replace")
    if len(data) <= most:
        return data.decode()
    return data[: most - 3].decode("utf-8", "ignore").rstrip() + "…"


def _list(value: Json, name: str) -> list[Any]:
    found = value.get(name)
    return found if isinstance(found, list) else []
