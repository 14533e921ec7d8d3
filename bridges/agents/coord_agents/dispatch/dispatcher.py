"""The dispatcher of a store as a controller: what it sees, plans and does."""

from __future__ import annotations

from coord_agents import draft, fold
from coord_agents.dispatch import plan as planning
from coord_agents.dispatch.look import AGENT, Look
from coord_agents.evidence import Evidence
from coord_agents.settings import Settings
from coord_agents.sling import Order, Sling, session
from coord_agents.starting import end, report, task_prompt
from coord_agents.tools import Tools
from coord_envelope import ids, world
from coord_envelope.errors import No
from coord_kernel.cli.budgets import Budgets, Usages
from coord_kernel.cli.configured import Configured
from coord_kernel.cli.person import person
from coord_kernel.controller import Act, Plan
from coord_kernel.journal.beat import beat
from coord_kernel.views.presence import Stops
from coord_kernel.views.view import View
from coord_wk.items import Items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coord_agents.dispatch.look import Gate
    from coord_agents.dispatch.policy import Dispatching
    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel import Journal
    from coord_kernel.cli.call import Call

_NAMESPACES = ("work", "session", "control", "patrol", "mountain", "provider", "budget")


class Dispatcher:
    """It acts as one agent, bridge:dispatch, whoever started it."""

    def __init__(self, call: Call, policy: Dispatching, directory: str) -> None:
        self._call, self._journal, self._policy = call, call.journal, policy
        self._store = store = call.journal.store
        self._settings = Settings(store)
        self._tools = Tools(AGENT, directory)
        self._items, self._stops = View(store, Items.fold), Stops(store)
        self._evidence = Evidence(store, policy.records)
        self._budgets, self._usages = Configured(store), Usages(store)

    def wakes(self, event: Event) -> bool:
        """Can the event change the plan?

        What this or another dispatcher has begun only takes from it, and is seen before each act.
        """
        kind = event["type"]
        own = event["actor"]["agent_id"] == AGENT and kind != "session.ended"
        return not own and kind.partition(".")[0] in _NAMESPACES

    def plan(self) -> Plan:
        sessions = self._evidence.sessions()
        items, stops = Items.current(self._items), self._stops.refresh()
        look = Look(items, sessions, stops)
        own = set(self._store.replicas())
        presets = {name: record.is_metered for name, record in self._policy.records.items()}
        seen = look.seen(presets, own, self._shown, self._gate())
        return planning.plan(seen, world.now_ms(), self._policy)

    def _gate(self) -> Gate:
        budgets = Budgets(
            self._budgets.now(), self._usages.refresh(), self._stops.control(), world.now_ms()
        )
        return budgets.gate

    def _shown(self, state: fold.Session) -> tuple[bool, bool]:
        up = self._evidence.is_up(state)
        return up, not up and self._evidence.shows(state)

    def act(self, act: Act) -> None:
        """Do it, unless it was done. Raises Fault."""
        acts: dict[str, Callable[[Act], None]] = {
            "start": self._start,
            "seen": self._seen,
            "undo": self._undo,
            "skip": self._skip,
            "answer": self._answer,
            "report": self._report,
        }
        acts[act.kind](act)

    def rows(self) -> Iterator[Json]:
        """What it would do now."""
        for act in self.plan().acts:
            about = act.about
            item, state = about.get("item", {}), about.get("state")
            known = fold.facts(state) if state else about.get("flight") or about.get("answer", {})
            work = item.get("id") or known.get("work")
            row = {"act": act.kind, "work_id": work, "title": item.get("title", "")}
            row |= {name: about[name] for name in ("preset", "agent") if name in about}
            yield row | {"key": act.key}

    def _start(self, act: Act) -> None:
        item, agent = act.about["item"], act.about["agent"]
        record = self._policy.records[act.about["preset"]]
        order = Order(agent, record, self._policy.via, task_prompt(agent, item["id"]))
        order.work, order.key, order.worktree = item["id"], act.key, self._policy.worktree
        order.slots = [f"slot-{number}" for number in range(self._policy.max)]
        sling = Sling(self._journal, self._tools, self._settings, order)
        try:
            sling.begin()
        except No as fault:
            if fault.code != "held":
                raise
            return  # another dispatcher was faster
        state = session(self._evidence.sessions(), agent, sling.session)
        if state:
            self._put([fold.begun(state)[0]])

    def _seen(self, act: Act) -> None:
        flight = act.about["flight"]
        actor = {"agent_id": flight["agent"], "session_id": flight["session"]}
        beat(self._journal, actor, "busy")

    def _undo(self, act: Act) -> None:
        flight = act.about["flight"]
        state = session(self._evidence.sessions(), flight["agent"], flight["session"])
        if state:
            end(self._journal, self._tools, state, "did not come up", None)

    def _skip(self, act: Act) -> None:
        """Ask a person, say so, hold the item: a dispatcher that dies between is completed."""
        item = act.about["item"]
        causes = [name for name, _ in item["failures"]]
        options = [f"--option={option}" for option in draft.OPTIONS]
        text = draft.question(item["id"], item["title"], causes)
        words = (f"--to={person(self._store)}", f"--key={act.key}", *options)
        (asked,) = self._tools.run("wk", "ask", text, *words)
        said = draft.skipped(item["id"], causes, asked["event_id"], act.key)
        with self._journal.transaction({"agent_id": AGENT}) as t:
            if self._journal.index.refresh().by_key(said["type"], act.key) is None:
                t.add(said)
        self._call.put(t.events)
        hold = (f"--hold={len(causes)} sessions failed", f"--label={draft.SKIPPED}")
        self._tools.run("wk", "update", item["id"], *hold)

    def _report(self, act: Act) -> None:
        self._call.put(report(self._journal, self._evidence, act.about["state"], AGENT))

    def _answer(self, act: Act) -> None:
        answer = act.about["answer"]
        work, option = answer["work"], answer["option"]
        if option == "retry":
            self._call.put(forget(self._journal, self._tools, work))
        else:
            how = "cancelled" if option == "drop" else "done"
            note = f"{option}, as answered to {ids.short('wk', answer['question'])}"
            self._tools.run("wk", "close", work, f"--resolution={how}", f"--note={note}")

    def _put(self, names: list[str]) -> None:
        self._call.put(filter(None, map(self._call.event, names)))


def forget(journal: Journal, tools: Tools, work: str) -> list[Event]:
    """Forget the failures of an item, and release its hold. Raises No, Fault."""
    (row,) = tools.run("wk", "show", work)
    if draft.SKIPPED not in row.get("labels", ()):
        raise No("was not passed over", where=work)
    actor = {"agent_id": tools.env["COORD_AGENT"]}
    events = journal.append(actor, [draft.cleared(row["work_id"])])
    tools.run("wk", "update", row["work_id"], "--hold=", f"--rm-label={draft.SKIPPED}")
    return list(events)
