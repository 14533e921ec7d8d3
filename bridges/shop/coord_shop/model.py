"""What is shown of a shop: agents by how they are, and what is wrong. Pure.

The group of an agent, the first that applies to one of its sessions in this store:

    stalled    dead, never, stalled or lost, and it holds work; or holds work elsewhere, silent
    waiting    it waits for a person, or has asked a question that is open
    working    it is at work, or has just started
    quiet      it is idle, or silent for less than SILENT_MS; a person
    gone       the rest, without people: they do not beat
"""

from __future__ import annotations

from dataclasses import dataclass, field

from coord_envelope import world
from coord_kernel.cli.words import age_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any, NotRequired, TypedDict

    from coord_envelope.codec import Json
    from coord_envelope.codec import Json as Job
    from coord_lease.fold import Row as Lease
    from coord_msg.mail import Row as Message
    from coord_wk.items import Row as Item

    class Session(TypedDict):
        """A session that works in this store, and how it is (`coord_kernel.rules.health`)."""

        agent: str
        session: str
        state: str
        why: str
        age_ms: int
        """Since the evidence."""
        holds: list[str]
        """Full ids of the items it holds."""
        since: NotRequired[str]

    class Agent(TypedDict):
        """An agent, and what it holds."""

        agent_id: str
        group: str
        """One of GROUPS."""
        state: str
        """Of its sessions the worst; `active` or `silent` of an agent elsewhere."""
        why: str
        age_ms: int
        """Since the evidence; since its last event, of an agent elsewhere."""
        last_seen: str
        """A stamp; empty if it wrote nothing."""
        items: list[Item]
        leases: list[Lease]
        jobs: list[Job]
        asks: list[Item]
        """Open questions that it asked."""
        mail: int
        """Messages that wait for it."""

    class Problem(TypedDict):
        """Something that a person should know, the worst first."""

        kind: str
        """stalled, person, job, conflict, mail, sync or stopped"""
        what: str
        todo: str
        about: str
        """The full id or the address of what it is about; empty for the store."""

    class Landed(TypedDict):
        """An item that was closed, and is."""

        ts: str
        by: str
        item: Item


GROUPS = ("stalled", "waiting", "working", "quiet", "gone")
"""In the order in which they need a person."""
SILENT_MS = 30 * 60_000
WAITING_MS = UNSYNCED_MS = 24 * 3_600_000
IDLE_MS = 10 * 60_000
"""How long a job may wait for a worker."""
_WORST = ("dead", "never", "stalled", "lost", "waiting", "quiet", "starting", "working", "idle")
STUCK = ("dead", "never", "stalled", "lost")
_GROUP = {
    "waiting": "waiting",
    **dict.fromkeys(("working", "starting"), "working"),
    **dict.fromkeys(("quiet", "idle", *STUCK), "quiet"),
}
_TODO = {
    "dead": "`coord-patrol --once` gives its work back",
    "lost": "`coord-patrol --once` gives its work back",
    "never": "find out why it does not come up",
    "stalled": "see what it does; `wk claim ID --steal --reason WHY` takes the work over",
    "waiting": "answer it where it runs",
}


@dataclass(frozen=True)
class Shop:
    """The state of one store at a moment. Lists are in the order in which they need a person."""

    project: str
    path: str
    at: str
    """The moment, a stamp."""
    live: bool
    """Is it now?"""
    counts: dict[str, int]
    """Open items that are ready, active, blocked, held: without questions."""
    agents: list[Agent]
    ready: list[Item]
    active: list[Item]
    blocked: list[Item]
    held: list[Item]
    landed: list[Landed]
    questions: list[Item]
    leases: list[Lease]
    jobs: list[Job]
    """Those that are not over."""
    failed: list[Job]
    """Those of the last day that failed, the newest first."""
    mail: list[Message]
    """What waits for somebody, oldest first."""
    sync: Json
    """`remote` and `ts` of the last exchange, each or None; `fault` if coord.toml is wrong."""
    stops: list[Json]
    cut: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def group(self, name: str) -> list[Agent]:
        """The agents of a group."""
        return [agent for agent in self.agents if agent["group"] == name]


