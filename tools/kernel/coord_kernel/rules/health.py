"""How a session is: dead, stuck, waiting or at work, with the evidence and its age. Pure.

The first that applies:

    dead       it ended, or the process that holds its lock is gone
    starting   it started, or a claim was made for it, and it has shown no sign of life yet
    never      the same, for too long
    waiting    its last sign of life is a beat that says so: it waits for a person
    working    a sign of life within `fresh`, and it holds work; idle without
    quiet      silent, but not for long enough to act
    stalled    silent for `stalled`, or `long` if its process is known to live
    lost       silent for `long`, and no lock is known

1. Silence alone never overrules a lock that is held: a stopped process and one long tool call look
   the same from outside.
2. Silence means something for agents only: a person does not beat.
3. Time under a stop is not silence.
4. A sign of life from a clock that is over five minutes ahead has no age, and neither have the
   others of the session that are ahead at all. It is silent since a patrol noticed that, or since
   a sign that came after.
"""

from __future__ import annotations

from coord_envelope import ids, world
from coord_kernel.rules import control, presence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import NotRequired, TypedDict

    from coord_kernel.rules.control import Control
    from coord_kernel.rules.presence import Session

    class Held(TypedDict):
        """A claim on a work item that is open."""

        id: str
        work_id: str
        agent: str
        session: str
        replica: str
        ts: str
        labels: list[str]
        """Of its item: as far as any stop is about labels."""

    class Row(TypedDict):
        """A session, what it holds, and whether its process lives: all that is judged."""

        name: str
        session: Session
        claims: list[Held]
        lock: bool | None
        """Is its lock held? None: no lock is known."""

    class Health(TypedDict):
        """How a session is. Times are stamps and milliseconds."""

        state: str
        why: str
        """The evidence, for a person."""
        since: str
        """When the evidence is from."""
        age_ms: int
        """The time since then that was not under a stop."""
        next_ms: NotRequired[int]
        """The age at which it may be a state that something is done about."""
        ahead: NotRequired[dict[str, int]]
        """Chain → seq of the signs that come from a clock that was ahead, if nobody noticed yet."""


MINUTE = 60_000
STATES = ("dead", "starting", "never", "waiting", "working", "idle", "quiet", "stalled", "lost")
STUCK = ("dead", "never", "stalled", "lost")


class Times:
    """When a state begins, in milliseconds of silence."""

    fresh = 5 * MINUTE
    start = 5 * MINUTE
    waiting = 10 * MINUTE
    stalled = 15 * MINUTE
    long = 30 * MINUTE
    nudge = 10 * MINUTE
    """Between two nudges, and after the last."""
    nudges = 2


def judge(row: Row, state: Control, now: int, times: Times | type[Times] = Times) -> Health:
    """How a session is at `now`, in Unix milliseconds."""
    session, claims = row["session"], row["claims"]
    labels = {label for claim in claims for label in claim["labels"]}
    pauses = list(control.pauses(state, session["agent"], labels))
    over = _over(row)
    if over:
        return _health("dead", over[0], over[1], now, pauses)
    if not session["signs"]:
        return _unborn(row, now, pauses, times)
    until = world.format_ts(now + ids.AHEAD_MS)
    stamps = presence.stamps(session)
    latest = world.format_ts(now) if any(ts > until for ts in stamps.values()) else until
    ahead = {chain: session["signs"][chain][0] for chain, ts in stamps.items() if ts > latest}
    heard = max((ts for ts in stamps.values() if ts <= until), default="")
    since, why = heard, "last sign of life"
    if ahead:
        since, why = world.format_ts(now), "last sign of life is from a clock that was ahead"
    waits = presence.waits(session, ahead)
    if waits:
        why = f"waits for a person: {waits[1]}" if waits[1] else "waits for a person"
        health = _health("waiting", why, min(waits[0], since), now, pauses, [times.waiting])
    else:
        # A claim that another made for it shows no life, but nobody was to answer before it.
        begin = min((claim["ts"] for claim in claims), default="")
        since = max(since, begin) if begin <= until else since
        health = _silence(row, _health("", why, since, now, pauses), times)
    return health | {"ahead": ahead} if ahead else health


def _over(row: Row) -> tuple[str, str] | None:
    """Why, and since when, it is over; None if it is not, or cannot be known."""
    session = row["session"]
    if presence.ended(session) and not presence.survived(session):
        _, ts, body, *_ = session["ended"]
        how = body.get("how")
        return (f"ended: {how}" if isinstance(how, str) else "ended"), ts
    if row["lock"] is False:
        last = max(presence.stamps(session).values(), default="")
        return "nobody holds its lock", max(last, session["started"][1])
    return None


def _unborn(row: Row, now: int, pauses: Pauses, times: Times | type[Times]) -> Health:
    session = row["session"]
    begins = [claim["ts"] for claim in row["claims"]]
    begins += [session["started"][1]] if "started" in session else []
    # Of several the first: a later claim does not show that it lives.
    health = _health("starting", "no sign of life yet", min(begins, default=""), now, pauses)
    if health["age_ms"] >= times.start:
        health["state"] = "never"
    else:
        health["next_ms"] = times.start
    return health


def _silence(row: Row, health: Health, times: Times | type[Times]) -> Health:
    """The state by the length of the silence."""
    age, lock, claims = health["age_ms"], row["lock"], row["claims"]
    stalled = times.long if lock else times.stalled
    judged = claims and row["session"]["agent"].startswith("agent:")
    if age < times.fresh or not claims:
        health["state"] = "working" if claims else "idle"
    elif not judged or age < stalled:
        health["state"] = "quiet"
    else:
        health["state"] = "stalled" if lock or age < times.long else "lost"
    later = [step for step in (stalled, times.long) if judged and step > age]
    if later:
        health["next_ms"] = min(later)
    return health


def nudge_key(row: Row, n: int) -> str:
    """The key of the n-th nudge in the silence since its last sign of life."""
    claim = row["claims"][0]["id"] if row["claims"] else row["name"]
    return ids.key(f"nudge:{claim}:{presence.signs(row['session'])}:{n}")


def _health(
    state: str, why: str, since: str, now: int, pauses: Pauses, steps: Iterable[int] = ()
) -> Health:
    health: Health = {"state": state, "why": why, "since": since, "age_ms": 0}
    try:
        health["age_ms"] = silent_ms(world.parse_ts(since), now, pauses)
    except ValueError:  # a stamp that no clock wrote: no evidence of any age
        return health
    later = [step for step in steps if step > health["age_ms"]]
    if later:
        health["next_ms"] = min(later)
    return health


def silent_ms(since: int, now: int, pauses: Pauses) -> int:
    """The time from `since` to `now` that was not under a stop. Unix milliseconds."""
    spans = []
    for begin, end in pauses:
        try:
            first = max(since, world.parse_ts(begin))
            last = now if end is None else min(now, world.parse_ts(end))
        except ValueError:
            continue
        if last > first:
            spans.append((first, last))
    under, reached = 0, since
    for first, last in sorted(spans):
        under += max(0, last - max(first, reached))
        reached = max(reached, last)
    return max(0, now - since - under)


if TYPE_CHECKING:
    Pauses = Sequence[tuple[str, str | None]]
