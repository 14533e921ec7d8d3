"""The rows of what needs a person, and of agents: of shops at a moment. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import coord_shop
from coord_kernel.cli.words import age_ms, line, titled, who
from coord_top.seen import Seen, cell, message_ref, short
from coord_top.table import Cell, Ref, Row

if TYPE_CHECKING:
    from coord_msg.mail import Row as Message
    from coord_shop.model import Agent, Problem
    from coord_wk.items import Row as Item


GROUP = {"stalled": "bad", "waiting": "soon", "working": "good", "quiet": "", "gone": "dim"}
"""Group of an agent → its style."""
KIND = {
    "stalled": "agent",
    "person": "question",
    "job": "job",
    "conflict": "lease",
    "mail": "message",
}
"""Kind of a problem → what its record is."""


# ---- what needs a person


def needs(seen: Sequence[Seen]) -> list[Row]:
    """What waits for you, then what is wrong: questions first, then mail, then problems."""
    found = [(each, *coord_shop.needs(each.shop, each.me)) for each in seen]
    return [
        *chain.from_iterable(_asked(each, items) for each, items, _, _ in found),
        *chain.from_iterable(_mailed(each, mail) for each, _, mail, _ in found),
        *chain.from_iterable(_problems(each, wrong) for each, _, _, wrong in found),
    ]


def problems(seen: Sequence[Seen]) -> list[Row]:
    """Only what is wrong, for whomever it waits."""
    found = [(each, *coord_shop.needs(each.shop, each.me)) for each in seen]
    return [
        *chain.from_iterable(_asked(each, items) for each, items, _, _ in found),
        *chain.from_iterable(_problems(each, wrong) for each, _, _, wrong in found),
    ]


def _asked(seen: Seen, questions: Sequence[Item]) -> Iterator[Row]:
    for item in questions:
        options = tuple(line(option) for option in item.get("options", ()))
        by = str(item.get("asked_by", ""))
        ref = seen.ref(
            "question",
            item["work_id"],
            name=item["id"],
            who=by,
            work=item["work_id"],
            options=options,
            todo=f"a answers: {' | '.join(options)}",
        )
        text = f"{who(by)} asks: {item['title']}" if by else item["title"]
        answers = cell(" | ".join(options), "id")
        cells = cell("?", "alarm"), cell(seen.label, "dim"), cell(text, "title"), answers
        yield Row((*cells, cell(seen.since(item["work_id"]), "dim")), ref)


def _mailed(seen: Seen, mail: Sequence[Message]) -> Iterator[Row]:
    for message in mail:
        loud = str(message.get("severity", "")) in ("high", "critical")
        text = cell(f"{who(message['from'])}: {message['subject']}", "title" if loud else "")
        mark = cell("!" if loud else "@", "alarm" if loud else "soon")
        cells = mark, cell(seen.label, "dim"), text, cell("")
        age = cell(seen.age(message["ts"]), "dim")
        yield Row((*cells, age), message_ref(seen, message))


def _problems(seen: Seen, wrong: Sequence[Problem]) -> Iterator[Row]:
    for problem in wrong:
        bad = problem["kind"] in ("stalled", "job", "conflict", "stopped")
        yield Row(
            (
                cell("!", "bad" if bad else "soon"),
                cell(seen.label, "dim"),
                cell(problem["what"]),
                cell(f"→ {problem['todo']}", "dim"),
                cell(""),
            ),
            _about(seen, problem),
        )


def _about(seen: Seen, problem: Problem) -> Ref:
    """The record of a problem; with the text, so that two problems of one are two rows."""
    kind, about = KIND.get(problem["kind"], ""), problem["about"]
    said = {"note": line(problem["what"], 1_000), "todo": line(f"→ {problem['todo']}")}
    agents = {agent["agent_id"] for agent in seen.shop.agents}
    if about in agents:
        work = _first(seen, about)
        return seen.ref("agent", about, name=who(about), who=about, work=work, holder=about, **said)
    if not about or not kind:
        return seen.ref("store", seen.shop.path, **said)
    owner, work = "", ""
    options: tuple[str, ...] = ()
    for item in seen.shop.questions:
        if item["work_id"] == about:
            options = tuple(line(option) for option in item.get("options", ()))
            owner, work = next(iter(item.get("asked", ())), ""), about
    for job in chain(seen.shop.failed, seen.shop.jobs):
        if job["run_id"] == about:
            owner, work = job["by"], job.get("work_id", "")
    for lease in seen.shop.leases:
        if lease["lease_id"] == about:
            owner = lease["holder"]
    about_it = {"who": owner, "work": work, "options": options, "name": short(about)}
    return seen.ref(kind, about, **about_it, **said)


def _first(seen: Seen, agent: str) -> str:
    """The item that an agent holds, if it is one."""
    held = [item["work_id"] for item in seen.shop.active if item.get("owner") == agent]
    return held[0] if len(held) == 1 else ""


# ---- agents


def agents(seen: Sequence[Seen]) -> list[Row]:
    """Who needs a person first; of several stores by group."""
    rows = [(agent, each) for each in seen for agent in each.agents]
    order = list(GROUP)
    rows.sort(key=lambda row: order.index(row[0]["group"]))
    return [_agent(agent, each) for agent, each in rows]


def _agent(agent: Agent, seen: Seen) -> Row:
    style = GROUP[agent["group"]]
    ref = seen.ref(
        "agent",
        agent["agent_id"],
        name=who(agent["agent_id"]),
        who=agent["agent_id"],
        work=_first(seen, agent["agent_id"]),
        holder=agent["agent_id"],
    )
    mail = f"{agent['mail']} mail" if agent["mail"] else ""
    plain = agent["group"] in ("waiting", "gone")
    state = agent["group"] if plain else agent["state"]
    seen_ever = agent["why"] or agent["last_seen"]
    state, last = (state, age_ms(agent["age_ms"])) if seen_ever else ("never seen", "")
    return Row(
        (
            Cell("●" if agent["group"] != "gone" else "○", style),
            cell(seen.label, "dim"),
            cell(who(agent["agent_id"]), "title" if agent["group"] != "gone" else "dim"),
            cell(f"{state} {last}".strip(), style),
            cell(_holding(agent, seen), "dim"),
            cell(" · ".join(_holds(agent, seen)), "" if agent["items"] else "dim"),
            cell(mail, "soon"),
        ),
        ref,
    )


def _holding(agent: Agent, seen: Seen) -> str:
    """For how long it has held what it holds longest."""
    held: list[Mapping[str, Any]] = [*agent["items"], *agent["leases"]]
    return seen.age(min((each["since"] for each in held if "since" in each), default=""))


def _holds(agent: Agent, seen: Seen) -> Iterator[str]:
    for question in agent["asks"][:1]:
        yield f"asks {question['id']} {question['title']}"
    for item in agent["items"]:
        yield f"{item['id']} {item['title']}"
    for lease in agent["leases"][:3]:
        yield " ".join(lease["resources"])
    for job in agent["jobs"][:3]:
        yield titled({"argv": job["argv"]})
