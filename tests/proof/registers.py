"""What a work item and a leased resource answer to commands one after the other, as wk(1) and lease(1) say it. Pure.

Left out: stealing, resuming, dependencies, expiry, sharing. Who acts is AGENT/SESSION, in one copy of the store.
"""

from __future__ import annotations

from typing import NamedTuple

from proof.linear import Op


def agent(who: str) -> str:
    return who.partition("/")[0]


class Item(NamedTuple):
    """A work item: who has it, the last token, who closed it, and who gave back the last claim he had."""

    owner: str = ""
    token: int = 0
    closed: str = ""
    gave_back: frozenset[str] = frozenset()


def item(now: Item, op: Op) -> Item | None:
    """The item after the command; None if it does not answer so."""
    answer, after = _ITEM[op.verb](now, op.who)
    return after if op.saw in (None, answer) else None


def _claim(now: Item, who: str) -> tuple[str, Item]:
    if now.closed:
        return "1 is done", now
    if now.owner:
        return (
            f"0 token {now.token} again" if now.owner == who else f"1 is held by {agent(now.owner)}"
        ), now
    token = now.token + 1
    return f"0 token {token}", Item(who, token, "", now.gave_back - {who})


def _release(now: Item, who: str) -> tuple[str, Item]:
    if now.owner == who:
        return "0", now._replace(owner="", gave_back=now.gave_back | {who})
    if who in now.gave_back:
        return "0 again", now
    return f"1 is held by {agent(now.owner) or 'nobody'}", now


def _close(now: Item, who: str) -> tuple[str, Item]:
    if now.closed:
        return ("0 again" if agent(now.closed) == agent(who) else "1 is done already"), now
    if now.owner not in ("", who):
        return f"1 is held by {agent(now.owner)}", now
    return "0", now._replace(owner="", closed=who)


def _reopen(now: Item, who: str) -> tuple[str, Item]:
    if now.closed:
        return "0", now._replace(closed="")
    return f"1 is {'active' if now.owner else 'ready'}, not closed", now


def _show(now: Item, who: str) -> tuple[str, Item]:
    if now.closed:
        return "0 done", now
    return (f"0 active {now.owner} {now.token}" if now.owner else "0 ready"), now


_ITEM = {"claim": _claim, "release": _release, "close": _close, "reopen": _reopen, "show": _show}


class Lease(NamedTuple):
    """A resource: who holds it, the lease's token, and the greatest there was."""

    owner: str = ""
    token: int = 0
    """0 while nobody has been told it: its holder was killed."""
    greatest: int = 0


def lease(now: Lease, op: Op) -> Lease | None:
    """The resource after the command; None if it does not answer so. A new token is greater, no more is promised."""
    if op.token > now.greatest and now.owner and not now.token:
        now = Lease(now.owner, op.token, op.token)
    held = now.owner == op.who and op.token == now.token
    after, answer = now, "0"
    if op.verb == "acquire" and now.owner:
        answer = f"1 is held by {agent(now.owner)}"
    elif op.verb == "acquire":
        after = Lease(op.who, op.token, max(now.greatest, op.token))
        answer = "0" if op.token > now.greatest else "a greater token"
    elif op.verb == "renew":
        answer = "0" if held else "1 is released"
    elif op.verb == "release":
        after = Lease("", 0, now.greatest) if held else now  # twice is once
    else:
        answer = f"0 {now.owner} {now.token}" if now.owner else "0 nobody"
    return after if op.saw in (None, answer) else None