def agents(
    seen: Mapping[str, str], sessions: Iterable[Session], shop: Shop, now_ms: int
) -> list[Agent]:
    """Everyone who was seen, holds something or has mail: who needs a person first.

    `seen`: agent → time of its last event.
    """
    known: dict[str, list[Session]] = {}
    for session in sessions:
        known.setdefault(session["agent"], []).append(session)
    rows = [_agent(name, seen, known.get(name, ()), shop) for name in _names(seen, known, shop)]
    waiting: dict[str, int] = {}
    for message in shop.mail:
        for address in message.get("waits_for", ()):
            waiting[address] = waiting.get(address, 0) + 1
    for agent in rows:
        agent["mail"] = waiting.get(agent["agent_id"], 0)
        agent["age_ms"] = agent["age_ms"] if agent["why"] else age(agent["last_seen"], now_ms)
        agent["group"] = _group(agent, now_ms)
    return sorted(rows, key=_urgency)


def _urgency(agent: Agent) -> tuple[Any, ...]:
    return GROUPS.index(agent["group"]), -bool(agent["items"]), agent["age_ms"], agent["agent_id"]


def _names(seen: Mapping[str, str], sessions: Mapping[str, object], shop: Shop) -> Iterable[str]:
    holders = [item["owner"] for item in shop.active if "owner" in item]
    holders += [lease["holder"] for lease in shop.leases if "holder" in lease]
    holders += [job["runner"] for job in shop.jobs if job.get("runner")]
    addresses = [to for message in shop.mail for to in message.get("waits_for", ())]
    people = [to for to in addresses if not to.startswith(("queue:", "group:", "chan:", "all"))]
    return dict.fromkeys([*seen, *sessions, *holders, *people])


def _agent(name: str, seen: Mapping[str, str], sessions: Iterable[Session], shop: Shop) -> Agent:
    told = sorted(filter(_is_told, sessions), key=lambda each: _WORST.index(each["state"]))
    worst = told[0] if told else None
    return {
        "agent_id": name,
        "group": "",
        "state": worst["state"] if worst else "",
        "why": worst["why"] if worst else "",
        "age_ms": worst["age_ms"] if worst else 0,
        "last_seen": seen.get(name, ""),
        "items": [item for item in shop.active if item.get("owner") == name],
        "leases": [lease for lease in shop.leases if lease.get("holder") == name],
        "jobs": [job for job in shop.jobs if job.get("runner") == name],
        "asks": [item for item in shop.questions if item.get("asked_by") == name],
        "mail": 0,
    }


def _is_told(session: Session) -> bool:
    """Does it hold something, was it here a moment ago, or does it wait for a person?"""
    since = WAITING_MS if session["state"] == "waiting" else SILENT_MS
    return bool(session["holds"]) or session["age_ms"] < since


def _group(agent: Agent, now_ms: int) -> str:
    active = bool(agent["last_seen"]) and age(agent["last_seen"], now_ms) < SILENT_MS
    if not agent["state"]:  # of no session here
        agent["state"] = "active" if active else "silent"
        if agent["items"] and not active:
            return "stalled"
    elif agent["state"] in STUCK and agent["items"]:
        return "stalled"
    if agent["asks"] or agent["state"] == "waiting":
        return "waiting"
    if agent["state"] == "active":
        return "working" if agent["items"] else "quiet"
    if agent["state"] in ("dead", "silent"):
        return "quiet" if agent["agent_id"].startswith("human:") else "gone"
    return _GROUP[agent["state"]]


def problems(shop: Shop, conflicts: Iterable[tuple[Lease, Lease]], now_ms: int) -> list[Problem]:
    """What is wrong, the worst first."""
    return list(_problems(shop, conflicts, now_ms))


