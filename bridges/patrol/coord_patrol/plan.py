"""What a patrol is to do about the sessions of a store. Pure.

| state | what is done | when to look again |
|---|---|---|
| dead, lost | each of its claims is given back, by the id of the claim | at once |
| never | a person has mail: a login that failed does not heal | an event |
| waiting | a person has mail, after ten minutes; never nudged, never given back | then |
| stalled | two nudges; then, if its process lives, a person has mail | the next step |
| other | nothing | when it may be another |

1. What is done about a claim has a key of the claim, and what is done about a silence a key of the
   claim and of the last sign of life before it: after a new sign they are others.
2. Under a stop of everything nothing is planned; under a stop of an agent, nothing about it.
3. An agent whose sessions die more often than `deaths` times within `window` is quarantined. While
   a quarantine is open there is no second one, and `free` ends all of an agent.
4. At 80 % and at 100 % of a budget a person has mail, once a window.
"""

from __future__ import annotations

from coord_envelope import ids, world
from coord_kernel.controller import Act, Plan
from coord_kernel.rules import control, health, presence, usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from coord_kernel.rules.budget import Level
    from coord_kernel.rules.control import Control
    from coord_kernel.rules.health import Health, Row


class Policy(health.Times):
    """The times of the states, how often an agent may die, and whom to tell."""

    deaths = 3
    window = 15 * health.MINUTE
    overseer = "human:unknown"
    done = 2 * health.MINUTE
    """How long a session is idle whose work is done, before it is ended."""


def plan(
    rows: Sequence[Row],
    state: Control,
    now: int,
    policy: Policy,
    levels: Iterable[tuple[Level, int | None]] = (),
) -> Plan:
    """The acts that are due at `now` (Unix milliseconds), and when the next may be.

    `levels`: of budgets, each with the time of the last mail about it.
    """
    if control.stopped(state):
        return Plan([])
    steps = [(act, 0) for act in _quarantines(state, policy)]
    wakes = list[int]()
    for row in filter(None, (_free(each, state) for each in rows)):
        judged = health.judge(row, state, now, policy)
        for act, at in _steps(row, judged, now, policy):
            if act.key not in row["session"]["told"] or act.kind == "reclaim":
                steps.append((act, at))
        if "next_ms" in judged:
            wakes.append(now + judged["next_ms"] - judged["age_ms"])
    for level, told in levels:
        steps += _spending(level, told, now)
        wakes += [level["next_ms"]] if "next_ms" in level else []
    wakes += [at for _, at in steps]
    acts = [act for act, at in steps if at <= now]
    return Plan(acts, min((wake for wake in wakes if wake > now), default=None))


def _free(row: Row, state: Control) -> Row | None:
    """The row with what no stop concerns; None if all of it is stopped."""
    agent = row["session"]["agent"]
    if control.stopped(state, agent):
        return None
    claims = [c for c in row["claims"] if not control.stopped(state, agent, c["labels"])]
    return {**row, "claims": claims} if claims or not row["claims"] else None


def _steps(row: Row, judged: Health, now: int, policy: Policy) -> Iterator[tuple[Act, int]]:
    """What its state asks for, each with the time when it is due."""
    claims, session = row["claims"], row["session"]
    what = judged["state"]
    if "ahead" in judged and claims:
        key = ids.key(f"notice:{row['name']}:{sum(judged['ahead'].values())}")
        yield Act("notice", key, row=row, health=judged), now
    if what in ("dead", "lost"):
        if presence.is_open(session) and (claims or what == "dead"):
            yield Act("end", f"end:{session['started'][0]}", row=row, health=judged), now
        for claim in claims:
            yield Act("reclaim", f"reclaim:{claim['id']}", row=row, health=judged, claim=claim), now
    elif what == "never":
        first = claims[0]["id"] if claims else session.get("started", [row["name"]])[0]
        yield _escalation("never", ids.key(f"never:{first}"), row, judged, "high"), now
    elif what == "waiting" and claims:
        due = now + policy.waiting - judged["age_ms"]
        key = f"waiting:{claims[0]['id']}:{presence.signs(session)}"
        yield _escalation("waiting", key, row, judged, "medium"), due
    elif what == "stalled":
        yield from _stalled(row, judged, now, policy)


def _stalled(row: Row, judged: Health, now: int, policy: Policy) -> Iterator[tuple[Act, int]]:
    """One nudge after the other, each its time after the one before it; then, if it lives, a
    person."""
    told, due = row["session"]["told"], now
    for n in range(1, policy.nudges + 1):
        key = health.nudge_key(row, n)
        if key not in told:
            yield Act("nudge", key, row=row, health=judged, n=n), due
            return
        due = _after(told[key], policy.nudge, now)
    if row["lock"]:
        key = f"stalled:{row['claims'][0]['id']}:{presence.signs(row['session'])}"
        yield _escalation("stalled", key, row, judged, "medium"), due


def _after(ts: str, pause: int, now: int) -> int:
    try:
        return min(world.parse_ts(ts), now) + pause
    except ValueError:
        return now


def _escalation(what: str, key: str, row: Row, judged: Health, severity: str) -> Act:
    return Act("escalate", key, row=row, health=judged, what=what, severity=severity)


def _quarantines(state: Control, policy: Policy) -> Iterator[Act]:
    """Agents that died too often, and are in no quarantine."""
    for agent in state["deaths"]:
        deaths = control.crashes(state, agent)[-policy.deaths - 1 :]
        if len(deaths) <= policy.deaths or control.open_quarantines(state, agent):
            continue
        if control.stopped(state, agent):
            continue
        if _span(deaths[0][0], deaths[-1][0]) <= policy.window:
            causes = [key.removeprefix("reclaim:") for _, key in deaths]
            yield Act("quarantine", f"quarantine:{agent}:{causes[-1]}", agent=agent, causes=causes)


def _spending(level: Level, told: int | None, now: int) -> Iterator[tuple[Act, int]]:
    """Tell of a budget that is nearly or fully spent, once a window."""
    if level["state"] != "ok":
        due = now if told is None else min(told, now) + level["window_ms"]
        about = usage.saying(level["state"], level)
        yield Act(level["state"], f"budget:{about}:{told or 0}", level=level), due


def _span(begin: str, end: str) -> int:
    try:
        return world.parse_ts(end) - world.parse_ts(begin)
    except ValueError:
        return 1 << 62
