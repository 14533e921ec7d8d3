"""What is in each page: the context of its templates. Pure, given what the reader says."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from coord_envelope import world
from coord_envelope.errors import BadData, Fault, No
from coord_envelope.filter import Filter
from coord_kernel.cli.values import agent_id
from coord_kernel.store.blobs import Blobs
from coord_kernel.streams.stream import streams
from coord_run.jobs import OVER
from coord_shop import needs
from coord_web import graph
from coord_web.tree import tree
from coord_web.view import told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_shop.model import Problem
    from coord_web.view import Asked, View
    from coord_wk.items import Items, Row

    Context = dict[str, Any]

RECENT, EVENTS, HISTORY = 14, 150, 100
"""Events that the overview, the events page and the page of an item show."""
BEATS = ("agent.seen", "lease.renewed", "run.heartbeat")
DAY_MS = 86_400_000


def overview(view: View) -> Context:
    """What the overview, and the panel of a store among several, shows."""
    shop = view.shop
    asked, mine, others = needs(shop, view.site.me or "")
    shown = [agent for agent in shop.agents if agent["group"] in ("stalled", "waiting", "working")]
    since = world.format_ts(view.now_ms - DAY_MS)
    return {
        "asked": asked,
        "mine": mine,
        "problems": [_linked(view, problem) for problem in others],
        "shown": shown,
        "hidden_agents": len(shop.agents) - len(shown),
        "stalled": len(shop.group("stalled")),
        "waiting": len(shop.questions) + sum(a["state"] == "waiting" for a in shop.agents),
        "working": len(shop.group("working")),
        "landed_today": sum(done["ts"] >= since for done in shop.landed),
        "events": told(view, view.reader.events(view.at, RECENT, Filter(not_types=BEATS))),
    }


_ABOUT = {"job": "jobs", "person": "item", "mail": "mail"}
"""Kind of a problem → the page of what it is about."""


def _linked(view: View, problem: Problem) -> Json:
    about, kind = problem["about"], problem["kind"]
    if kind in ("stalled", "person") and ":" in about:
        url = view.link("agents")
    elif about and kind in _ABOUT:
        url = view.link(
            f"{ {'job': 'jobs', 'person': 'item', 'mail': 'mail'}[kind] }/{quote(about)}"
        )
    else:
        url = view.link({"conflict": "leases", "sync": "sync"}.get(kind, "agents"))
    return {**problem, "url": url}


def board(view: View) -> Context:
    shop = view.shop
    done = [landed["item"] for landed in shop.landed]
    columns = (
        ("ready", "Ready", "Can be begun now.", shop.ready),
        ("active", "Active", "Somebody holds it.", shop.active),
        ("blocked", "Blocked", "Waits on other work.", shop.blocked),
        ("held", "Held", "On hold, or deferred.", shop.held),
        ("landed", "Landed", "Closed last.", done),
    )
    return {"columns": columns}


def item(view: View) -> Context:
    items = view.reader.items(view.at)
    name = items.resolve(view.asked.about)
    detail = items.detail(name)
    dag = sorted(items.known(name)["dag"], reverse=True)
    events = [event for at in dag[:HISTORY] if (event := view.reader.event(at))]
    events = [event for event in events if not view.at or event["ts"] <= view.at]
    return {
        "item": detail,
        "relations": _relations(items, name),
        "history": told(view, events, brief=True),
    }


def _relations(items: Items, name: str) -> list[tuple[str, Row]]:
    found: list[tuple[str, str]] = []
    detail = items.row(name)
    found += [("part of", detail["parent"])] if detail.get("parent") else []
    found += [("waits on", each) for each in items.blockers(name)]
    found += [("part", each) for each in items.children(name)[:50]]
    found += [("needed by", each) for rel, each in items.dependents(name)[:50]]
    return [(what, items.row(each)) for what, each in dict.fromkeys(found) if items.state(each)]


def agents(view: View) -> Context:
    return {"shown": view.shop.agents, "hidden_agents": 0}


def mail(view: View) -> Context:
    shop, (_, mine, _) = view.shop, needs(view.shop, view.site.me or "")
    ours = {message["msg_id"] for message in mine}
    rest = [message for message in reversed(shop.mail) if message["msg_id"] not in ours]
    boxes = [("mine", "Mail to you", "Not yet done. It stays here until you say so.", mine)]
    boxes += [("waiting", "Waiting mail", "What others have not yet read and acknowledged.", rest)]
    return {"boxes": boxes if view.site.me else boxes[1:]}


def thread(view: View) -> Context:
    box = view.reader.mail(view.at)
    state = box.state(view.asked.about)
    if state is None:
        raise No("no such message", where=view.asked.about, code="not_found")
    states = list(box.thread(state["mail"]["thread"])) or [state]
    messages = [{"row": box.row(each), "text": _text(view, each["mail"]["id"])} for each in states]
    return {"messages": messages, "shown_id": state["mail"]["id"]}


def _text(view: View, msg_id: str) -> str:
    event = view.reader.event(msg_id)
    if event is None:
        return ""
    try:
        body = Blobs(view.reader.store).whole(event["body"]) if "blob" in event["body"] else None
    except (No, BadData) as fault:
        return f"({fault})"
    text = (body or event["body"]).get("text")
    return text if isinstance(text, str) else ""


def leases(view: View) -> Context:
    return {"roots": tree(view.shop.leases)}


def jobs(view: View) -> Context:
    book, shop = view.reader.jobs(view.at), view.shop
    failed = {job["run_id"] for job in shop.failed}
    rows = (book.row(state) for state in book.newest(100) if book.status(state) in OVER)
    over = [row for row in rows if row["run_id"] not in failed][:40]
    boxes = (
        ("open", "Open", "Requested, waiting or running: oldest first.", shop.jobs),
        ("failed", "Failed", "Of the last day, and not repeated with success since.", shop.failed),
        ("over", "Over", "The newest that ended.", over),
    )
    return {"boxes": boxes}


def job(view: View) -> Context:
    book = view.reader.jobs(view.at)
    state = book.state(view.asked.about)
    if state is None:
        raise No("no such job", where=view.asked.about, code="not_found")
    row = book.shown(state)
    tails = [(row.get(name) or {}).get("tail") for name in ("stdout", "stderr")]
    tail = "\n".join(text for text in tails if isinstance(text, str) and text)
    return {"job": row, "over": book.status(state) in OVER, "tail": tail}


def events(view: View) -> Context:
    asked, fault, wanted = view.asked, "", None
    try:
        wanted = _wanted(asked)
    except (Fault, ValueError) as error:
        fault = str(error)
    found = view.reader.events(view.at, EVENTS, wanted) if not fault else []
    return {"events": told(view, found, whole=True), "fault": fault}


def _wanted(asked: Asked) -> Filter | None:
    types, agent, text = (asked.param(name).strip() for name in ("type", "agent", "q"))
    if not (types or agent or text):
        return None
    chosen = [agent_id(agent, "agent")] if agent else []
    return Said(types.split(), chosen, text.casefold())


class Said(Filter):
    """Events of types and agents that say a text anywhere."""

    def __init__(self, types: Sequence[str], agents: Sequence[str], text: str) -> None:
        super().__init__(types=types, agents=agents)
        self._text = text

    def __call__(self, event: Event) -> bool:
        if not super().__call__(event):
            return False
        return not self._text or self._text in event.raw.decode("utf-8", "replace").casefold()


def dependencies(view: View) -> Context:
    items = view.reader.items(view.at)
    todo = deque(row["work_id"] for row in (*view.shop.blocked, *view.shop.held))
    rows: dict[str, Row] = {}
    edges: list[tuple[str, str, str]] = []
    while todo and len(rows) < graph.MOST:
        name = todo.popleft()
        if name in rows or not items.state(name) or not items.is_open(name):
            continue
        rows[name] = items.row(name)
        for other in items.blockers(name):
            part = items.state(other) is not None and items.row(other).get("parent") == name
            edges.append((other, name, "parent" if part else "blocked_by"))
            todo.append(other)
    return {"drawing": graph.drawing(rows, edges), "more": bool(todo)}


def sync(view: View) -> Context:
    rows = []
    for stream in streams(view.reader.store):
        last = stream.last()
        if last and (not view.at or last["ts"] <= view.at):
            replica = stream.name.rpartition("~")[2]
            who = last["actor"]["agent_id"]
            rows.append(
                {
                    "name": stream.name,
                    "agent": who,
                    "replica": replica,
                    "seq": last["seq"],
                    "ts": last["ts"],
                }
            )
    rows.sort(key=lambda row: row["ts"], reverse=True)
    return {"streams": rows[:200], "replicas": view.reader.store.replicas()}
