"""Why a work item or a job does not run: each thing that holds it, with evidence."""

from __future__ import annotations

from coord_envelope import No, ids, world
from coord_kernel.cli import budgets
from coord_kernel.cli.words import age_ms
from coord_kernel.rules import control
from coord_kernel.views.presence import Stops
from coord_kernel.views.view import View
from coord_run.jobs import Jobs
from coord_wk.items import Items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from coord_envelope.codec import Json
    from coord_kernel.rules.control import Control
    from coord_kernel.rules.health import Health
    from coord_kernel.store.directory import Store

    Reason = tuple[str, str]
    """What holds it, and what ends that; empty: nothing needs to be done."""


class Why:
    """One look at a store. Raises BadData for budgets that make no sense."""

    def __init__(self, store: Store, healths: Mapping[str, Health]) -> None:
        """`healths`: how the sessions are that hold work items, by item."""
        self._items = Items.current(View(store, Items.fold))
        self._jobs = Jobs.current(View(store, Jobs.fold))
        self._stops: Control = Stops(store).control()
        self._now = world.now_ms()
        self._budgets = budgets.Budgets(
            budgets.configured(store), budgets.Usages(store).refresh(), self._stops, self._now
        )
        self._healths = healths

    def rows(self, at: str) -> Iterator[Json]:
        """A row for each thing that holds the item or job of this id. Raises No."""
        if self._items.state(at):
            yield from self._of_item(at)
        elif self._jobs.state(at):
            yield from self._of_job(at)
        else:
            raise No("no such work item or job", where=at, code="not_found")

    # ---- an item

    def _of_item(self, at: str) -> Iterator[Json]:
        item: Json = {**self._items.detail(at)}
        row = {"id": item["id"], "status": item["status"], "work_id": item["work_id"]}
        for why, todo in self._holding(item):
            yield row | _said(why, todo)
        if item["status"] in ("done", "cancelled", "duplicate"):
            return
        agent = item.get("owner") or item.get("assignee")
        for why, todo in self._closed(agent, item["work_id"], item.get("labels", [])):
            yield row | _said(why, todo)
        for job in self._jobs.listed(False, item["work_id"]):
            yield from self._of_job(job["request"]["id"], of_item=True)

    def _holding(self, item: Json) -> Iterator[Reason]:
        status, name = item["status"], item["id"]
        if status in ("done", "cancelled", "duplicate"):
            yield f"it is closed: {status}", f"`wk reopen {name}` opens it"
        elif status == "active":
            yield self._held(item)
        elif status == "held":
            for holder in self._items.held_by(item["work_id"]):
                yield self._on_hold(holder, item["work_id"])
        elif status == "blocked":
            for blocker in item.get("blockers", ()):
                yield self._blocked(blocker)
            for missing in item.get("unknown_here", ()):
                yield (
                    f"it waits for {missing}, which is not in this store",
                    "`ev sync` may bring it",
                )
        elif item.get("assignee"):
            yield (
                f"it is ready, and assigned to {item['assignee']}: only that one is offered it",
                "",
            )
        else:
            yield "it is ready: nobody has claimed it", f"`wk claim {name}`"

    def _held(self, item: Json) -> Reason:
        health = self._healths.get(item["work_id"])
        if health is None:
            return f"{item['owner']} holds it, and works in another store", ""
        since = f"{health['why']}, {age_ms(health['age_ms'])} ago"
        stuck = health["state"] in ("dead", "lost")
        todo = "`coord-patrol` gives it back" if stuck else ""
        return f"{item['owner']} holds it, and is {health['state']}: {since}", todo

    def _on_hold(self, at: str, own: str) -> Reason:
        """By itself or an ancestor."""
        holder = self._items.detail(at)
        name = "it" if at == own else f"{holder['id']}, above it,"
        if "defer_until" in holder and str(holder["defer_until"]) > world.format_ts(self._now):
            return f"{name} is deferred until {holder['defer_until']}", ""
        reason = f": {holder['hold']}" if "hold" in holder else ""
        todo = f"`wk update {holder['id']} --no-hold` ends that"
        return f"{name} is on hold{reason}", todo

    def _blocked(self, at: str) -> Reason:
        if not self._items.state(at):
            return f"it waits for {at}, which is not in this store", "`ev sync` may bring it"
        blocker = self._items.detail(at)
        owner = f" of {blocker['owner']}" if "owner" in blocker else ""
        what = f"{blocker['id']} ({blocker['status']}{owner}): {blocker['title']}"
        asked = ", ".join(blocker.get("asked", ()))
        if blocker["kind"] == "question":
            return f"it waits for an answer{f' of {asked}' if asked else ''} to {what}", (
                f"`wk answer {blocker['id']} ANSWER`"
            )
        return f"it waits for {what}", f"`coord-patrol why {blocker['id']}`"

    # ---- a job

    def _of_job(self, at: str, of_item: bool = False) -> Iterator[Json]:
        """With `of_item`, what concerns its work item was said already."""
        state = self._jobs.state(at)
        job: Json = {**self._jobs.row(state)}
        row = {"id": job["id"], "status": job["status"], "run_id": at}
        for why, todo in self._waiting(job, state["request"]["body"]):
            yield row | _said(why, todo)
        if job["status"] not in ("requested", "waiting"):
            return
        work = state["request"].get("work")
        labels = self._items.row(work).get("labels", []) if self._known(work) else []
        agent = state["request"]["body"].get("env", {}).get("COORD_AGENT")
        address = f"agent:{agent}" if agent and ":" not in agent else agent
        if not of_item or address:
            for why, todo in self._closed(address, work, [] if of_item else labels):
                yield row | _said(why, todo)
        for why, todo in self._limits():
            yield row | _said(why, todo)

    def _limits(self) -> Iterator[Reason]:
        """Those of all pools: in which one it will run is decided by the worker."""
        for limit in control.limits(self._stops):
            if limit["until_ms"] > self._now:
                pool, until = limit["pool"], world.format_ts(limit["until_ms"])
                what = f"pool {pool} is limited by its provider until {until}"
                yield what, f"`coord-patrol resume --scope pool:{pool}` ends that"

    def _known(self, work: str | None) -> bool:
        return work is not None and self._items.state(work) is not None

    def _waiting(self, job: Json, body: Json) -> Iterator[Reason]:
        status = job["status"]
        if status == "waiting":
            for before in job.get("waits_for", ()):
                name = ids.short("run", before)
                yield f"it waits for {name} to succeed", f"`coord-patrol why {name}`"
        elif status in ("claimed", "running"):
            yield f"it is {status} by {job.get('runner')}", ""
        elif status != "requested":
            yield f"it is over: {status}", f"`run retry {job['id']}`"
        elif "not_before" in job:
            yield f"its last attempt failed; the next is at {job['not_before']}", ""
        else:
            needs = body.get("needs", ())
            cap = "".join(f" --cap {each}" for each in needs)
            which = f" that offers {' '.join(needs)}" if needs else ""
            yield f"no worker{which} has a free slot for it", f"`run worker{cap}` runs it"

    # ---- both

    def _closed(self, agent: str | None, work: str | None, labels: list[str]) -> Iterator[Reason]:
        """Stops, quarantines and budgets."""
        for stop in control.open_stops(self._stops):
            if control.covers(stop["scope"], agent or "", labels) or stop["scope"][:5] == "pool:":
                why = f": {stop['reason']}" if stop["reason"] else ""
                what = f"{stop['by']} stopped {stop['scope']} at {stop['ts']}{why}"
                yield what, f"`coord-patrol resume --scope {stop['scope']}`"
        for quarantine in control.open_quarantines(self._stops, agent) if agent else ():
            yield f"{agent} is quarantined: {quarantine['why']}", f"`coord-patrol free {agent}`"
        closed = self._budgets.gate(agent, work)
        if closed:
            at, why = closed
            yield (
                f"{why}; the next start is at {world.format_ts(at)}",
                "see [budgets] in coord.toml",
            )


def _said(why: str, todo: str) -> Json:
    return {"why": why, **({"todo": todo} if todo else {})}
