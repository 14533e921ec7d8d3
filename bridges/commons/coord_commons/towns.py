"""Who belongs to a commons: the lines of its allowed_signers file, and what is derived. Pure.

    agent:springfield ssh-ed25519 AAAA…                        founded it
    agent:shelbyville ssh-ed25519 AAAA… by=SHA256:3f0c…        was admitted by that key

1. A town is admitted by an event `commons.admitted`. It changes nothing by itself: it proposes a
   line, and the file with it counts in a store when its person has agreed to it, by its digest.
2. A proposal is what the file says, and a line for each further key that somebody in it has
   admitted: of several admissions that with the smallest id. So stores with equal events and equal
   files propose the same file.
3. A party is all keys that may be one town: that stand for one principal, or have written under one
   name. It is called by the first of its names in the file.
4. Who founded the commons has the seed 1: each party with a line without `by`. A party keeps half
   of its seed and gives the other half, in equal parts, to those that it has admitted and that are
   farther from the founders than itself. So whoever admits puppets shares what is theirs, and who
   admits a second key of a town takes nothing from that, and founds nothing.
"""

from __future__ import annotations

import base64
import binascii
import re
from hashlib import sha256
from typing import NamedTuple

from coord_kernel.rules.signing import Signers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from coord_envelope.codec import Json

KEY = r"[a-z0-9@.-]{1,64} [A-Za-z0-9+/=]{16,12000}"
_LINE = re.compile(rf'(?:"([^"]*)"|(\S+))[ \t]+(?:.*?[ \t]+)?({KEY})(?:[ \t]+(.*))?', re.ASCII)
_FINGERPRINT = r"SHA256:[A-Za-z0-9+/]{43}"
_BY = re.compile(rf"(?:^|\s)by=({_FINGERPRINT})(?:\s|$)", re.ASCII)
_TOWN = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)


class Member(NamedTuple):
    """A line of the file."""

    principals: str
    key: str
    by: str
    """The fingerprint of the key that has admitted it; "": it founded the commons."""

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.key)


class Proposal(NamedTuple):
    """A file that one may agree to."""

    text: str
    digest: str
    rows: list[Json]
    """For each key: town, fingerprint, by, and how it differs from the file agreed to."""


def fingerprint(key: str) -> str:
    """The name of a public key, as ssh shows it: `SHA256:…`; "" if it is not a key."""
    try:
        data = base64.b64decode(key.partition(" ")[2], validate=True)
    except (ValueError, binascii.Error):
        return ""
    return "SHA256:" + base64.b64encode(sha256(data).digest()).decode().rstrip("=")


def is_key(key: str) -> bool:
    """Is this a public SSH key: a type, and a blob that begins with the same type?"""
    kind, _, data = key.partition(" ")
    if not re.fullmatch(KEY, key, re.ASCII) or not fingerprint(key):
        return False
    return base64.b64decode(data).startswith(len(kind).to_bytes(4, "big") + kind.encode())


def is_town(name: str) -> bool:
    """May a town be called that?"""
    return bool(_TOWN.fullmatch(name))


def line(town: str, key: str, by: str) -> str:
    """The line of a town."""
    return f"agent:{town} {key}" + (f" by={by}" if by else "")


def members(text: str) -> list[Member]:
    """The keys of a file, those that it revokes left out. Of several lines of a key the first."""
    found: dict[str, Member] = {}
    revoked = Signers(text).revoked
    for match in map(_member, text.split("\n")):
        if match and match.key not in revoked:
            found.setdefault(match.key, match)
    return list(found.values())


def _member(row: str) -> Member | None:
    match = None if row.lstrip().startswith(("#", "@")) else _LINE.fullmatch(row.strip())
    if not match:
        return None
    by = _BY.search(match[4] or "")
    return Member(match[1] or match[2], match[3], by[1] if by else "")


def digest(text: str) -> str:
    """What identifies a file."""
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def proposal(agreed: str, records: Iterable[Json]) -> Proposal:
    """The file that these `commons.admitted` ask for: `id`, `key` (whose it is), `body`.

    If a file was agreed to, only those count that a key of it has signed; else all of them do, as
    nobody can be known yet: then the digest has to come from somebody who is believed.
    """
    before = {member.key: member for member in members(agreed)}
    known = {member.fingerprint for member in before.values()}
    admitted: dict[str, str] = {}
    ordered = sorted(records, key=lambda each: (each["id"], each["key"]))
    others = {_text(each["body"], "key") for each in ordered if _text(each["body"], "by")}
    for record in ordered:
        body = record["body"]
        town, key, by = (_text(body, name) for name in ("town", "key", "by"))
        if not is_town(town) or not is_key(key) or not re.fullmatch(rf"(?:{_FINGERPRINT})?", by):
            continue
        if before:
            # What was agreed to stays: an id may be written so that it comes before others.
            counts = key not in before and record["key"] in known and record["key"] == by
        else:
            counts = bool(by) or key not in others
        if counts:
            admitted.setdefault(key, line(town, key, by))
    rows = [row.strip() for row in agreed.split("\n") if row.strip()]
    kept = [row for row in rows if getattr(_member(row), "key", "") not in admitted]
    text = "".join(f"{row}\n" for row in sorted({*kept, *admitted.values()}))
    after = {member.key: member for member in members(text)}
    return Proposal(text, digest(text), list(_rows(before, after)))


