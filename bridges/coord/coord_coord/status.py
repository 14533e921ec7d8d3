"""Who is active, what each holds, what waits, and what is wrong, as one report. Pure."""

from __future__ import annotations

from coord_envelope import world
from coord_kernel.cli.words import age_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import NotRequired, TypedDict

    from coord_coord.tools import Answer
    from coord_envelope.codec import Json

    class Known(TypedDict):
        """What the store itself knows."""

        seen: Mapping[str, str]
        """Agent → time of its last event."""
        sync: Json
        """The remote, and the time of the last exchange."""
        sessions: NotRequired[Mapping[str, list[Json]]]
        """Agent → how its sessions here are: session, state, why, age_ms, items."""
        me: str | None
        """The agent that asks."""


COMMANDS = {
    "work": ("wk", "status"),
    "items": ("wk", "ls", "--status=active"),
    "questions": ("wk", "ls", "--kind=question"),
    "leases": ("lease", "ls"),
    "mail": ("msg", "ls"),
    "jobs": ("run", "ls"),
}
"""What the report is made of."""
SILENT_MS = 30 * 60_000
"""An agent that wrote nothing for this long is not active; its claims may be stolen."""
UNSYNCED_MS = 24 * 3_600_000
IDLE_MS = 10 * 60_000
"""How long a job may wait for a worker before that is a problem."""
_WORST = ("dead", "never", "stalled", "lost", "waiting", "quiet", "starting", "working", "idle")
"""States of sessions: the agent has the first that one of its sessions has."""
_TODO = {
    "dead": "`coord-patrol --once` gives it back",
    "lost": "`coord-patrol --once` gives it back",
    "never": "find out why it does not come up",
    "stalled": "see what it does; `wk claim ID --steal --reason WHY` takes the work over",
    "waiting": "answer it where it runs",
}
"""What a person can do about a state."""
_ITEM = ("id", "title", "priority")
_LEASE = ("id", "resources", "left_ms", "scope", "until")
_QUESTION = ("id", "title", "options", "until", "on_timeout")
_JOB = ("id", "status", "argv", "runner", "by", "ts")


def report(answers: Mapping[str, Answer], known: Known, now_ms: int) -> Json:
    """The report."""
    rows = {name: answer.rows for name, answer in answers.items()}
    mail, me = _waiting(rows["mail"]), known["me"]
    names = {**dict.fromkeys((me,) if me else ()), **known["seen"]}
    here = known.get("sessions", {}).items()
    names |= dict.fromkeys(name for name, each in here if any(map(_is_told, each)))
    agents = [_agent(name, rows, known, mail, now_ms) for name in _everyone(names, rows, mail)]
    agents.sort(key=lambda agent: agent["last_seen"] or "", reverse=True)
    queues = {to: count for to, count in mail.items() if not _is_agent(to)}
    done: Json = {
        "work": _work(rows),
        "agents": agents,
        "questions": [_of(row, _QUESTION) for row in rows["questions"] if _asks(row, me)],
        "queues": queues,
        "jobs": [_of(row, _JOB) for row in rows["jobs"]],
        "sync": known["sync"],
        "cut": sorted(name for name, answer in answers.items() if answer.cut),
    }
    return done | {"problems": [*_failed(answers), *_problems(done, rows["mail"], now_ms)]}


def _everyone(
    known: Mapping[str, object], rows: Mapping[str, list[Json]], mail: Mapping[str, int]
) -> Iterable[str]:
    """Who was seen, holds something or has mail; no queue, group or channel."""
    holders = [row["owner"] for row in rows["items"]] + [row["holder"] for row in rows["leases"]]
    runners = [row["runner"] for row in rows["jobs"] if row.get("runner")]
    return dict.fromkeys([*known, *holders, *runners, *filter(_is_agent, mail)])


def _work(rows: Mapping[str, list[Json]]) -> Json:
    """How many open items have each status, without the questions: they are nobody's work."""
    counts = dict(rows["work"][0]) if rows["work"] else {}
    for row in rows["questions"]:
        if counts.get(row.get("status", "")):
            counts[row["status"]] -= 1
    return counts


def _asks(row: Json, me: str | None) -> bool:
    """Does an open question wait for an answer of this agent?"""
    return me is not None and me in row.get("asked", (row.get("assignee"),))


def _is_agent(address: str) -> bool:
    return not address.startswith(("queue:", "group:", "chan:")) and address != "all"


