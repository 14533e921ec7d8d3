"""The rows of work, leases, jobs, mail and events, of shops at a moment. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from coord_kernel.cli.words import age_ms, titled, who
from coord_top.rows import GROUP
from coord_top.seen import Seen, cell, heading, message_ref, short
from coord_top.table import Cell, Ref, Row

if TYPE_CHECKING:
    from coord_envelope import Event

# ---- work


STATUS = {"active": "good", "ready": "id", "blocked": "soon", "held": "dim", "landed": "dim"}
"""Status of an item → the style of its id, in the order of the list."""


def items(seen: Sequence[Seen]) -> dict[str, list[Row]]:
    """The rows of work by status."""
    return {
        name: list(chain.from_iterable(_items(each, name, style) for each in seen))
        for name, style in STATUS.items()
    }


def work(seen: Sequence[Seen], items: Mapping[str, list[Row]]) -> list[Row]:
    """All items, each status below a heading."""
    rows: list[Row] = []
    for name, lines in items.items():
        if lines:
            total = sum(count(each, name) for each in seen)
            rows += [heading(f"{name.upper()} {max(total, len(lines)):,}"), *lines]
    return rows


def count(seen: Seen, name: str) -> int:
    """How many items have a status; of those that landed, how many are shown."""
    return len(seen.shop.landed) if name == "landed" else seen.shop.counts.get(name, 0)


def _items(seen: Seen, name: str, style: str) -> Iterator[Row]:
    if name == "landed":
        for landed in seen.shop.landed:
            yield _item(seen, landed["item"], style, by=landed["by"], ts=landed["ts"])
        return
    for item in getattr(seen.shop, name):
        yield _item(seen, item, style)


def _item(seen: Seen, item: Mapping[str, Any], style: str, by: str = "", ts: str = "") -> Row:
    owner, assignee = str(item.get("owner", "")), str(item.get("assignee", ""))
    waits = " ".join(f"wk-{short(str(to))}" for to in item.get("blockers", ()))
    people = who(by or owner) or (f"({who(assignee)})" if assignee else "") or waits
    priority = item.get("priority", 2)
    urgent = isinstance(priority, int) and priority < 2
    ref = seen.ref(
        "item",
        item["work_id"],
        name=item["id"],
        who=owner or assignee or by,
        work=item["work_id"],
        holder=owner,
    )
    age = seen.age(ts or item.get("since")) or seen.since(item["work_id"])
    return Row(
        (
            cell(seen.label, "dim"),
            cell(f"P{priority}", "soon" if urgent else "dim"),
            cell(item["id"], style),
            cell(item["title"], "" if style != "dim" else "dim"),
            cell(people, "who" if by or owner else "dim"),
            cell(age, "dim"),
        ),
        ref,
    )


BOARD = {
    "ready": ("ready",),
    "active": ("active",),
    "waiting": ("blocked", "held"),
    "landed": ("landed",),
}
"""Column of the board → the statuses in it."""


def board(items: Mapping[str, list[Row]]) -> dict[str, list[Row]]:
    """The columns of the board: a row is a title, with who has it."""
    return {
        column: [_card(row) for name in names for row in items[name]]
        for column, names in BOARD.items()
    }


def _card(row: Row) -> Row:
    label, _, _, title, people, _ = row.cells
    who_has = f"{people.text}:" if people.style == "who" else ""
    text = " ".join(filter(None, (label.text, who_has, title.text)))
    return Row((Cell(text, title.style),), row.ref)


# ---- leases, jobs, mail, events


def leases(seen: Sequence[Seen]) -> list[Row]:
    """What is held, by whom, for how long still."""
    return [_lease(each, lease) for each in seen for lease in each.shop.leases]


def _lease(seen: Seen, lease: Mapping[str, Any]) -> Row:
    left = lease.get("left_ms")
    soon = isinstance(left, int) and left < 60_000
    holder = str(lease.get("holder", ""))
    shared = " shared" if lease.get("mode") == "s" else ""
    return Row(
        (
            cell(seen.label, "dim"),
            cell(" ".join(map(str, lease.get("resources", ()))), "title"),
            cell(f"{who(holder)}{shared}", "who"),
            cell(
                f"{age_ms(left)} left" if isinstance(left, int) else "", "soon" if soon else "dim"
            ),
            cell(lease.get("reason", ""), "dim"),
        ),
        seen.ref("lease", lease["lease_id"], name=lease["id"], who=holder, holder=holder),
    )


JOB = {
    "running": ("▶", "good"),
    "claimed": ("▶", "good"),
    "requested": ("·", "id"),
    "waiting": ("·", "dim"),
}


def jobs(seen: Sequence[Seen]) -> list[Row]:
    """Those that failed in the last day, then those that are not over."""
    return [
        *(_job(each, job, ("✗", "bad")) for each in seen for job in each.shop.failed),
        *(
            _job(each, job, JOB.get(job["status"], ("·", "dim")))
            for each in seen
            for job in each.shop.jobs
        ),
    ]


def _job(seen: Seen, job: Mapping[str, Any], mark: tuple[str, str]) -> Row:
    outcome = str(job.get("outcome") or job["status"])
    code = f"{outcome} {job['code']}" if job.get("code") is not None else outcome
    runner = str(job.get("runner") or "")
    return Row(
        (
            cell(seen.label, "dim"),
            Cell(*mark),
            cell(job["id"], "id"),
            cell(titled({"argv": job["argv"]}), ""),
            cell(who(runner or job["by"]), "who"),
            cell(code, mark[1]),
            cell(seen.age(job["ts"]), "dim"),
        ),
        seen.ref(
            "job",
            job["run_id"],
            name=job["id"],
            who=runner or job["by"],
            work=job.get("work_id", ""),
        ),
    )


def mail(seen: Sequence[Seen]) -> list[Row]:
    """What waits for you."""
    rows: list[Row] = []
    for each in seen:
        for message in each.shop.mail:
            if each.me in message.get("waits_for", ()):
                severity = str(message.get("severity", ""))
                loud = severity in ("high", "critical")
                rows.append(
                    Row(
                        (
                            cell(each.label, "dim"),
                            Cell("!" if loud else "@", "alarm" if loud else "soon"),
                            cell(who(message["from"]), "who"),
                            cell(message["subject"], "title" if loud else ""),
                            cell(each.age(message["ts"]), "dim"),
                        ),
                        message_ref(each, message),
                    )
                )
    return rows


def event(event: Event, said: str, number: int, label: str, clock: Callable[[str], str]) -> Row:
    """An event in words; `clock` writes its time as people here read it."""
    kind = event["type"]
    style = "good" if kind == "work.closed" else "" if kind != "agent.seen" else "dim"
    refs = event.get("refs") or {}
    work = event.id if kind == "work.created" else refs.get("work_id")
    sender = event["actor"]["agent_id"]
    return Row(
        (cell(clock(event["ts"]), "dim"), cell(label, "dim"), cell(said, style)),
        Ref(
            "event",
            event.id,
            store=number,
            name=short(event.id),
            who=str(sender),
            work=work if isinstance(work, str) else "",
        ),
    )


def titles(seen: Sequence[Seen]) -> dict[str, str]:
    """What stands beside the name of each panel: how many of what."""
    groups = [agent["group"] for each in seen for agent in each.agents]
    others = sum(
        each.me not in message.get("waits_for", ()) for each in seen for message in each.shop.mail
    )
    mine = sum(len(each.shop.mail) for each in seen) - others
    failed = sum(len(each.shop.failed) for each in seen)
    return {
        "agents": _counted((groups.count(name), name) for name in GROUP),
        "work": _counted(
            (sum(each.shop.counts.get(name, 0) for each in seen), name)
            for name in ("ready", "active", "blocked", "held")
        ),
        "leases": _counted([(sum(len(each.shop.leases) for each in seen), "held")]),
        "jobs": _counted([(failed, "failed"), (sum(len(each.shop.jobs) for each in seen), "open")]),
        "mail": _counted([(mine, "for you"), (others, "for others")]),
    }


def _counted(counts: Iterable[tuple[int, str]]) -> str:
    return " · ".join(f"{number:,} {name}" for number, name in counts if number)