def founder(body: Json) -> Member | None:
    """Who says with this `commons.admitted` that they have founded the commons."""
    town, key, by = (_text(body, name) for name in ("town", "key", "by"))
    return Member(f"agent:{town}", key, "") if is_town(town) and is_key(key) and not by else None


def left_out(agreed: str, proposal: Proposal, keys: Collection[str]) -> Proposal:
    """The same proposal without the lines of these fingerprints."""
    if not keys:
        return proposal
    rows = [row for row in proposal.text.split("\n") if row]
    text = "".join(
        f"{row}\n" for row in rows if not (found := _member(row)) or found.fingerprint not in keys
    )
    before, after = ({each.key: each for each in members(file)} for file in (agreed, text))
    return Proposal(text, digest(text), list(_rows(before, after)))


def names(known: Iterable[Member]) -> set[str]:
    """The principals of these lines."""
    return {name for member in known for name in member.principals.split(",")}


def _rows(before: Mapping[str, Member], after: Mapping[str, Member]) -> Iterable[Json]:
    towns = names(before.values())
    for key in sorted({*before, *after}, key=lambda each: after.get(each) or before[each]):
        was, now = before.get(key), after.get(key)
        shown = now or was
        assert shown is not None
        again = sorted(towns & names([shown]))
        new = f"new key of {again[0].removeprefix('agent:')}" if again else "new"
        how = "removed" if now is None else new if was is None else "agreed"
        row = {"town": shown.principals, "key": shown.fingerprint, "by": shown.by or "founder"}
        yield {**row, "status": "changed" if how == "agreed" and was != now else how}


def _text(body: Json, field: str) -> str:
    value = body.get(field)
    return value if isinstance(value, str) else ""


class Parties:
    """Which keys are one town."""

    def __init__(self, text: str, written: Iterable[tuple[str, str]] = ()) -> None:
        """`text`: the file; `written`: (fingerprint, name) of keys that have written."""
        self._over: dict[str, str] = {}
        self.members = members(text)
        for member in self.members:
            for name in member.principals.split(","):
                self._join(f"key {member.fingerprint}", f"who {name}")
        for key, name in sorted(set(written)):
            self._join(f"key {key}", f"who {name}")
        self.keys: dict[str, list[str]] = {}
        """Party → fingerprints."""
        self._named: dict[str, str] = {}
        """Name or fingerprint → party."""
        groups: dict[str, list[str]] = {}
        for each in self._over:
            groups.setdefault(self._top(each), []).append(each)
        first = [name for member in self.members for name in member.principals.split(",")]
        for group in groups.values():
            keys = sorted(each[4:] for each in group if each.startswith("key "))
            names = sorted(each[4:] for each in group if each.startswith("who "))
            plain = [name for name in first if name in names and not set("*?!") & set(name)]
            party = (plain or keys or names)[0]
            self.keys[party] = keys
            self._named |= dict.fromkeys((*keys, *names), party)

    def _top(self, each: str) -> str:
        self._over.setdefault(each, each)
        while self._over[each] != each:
            self._over[each] = self._over[self._over[each]]
            each = self._over[each]
        return each

    def _join(self, one: str, other: str) -> None:
        low, high = sorted((self._top(one), self._top(other)))
        self._over[high] = low

    def of(self, key: str) -> str:
        """The party of a fingerprint; "" of none."""
        return self._named.get(key, key)

    def named(self, text: str) -> str | None:
        """The party with this name, short name or fingerprint."""
        return self._named.get(text) or self._named.get(f"agent:{text}")

    def seeds(self) -> dict[str, float]:
        """What each party has without a single stamp. They sum to 1."""
        admitted: dict[str, set[str]] = {
            self.of(member.fingerprint): set() for member in self.members
        }
        founders, strays = set[str](), set[str]()
        for member in self.members:
            party, parent = self.of(member.fingerprint), self.of(member.by) if member.by else ""
            if not parent:
                founders.add(party)
            elif parent not in admitted:
                strays.add(party)
            else:
                admitted[parent].add(party)
        # A file without a founder is what a person has made by hand: some line was taken out.
        order = sorted(founders or strays or admitted)
        distance = dict.fromkeys(order, 0)
        for party in order:  # it grows: who founded it, whom they have admitted, and so on
            new = sorted(admitted[party] - distance.keys())
            distance |= dict.fromkeys(new, distance[party] + 1)
            order += new
        seeds = dict.fromkeys(sorted(admitted), 0.0)
        first = [party for party in order if not distance[party]]
        seeds |= dict.fromkeys(first, 1.0 / max(len(first), 1))
        for party in order:
            below = sorted(each for each in admitted[party] if distance[each] > distance[party])
            if below:
                seeds[party] /= 2
            for each in below:
                seeds[each] += seeds[party] / len(below)
        return seeds
