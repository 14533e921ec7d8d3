"""The shop from its parts at one moment. Pure, except that a lock may be looked at."""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

from coord_envelope import ids, world
from coord_kernel.rules import claims, control, health
from coord_kernel.views.look import Look
from coord_kernel.views.past import Snapshot
from coord_lease import board
from coord_run.jobs import FAILED
from coord_shop import model
from coord_shop.model import Shop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from coord_envelope.codec import Json
    from coord_envelope.codec import Json as Job
    from coord_kernel.rules.control import Control
    from coord_kernel.rules.health import Times
    from coord_kernel.views.view import Source
    from coord_lease.fold import Row as Lease
    from coord_msg.mail import Mail
    from coord_run.jobs import Jobs
    from coord_shop.model import Landed, Session
    from coord_wk.items import Items
    from coord_wk.items import Row as Item

MOST, WORK = 200, 60
"""Rows of a list, and of a list of work: its status is worked out for each."""
LOOKED = 200
"""Newest jobs that are looked at for failures, and closings for what landed."""
LANDED, LINKED = 20, 2_000
"""Closings that are shown, and open items with relations that are looked at."""
HOLDERS = 5_000
"""Claims that are looked at to judge their sessions."""
DAY_MS = 86_400_000


class Parts(NamedTuple):
    """What a shop is made of, all as of one moment."""

    items: Items
    mail: Mail
    jobs: Jobs
    sessions: Source
    control: Control
    leases: list[Lease]
    closings: list[tuple[str, str]]
    """(stamp, item) of the newest closings, newest first."""


class Place(NamedTuple):
    """What is known of the store besides its events."""

    project: str
    path: str
    replicas: list[str]
    """Its replica ids, the current one last."""
    times: Times
    sync: Json
    dropped: Callable[[tuple[str, ...]], bool] | None = None
    """Does nobody hold this pin? None: a time before, of which nobody knows."""


class Lists:
    """Lists that are cut at MOST rows, and which were."""

    def __init__(self) -> None:
        self.cut: list[str] = []

    def take(self, name: str, rows: Iterable[Any], most: int = MOST) -> list[Any]:
        """The first rows."""
        some = list(islice(rows, most + 1))
        if len(some) > most:
            self.cut.append(name)
        return some[:most]


def shop(parts: Parts, place: Place, same: Shop | None = None) -> Shop:
    """The shop. `same`: one in which the work items were as they are, some seconds ago."""
    items, jobs, lists, now_ms = parts.items, parts.jobs, Lists(), parts.items.now_ms
    holders = list(islice(items.urgent(["status active"]), HOLDERS))
    work = _listed(parts, holders, lists) if same is None else _again(same, lists)
    done = Shop(
        project=place.project,
        path=place.path,
        at=items.now,
        live=place.dropped is not None,
        agents=[],
        **work,
        leases=lists.take("leases", parts.leases),
        jobs=lists.take("jobs", map(jobs.row, jobs.listed(False, None))),
        failed=list(_failed(jobs)),
        mail=lists.take("mail", map(parts.mail.row, parts.mail.listed(None, None, False))),
        sync=place.sync,
        stops=[{**stop} for stop in control.open_stops(parts.control)],
        cut=lists.cut,
    )
    seen = last_seen(parts.sessions, world.format_ts(now_ms + ids.AHEAD_MS))
    known = list(_sessions(parts, place, holders))
    done.agents[:] = model.agents(seen, known, done, now_ms)
    done.problems[:] = model.problems(done, board.disputed(done.leases), now_ms)
    return done


_WORK = ("counts", "ready", "active", "blocked", "held", "landed", "questions")
"""What a shop has of work items, which is most of the cost."""


def _again(same: Shop, lists: Lists) -> Json:
    lists.cut += [name for name in same.cut if name in _WORK]
    return {name: getattr(same, name) for name in _WORK}


def _listed(parts: Parts, holders: Sequence[str], lists: Lists) -> Json:
    items = parts.items
    questions = [_question(items, each) for each in islice(_open_questions(items), MOST)]
    return {
        "counts": _counts(items, questions),
        "ready": lists.take("ready", _ready(items), WORK),
        "active": lists.take("active", _work(items, holders)),
        **_waiting(items, lists),
        "landed": list(islice(_landed(items, parts.closings), LANDED)),
        "questions": questions,
    }


def _counts(items: Items, questions: Sequence[Item]) -> dict[str, int]:
    """Open items by status: without the questions, which are nobody's work."""
    counts = items.counts()
    for row in questions:
        if counts.get(row["status"]):
            counts[row["status"]] -= 1
    return counts


