"""Who is active, what each holds, what waits, and what is wrong, as one report. Pure."""

from __future__ import annotations

from coord_envelope import world
from coord_kernel.cli.words import age_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from coord_coord.tools import Answer
    from coord_envelope.codec import Json

COMMANDS = {
    "work": ("wk", "status"),
    "items": ("wk", "ls", "--status=active"),
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
_ITEM = ("id", "title", "priority")
_LEASE = ("id", "resources", "left_ms", "scope", "until")
_JOB = ("id", "status", "argv", "runner", "by", "ts")


def report(
    answers: Mapping[str, Answer], seen: Mapping[str, str], sync: Json, me: str | None, now_ms: int
) -> Json:
    """The report.

    `seen` has the time of the last event of each agent, `sync` the remote and the time of the last
    exchange, `me` the agent that asks.
    """
    rows = {name: answer.rows for name, answer in answers.items()}
    mail = _waiting(rows["mail"])
    known = {**dict.fromkeys((me,) if me else ()), **seen}
    agents = [_agent(name, rows, seen, mail, now_ms) for name in _everyone(known, rows, mail)]
    agents.sort(key=lambda agent: agent["last_seen"] or "", reverse=True)
    queues = {to: count for to, count in mail.items() if not _is_agent(to)}
    done: Json = {
        "work": rows["work"][0] if rows["work"] else {},
        "agents": agents,
        "queues": queues,
        "jobs": [_of(row, _JOB) for row in rows["jobs"]],
        "sync": sync,
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


def _is_agent(address: str) -> bool:
    return not address.startswith(("queue:", "group:", "chan:")) and address != "all"


def _agent(
    name: str,
    rows: Mapping[str, list[Json]],
    seen: Mapping[str, str],
    mail: Mapping[str, int],
    now_ms: int,
) -> Json:
    last = seen.get(name)
    return {
        "agent_id": name,
        "active": last is not None and age(last, now_ms) < SILENT_MS,
        "last_seen": last,
        "items": [_of(row, _ITEM) for row in rows["items"] if row["owner"] == name],
        "leases": [_of(row, _LEASE) for row in rows["leases"] if row["holder"] == name],
        "jobs": [_of(row, _JOB) for row in rows["jobs"] if row.get("runner") == name],
        "mail": mail.get(name, 0),
    }


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
        if agent["items"] and not agent["active"]:
            ids = " ".join(item["id"] for item in agent["items"])
            last = agent["last_seen"]
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
            state = "active" if agent["active"] else "silent"
            yield " ".join([agent["agent_id"], state, *mail, *held])
    for row in report["problems"]:
        yield f"problem · {row['what']}; {row['todo']}"


def age(ts: str | None, now_ms: int) -> int:
    """How many milliseconds ago that was; not negative, and very long ago without a valid time."""
    try:
        return max(0, now_ms - world.parse_ts(ts or ""))
    except (ValueError, OverflowError):
        return now_ms