def _agent(
    name: str,
    rows: Mapping[str, list[Json]],
    known: Known,
    mail: Mapping[str, int],
    now_ms: int,
) -> Json:
    last = known["seen"].get(name)
    active = last is not None and age(last, now_ms) < SILENT_MS
    sessions = [each for each in known.get("sessions", {}).get(name, ()) if _is_told(each)]
    states = sorted((each["state"] for each in sessions), key=_WORST.index)
    return {
        "agent_id": name,
        "state": states[0] if states else "active" if active else "silent",
        "active": active,
        "last_seen": last,
        "sessions": sessions,
        "items": [_of(row, _ITEM) for row in rows["items"] if row["owner"] == name],
        "leases": [_of(row, _LEASE) for row in rows["leases"] if row["holder"] == name],
        "jobs": [_of(row, _JOB) for row in rows["jobs"] if row.get("runner") == name],
        "mail": mail.get(name, 0),
    }


def _is_told(session: Json) -> bool:
    """Does it hold something, or was it here a moment ago?"""
    return bool(session["items"]) or session["age_ms"] < SILENT_MS


def _waiting(messages: Iterable[Json]) -> dict[str, int]:
    """How many messages wait for each address."""
    counts: dict[str, int] = {}
    for row in messages:
        for address in row.get("waits_for", ()) if row["status"] != "dead" else ():
            counts[address] = counts.get(address, 0) + 1
    return counts


def _failed(answers: Mapping[str, Answer]) -> Iterator[Json]:
    for name, answer in answers.items():
        if answer.fault:
            what = " ".join((*COMMANDS[name][:2], "failed:", answer.fault.what))
            yield problem(what, answer.fault.todo or "see `coord doctor`")


def _problems(done: Json, messages: list[Json], now_ms: int) -> Iterator[Json]:
    for agent in done["agents"]:
        yield from map(_stuck, filter(lambda each: each["state"] in _TODO, agent["sessions"]))
        here = {item for session in agent["sessions"] for item in session["items"]}
        elsewhere = [item["id"] for item in agent["items"] if item["id"] not in here]
        if elsewhere and not agent["active"]:
            ids, last = " ".join(elsewhere), agent["last_seen"]
            silent = f"is silent for {age_ms(age(last, now_ms))}" if last else "wrote nothing here"
            what = f"{agent['agent_id']} holds {ids} and {silent}"
            yield problem(what, f"`wk claim {ids} --steal --reason WHY` takes it over")
    late = [row["id"] for row in done["jobs"] if _is_late(row, now_ms)]
    if late:
        what = f"waiting for a worker: {' '.join(late[:3])}{' …' * (len(late) > 3)}"
        yield problem(what, "start one: `run worker`")
    dead = sum(row["status"] == "dead" for row in messages)
    if dead:
        yield problem(f"messages that no consumer processed: {dead}", "see `msg dead`")
    work = done["work"]
    if work.get("blocked") and not (work.get("ready") or work.get("active")):
        yield problem("no open work item is ready or active", "see `wk ready --explain`")
    sync = done["sync"]
    if sync["remote"] and (sync["ts"] is None or age(sync["ts"], now_ms) > UNSYNCED_MS):
        when = f"for {age_ms(age(sync['ts'], now_ms))}" if sync["ts"] else "yet"
        yield problem(f"not synced with {sync['remote']} {when}", "run `ev sync`")


def problem(what: str, todo: str) -> Json:
    """A row of the report's problems."""
    return {"what": what, "todo": todo}


def _stuck(session: Json) -> Json:
    holds = f" holds {' '.join(session['items'])} and" if session["items"] else ""
    since = f"{session['why']}, {age_ms(session['age_ms'])} ago"
    what = f"{session['agent_id']}{holds} is {session['state']}: {since}"
    return problem(what, _TODO[session["state"]])


def _is_late(job: Json, now_ms: int) -> bool:
    return job["status"] == "requested" and age(job["ts"], now_ms) > IDLE_MS


def _of(row: Json, names: Iterable[str]) -> Json:
    return {name: row[name] for name in names if name in row}


def brief(report: Json) -> Iterator[str]:
    """The report in a line for each agent that holds something or has mail, and each problem."""
    yield " ".join(["work", *(f"{count} {name}" for name, count in report["work"].items())])
    for agent in report["agents"]:
        held = [each["id"] for kind in ("items", "leases", "jobs") for each in agent[kind]]
        if held or agent["mail"]:
            mail = [f"mail {agent['mail']}"] if agent["mail"] else []
            yield " ".join([agent["agent_id"], agent["state"], *mail, *held])
    for row in report["questions"]:
        yield f"question {row['id']} · {row['title']}"
    for row in report["problems"]:
        yield f"problem · {row['what']}; {row['todo']}"


def age(ts: str | None, now_ms: int) -> int:
    """How many milliseconds ago that was; not negative, and very long ago without a valid time."""
    try:
        return max(0, now_ms - world.parse_ts(ts or ""))
    except (ValueError, OverflowError):
        return now_ms