def _open_questions(items: Items) -> Iterator[str]:
    return (each for each in items.urgent(["kind question"]) if _asks(items, each))


def _asks(items: Items, item: str) -> bool:
    return "question" in items.known(item) and not items.row(item).get("answer")


def _question(items: Items, item: str) -> Item:
    asked_by: Any = {"asked_by": items.known(item)["question"]["by"]}
    return {**items.row(item), **asked_by}


def _work(items: Items, names: Iterable[str]) -> Iterator[Item]:
    """Rows of what is being worked on, with the time of the claim: no questions."""
    for each in names:
        state = items.known(each)
        if "question" not in state:
            holder = claims.owner(state)
            since: Any = {"since": holder["ts"]} if holder else {}
            yield {**items.row(each), **since}


def _ready(items: Items) -> Iterator[Item]:
    return (row for row in _work(items, items.ranked("free")) if row["status"] == "ready")


def _waiting(items: Items, lists: Lists) -> dict[str, list[Item]]:
    """Items that are blocked, and that are held, with what they wait on."""
    found: dict[str, list[Item]] = {"blocked": [], "held": []}
    for row in _work(items, islice(items.ranked("linked"), LINKED)):
        rows = found.get(row["status"])
        if rows is not None and len(rows) <= WORK:
            name = row["work_id"]
            waits: Any = {"blockers": items.blockers(name), "held_by": items.held_by(name)}
            rows.append({**row, **{key: some for key, some in waits.items() if some}})
    return {name: lists.take(name, rows, WORK) for name, rows in found.items()}


def _landed(items: Items, closings: Iterable[tuple[str, str]]) -> Iterator[Landed]:
    """The items that were closed last and still are, each once."""
    seen = set[str]()
    for ts, item in closings:
        state = items.state(item)
        name = items.name(item)
        if state is None or name in seen or "question" in state:
            continue
        seen.add(name)
        row = items.row(name)
        if row["status"] not in ("ready", "active", "held", "blocked"):
            yield {"ts": ts, "by": state["last"]["by"], "item": row}


def _failed(jobs: Jobs) -> Iterator[Job]:
    """Jobs of the last day that failed, the newest first: none whose command succeeded since."""
    since = world.format_ts(jobs.now_ms - DAY_MS)
    succeeded = set[tuple[str, ...]]()
    for state in jobs.newest(LOOKED):
        if state["request"]["ts"] < since:
            return
        argv = tuple(map(str, state["request"]["body"]["argv"]))
        if jobs.is_one_of(state, (FAILED,)):
            if argv not in succeeded:
                yield {**jobs.row(state)}
        elif jobs.status(state) == "completed":
            succeeded.add(argv)


def last_seen(sessions: Source, until: str) -> dict[str, str]:
    """Agent → the time of its last sign of life, up to `until`; of one without any: empty."""
    seen: dict[str, str] = {}
    for value, _ in sessions.find("agent"):
        agent, _, ts = value.partition(" ")
        seen[agent] = max(seen.get(agent, ""), ts if ts <= until else "")
    return seen


def _sessions(parts: Parts, place: Place, holders: Sequence[str]) -> Iterator[Session]:
    """How the sessions of this store are that hold work or have started."""
    stops = Snapshot(control, (), {control.ENTITY: parts.control})
    look = Look(parts.sessions, _Holders(parts.items, holders), stops)
    dropped = place.dropped or (lambda _: False)
    for row in look.rows(place.replicas, dropped, lambda _: []):
        if place.dropped is None:
            row["lock"] = None
        judged = health.judge(row, look.control, parts.items.now_ms, place.times)
        yield {
            "agent": row["session"]["agent"],
            "session": row["session"]["session"],
            "state": judged["state"],
            "why": judged["why"],
            "age_ms": judged["age_ms"],
            "holds": [claim["work_id"] for claim in row["claims"]],
        }


class _Holders(Snapshot):
    """The claims on items, as `Look` asks for them, from the items themselves."""

    def __init__(self, items: Items, holders: Iterable[str]) -> None:
        super().__init__(claims, (), {})
        self._items, self._holders = items, holders

    def get(self, entity: str) -> Any:
        return self._items.state(entity.removeprefix("work "))

    def find(
        self, name: str, begin: str = "", end: str = "\U0010ffff"
    ) -> Iterator[tuple[str, str]]:
        return (("", f"work {item}") for item in self._holders)
