"""Work items as sides of issues: how one is read, and what brings it to its issue. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from coord_envelope.event import address
from coord_github import fields
from coord_wk.desk import NOT_WORK, fields_of, present, value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coord_envelope.codec import Json
    from coord_github.fields import Merged, Side
    from coord_wk.desk import Wish
    from coord_wk.items import Items

_LOGIN = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38})")
_CLOSED = {"wontfix": "cancelled"}


class People:
    """Who is who: addresses here, logins there."""

    def __init__(self, logins: Mapping[str, str]) -> None:
        """`logins` by address; others are `human:LOGIN`."""
        self._logins = {name: login.lower() for name, login in logins.items()}
        self._names = {login: name for name, login in self._logins.items()}

    def login(self, name: str | None) -> str | None:
        """The login of an address; empty for nobody; None if it has no login."""
        if not name:
            return ""
        if name in self._logins:
            return self._logins[name]
        kind, _, rest = name.partition(":")
        return rest if kind == "human" and _LOGIN.fullmatch(rest) else None

    def address(self, login: str) -> str | None:
        """The address of a login; None for nobody."""
        if not login:
            return None
        plain = re.sub(r"[^a-z0-9-]", "-", login.lower()).strip("-") or "unknown"
        return self._names.get(login.lower()) or address(f"human:{plain}")


class Book:
    """The numbers of the items that are issues, and who is who."""

    def __init__(self, slug: str, people: People) -> None:
        self.slug, self.people = slug, people
        self.numbers: dict[str, int] = {}
        self.works: dict[int, str] = {}

    def link(self, number: int, work: str) -> None:
        """From here on this item is that issue."""
        self.numbers[work], self.works[number] = number, work

    def name(self, number: int) -> str:
        """The issue, as events name it."""
        return f"{self.slug}#{number}"

    def side(self, items: Items, item: str) -> Side:
        """The side of an item."""
        state = items.known(item)
        closed = value(state, "closed")
        how = str(closed["resolution"]) if isinstance(closed, dict) else "open"
        parent, milestone = value(state, "parent"), fields_of(state).get("milestone")
        deps = (member.partition(" ") for member in present(state, "deps"))
        waits = [items.name(to) for rel, _, to in deps if rel == "blocked_by"]
        labels = {label for each in present(state, "labels") if (label := fields.label_of(each))}
        assignee = value(state, "assignee")
        return {
            "title": fields.title_of(value(state, "title")),
            "desc": fields.desc_of(items.description(item)),
            "state": _CLOSED.get(how, how),
            "assignee": self.people.login(assignee if isinstance(assignee, str) else None),
            "milestone": fields.title_of(milestone) if milestone else "",
            "labels": sorted(labels),
            "parent": self.numbers.get(items.name(parent), 0) if isinstance(parent, str) else 0,
            "blocked_by": sorted({self.numbers[work] for work in waits if work in self.numbers}),
        }

    def wish(self, items: Items, item: str, changes: Json) -> Wish:
        """What the item is to be, without its state, and without issues that have no item."""
        words: Json = {}
        add, rm = dict[str, list[Any]](), dict[str, list[Any]]()
        for name in changes.keys() & {"title", "desc"}:
            words[name] = changes[name] or None
        if "milestone" in changes:
            words["fields.milestone"] = changes["milestone"] or None
        if "assignee" in changes:
            words["assignee"] = self.people.address(changes["assignee"])
        if "parent" in changes and (not changes["parent"] or changes["parent"] in self.works):
            words["parent"] = self.works.get(changes["parent"])
        now = self.side(items, item)
        if "labels" in changes:
            add["labels"] = [each for each in changes["labels"] if each not in now["labels"]]
            gone = {*now["labels"]} - {*changes["labels"]}
            # The label as it is here may have more characters than on the other side.
            held = present(items.known(item), "labels")
            rm["labels"] = [each for each in held if fields.label_of(each) in gone]
        if "blocked_by" in changes:
            before = {*(now["blocked_by"] or ())}
            after = {number for number in changes["blocked_by"] if number in self.works}
            add["deps"] = [self._dep(number) for number in sorted(after - before)]
            rm["deps"] = [self._dep(number) for number in sorted(before - after)]
        return {"set": words, "add": add, "rm": rm}

    def _dep(self, number: int) -> Json:
        return {"rel": "blocked_by", "to": self.works[number]}

    def unlinked(self, merged: Merged) -> bool:
        """Does it wait for issues without an item?"""
        numbers = [merged.here.get("parent"), *merged.here.get("blocked_by", ())]
        return any(number and number not in self.works for number in numbers)


def exportable(items: Items, item: str) -> bool:
    """May a new issue be made of it: is it open work?"""
    state = items.state(item)
    return (
        state is not None
        and value(state, "closed") is None
        and "question" not in state
        and items.kind(item) not in NOT_WORK
        and "created" in state
    )


def created(side: Side, book: Book, number: int) -> Json:
    """The words of a new item for an issue, without relations."""
    words: Json = {
        "title": side["title"],
        "desc": side["desc"] or None,
        "labels": side["labels"] or None,
        "assignee": book.people.address(side["assignee"] or ""),
        "fields": {"github": book.name(number)}
        | ({"milestone": side["milestone"]} if side["milestone"] else {}),
        "idempotency_key": f"github:{book.name(number)}",
    }
    return {name: given for name, given in words.items() if given is not None}


def said(author: str, text: str) -> str:
    """A comment, with who wrote it on the other side."""
    return f"{author}: {text}"