def _problems(
    shop: Shop, conflicts: Iterable[tuple[Lease, Lease]], now_ms: int
) -> Iterator[Problem]:
    for stop in shop.stops:
        what = f"{stop['by']} stopped {stop['scope']}: {stop['reason'] or 'no reason given'}"
        yield problem("stopped", what, "`coord-patrol resume` ends it")
    for agent in shop.agents:
        if agent["group"] == "stalled" or agent["state"] == "waiting":
            yield _stuck(agent)
    for item in shop.questions:
        asked = ", ".join(_who(name) for name in item.get("asked", ())) or "nobody by name"
        what = f"{item['id']} waits for an answer of {asked}: {item['title']}"
        yield problem("person", what, f"`wk answer {item['id']} OPTION`", item["work_id"])
    for job in shop.failed:
        how = job.get("outcome") or job["status"]
        code = f" {job['code']}" if job.get("code") is not None else ""
        what = f"{job['id']} failed ({how}{code}): {' '.join(map(str, job['argv']))}"
        yield problem("job", what, f"`run logs {job['id']}`", job["run_id"])
    late = [job for job in shop.jobs if job["status"] == "requested" and _is_late(job, now_ms)]
    for job in late[:3]:
        what = f"{job['id']} waits for a worker for {age_ms(age(job['ts'], now_ms))}"
        yield problem("job", what, "start one: `run worker`", job["run_id"])
    for first, second in conflicts:
        names = " ".join(second["resources"])
        what = f"{_who(first['holder'])} and {_who(second['holder'])} both hold {names}"
        yield problem("conflict", what, "let one of them release it", second["lease_id"])
    for message in shop.mail:
        if message["status"] == "dead":
            what = f"{message['id']} was delivered in vain: {message['subject']}"
            yield problem("mail", what, "see `msg dead`", message["msg_id"])
    yield from _unsynced(shop, now_ms)
    counts = shop.counts
    if counts.get("blocked") and not (counts.get("ready") or counts.get("active")):
        yield problem("stalled", "no open work item is ready or active", "`wk ready --explain`")


def _unsynced(shop: Shop, now_ms: int) -> Iterator[Problem]:
    sync = shop.sync
    if sync.get("fault"):
        yield problem("sync", sync["fault"], "correct coord.toml")
    elif sync.get("remote") and shop.live and age(sync.get("ts"), now_ms) > UNSYNCED_MS:
        when = f"for {age_ms(age(sync['ts'], now_ms))}" if sync.get("ts") else "yet"
        yield problem("sync", f"not synced with {sync['remote']} {when}", "run `ev sync`")


def _stuck(agent: Agent) -> Problem:
    ids = " ".join(item["id"] for item in agent["items"])
    holds = f" holds {ids} and" if ids else ""
    if agent["why"]:
        why = f"{agent['why']}, {age_ms(agent['age_ms'])} ago"
    else:
        why = f"last event {age_ms(agent['age_ms'])} ago" if agent["last_seen"] else "no event"
    what = f"{_who(agent['agent_id'])}{holds} is {agent['state']}: {why}"
    kind = "person" if agent["state"] == "waiting" else "stalled"
    todo = _TODO.get(agent["state"], "`wk claim ID --steal --reason WHY` takes the work over")
    return problem(kind, what, todo, agent["agent_id"])


def problem(kind: str, what: str, todo: str, about: str = "") -> Problem:
    """A row of the problems."""
    return {"kind": kind, "what": what, "todo": todo, "about": about}


def _is_late(job: Job, now_ms: int) -> bool:
    return age(job["ts"], now_ms) > IDLE_MS


def _who(agent: str) -> str:
    return agent.removeprefix("agent:")


def age(ts: str | None, now_ms: int) -> int:
    """How many milliseconds ago that was; not negative, and very long ago without a valid time."""
    try:
        return max(0, now_ms - world.parse_ts(ts or ""))
    except (ValueError, OverflowError):
        return now_ms


def needs(shop: Shop, me: str) -> tuple[Sequence[Item], Sequence[Message], Sequence[Problem]]:
    """What needs this person: questions to answer, mail and problems; each thing once."""
    asked = [item for item in shop.questions if me in item.get("asked", ())]
    known = {item["work_id"] for item in asked}
    mail = [message for message in shop.mail if me in message.get("waits_for", ())]
    return (
        asked,
        [message for message in mail if message["msg_id"] not in known],
        [problem for problem in shop.problems if problem["about"] not in known],
    )
