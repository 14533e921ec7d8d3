"""What the commands of coord-agent do with sessions: start, stop, go on, ask, report."""

from __future__ import annotations

import os

from coord_agents import fold
from coord_agents import presets as registry
from coord_agents.evidence import Evidence, label
from coord_agents.rows import Rows
from coord_agents.settings import Settings
from coord_agents.sling import Order, Sling, Taken, undo
from coord_agents.tools import Tools
from coord_envelope import No, Usage, ids, world
from coord_envelope.errors import Fault, TryAgain, Unreachable
from coord_envelope.platform import suppress
from coord_kernel.cli import values
from coord_kernel.rules import claims
from coord_kernel.views.view import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coord_agents import groups as g
    from coord_agents.record import Record
    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel import Journal
    from coord_kernel.cli.call import Call

CANDIDATES = 20
"""Ready items that are tried with --claim."""


def task_prompt(agent: str, work: str) -> str:
    """What an agent is asked that was started for an item: nothing that others wrote."""
    short = ids.short("wk", work)
    return f"""\
You are {agent}. You hold the work item {short}. Read it with `wk show {short}`, do it, and close it
with `wk close {short} --note TEXT`. If you cannot finish it, say what is done and what is left with
`wk comment {short} TEXT`, and give it back with `wk release {short}`."""


def start(call: Call, agent: str, record: Record, running: g.Running, task: g.Task) -> Json:
    """Start a session, and return its row. Raises Fault."""
    if task.work and task.claim:
        raise Usage("--work cannot be used with --claim", todo="leave one of them out")
    tools = tools_of(call)
    prompt = values.text(running.prompt, "--prompt") if running.prompt else ""

    def order(work: str | None) -> Order:
        asked = prompt or (task_prompt(agent, work) if work else "")
        made = Order(agent, record, running.via, asked)
        made.work, made.worktree = work, task.worktree
        via, _ = made.way()
        if via == "headless" and not asked:
            raise Usage(
                "without a terminal it needs a task", todo="add --prompt, --work or --claim"
            )
        return made

    if not task.claim:
        work = tools.run("wk", "show", task.work)[0]["work_id"] if task.work else None
        return _started(call, tools, order(work))
    for row in tools.run("wk", "ready", "-n", str(CANDIDATES)):
        if row.get("assignee", "") in ("", agent):
            try:
                return _started(call, tools, order(row["work_id"]))
            except No as refused:
                if not refused.where.startswith("wk "):
                    raise
    raise No("no ready item", code="not_found")


def _started(call: Call, tools: Tools, order: Order) -> Json:
    sling = Sling(call.journal, tools, Settings(call.journal.store), order)
    sling.begin()
    if not sling.wait():
        sling.undo("did not come up")
        todo = f"its output: run logs {ids.short('run', sling.run or '')}"
        raise TryAgain("did not come up; its job and its claim were undone", order.agent, todo)
    rows = rows_of(call)
    return rows.row(rows.named(sling.session))


def tools_of(call: Call) -> Tools:
    """The tools as the agent of this call, in this directory."""
    return Tools(call.actor()["agent_id"], os.getcwd())


def rows_of(call: Call) -> Rows:
    """The sessions of the store."""
    return Rows(call.journal.store, registry.load())


def attach(call: Call, name: str) -> None:
    """Become what shows the session. Raises No, Unreachable."""
    known = fold.facts(rows_of(call).named(name))
    if "run" not in known:
        raise No("has not begun", where=name)
    env = {key: text for key, text in os.environ.items() if key != "TMUX"}
    if known.get("via") == "tmux":
        argv = ["tmux", "-L", label(known["run"]), "attach", "-t", "job"]
    else:
        argv = ["run", "attach", known["run"]]
        env["PATH"] = tools_of(call).env["PATH"]
    try:
        os.execvpe(argv[0], argv, env)
    except FileNotFoundError:
        raise Unreachable("is not installed", where=argv[0]) from None


def held(journal: Journal, state: fold.Session) -> Iterator[tuple[str, str]]:
    """(claim, item) of what a session holds."""
    view = View(journal.store, claims).refresh()
    for _, entity in view.find("owner", f"{state['agent']} ", f"{state['agent']}!"):
        kind, _, work = entity.partition(" ")
        owner = claims.owner(view.get(entity)) if kind == "work" else None
        if owner and owner["session"] == state["session"]:
            yield owner["id"], work


def stop(call: Call, name: str) -> Json:
    """Stop a session, and return its row. Raises No if it is over."""
    rows = rows_of(call)
    state = rows.named(name)
    if fold.over(state):
        raise No("is over", where=state["session"], code="closed")
    end(call.journal, tools_of(call), state, "stopped", call.actor()["agent_id"])
    rows = rows_of(call)
    report(call.journal, rows.evidence, rows.named(state["session"]), call.actor()["agent_id"])
    return rows.row(rows.named(state["session"]))


def finished(call: Call, names: Sequence[str] | None) -> Iterator[Json]:
    """End sessions whose work is done; their rows. Of those in `names` that go on it says why.

    Raises Fault: TryAgain at the end, as the others are looked at, too.
    """
    from coord_agents.finishing import Finisher

    evidence = rows_of(call).evidence
    finisher = Finisher(call.journal, evidence, tools_of(call))
    if names:
        rows = rows_of(call)
        states = [rows.named(name) for name in names]
    else:
        states = finisher.opened()
    late: TryAgain | None = None
    for state in states:
        try:
            why = finisher.kept(state) or finisher.finish(state["session"])
        except TryAgain as error:
            late = late or error
            continue
        if why is None:
            rows = rows_of(call)
            state = rows.named(state["session"])
            report(call.journal, rows.evidence, state, call.actor()["agent_id"])
            yield rows.row(state)
        elif names:
            call.warn(f"{state['session']}: goes on: {why}")
    if late:
        raise late


def end(journal: Journal, tools: Tools, state: fold.Session, why: str, by: str | None) -> None:
    """End a session: its job, its claims, and say so. `by`: a person asked for it."""
    names = (state["agent"], state["session"])
    taken = Taken(*names, fold.facts(state).get("run"))
    taken.claims = list(held(journal, state))
    undo(journal, tools, taken, ("stopped" if by else "crash", why), by)


def again(call: Call, name: str, running: g.Running, verb: str) -> Json:
    """Start the next session after one: with its conversation (`resume`), or without."""
    rows = rows_of(call)
    state = rows.named(name)
    known = fold.facts(state)
    if verb == "resume" and not fold.over(state):
        raise No("is not over", where=state["session"], todo="`coord-agent say` reaches it")
    record = registry.named(running.preset or known["preset"])
    prompt = values.text(running.prompt, "--prompt") if running.prompt else ""
    work = known.get("work")
    if work and not _is_open(call, work):
        work = None
    if verb == "resume" and running.preset not in (None, known["preset"]):
        raise Usage(
            "another runtime cannot resume it", todo=f"use `restart --preset {running.preset}`"
        )
    fallback = "Go on." if verb == "resume" else ""
    asked = prompt or (task_prompt(state["agent"], work) if work and verb == "start" else fallback)
    order = Order(state["agent"], record, running.via or known.get("via"), asked)
    order.verb, order.work, order.takes_over = verb, work, True
    order.tree = known["cwd"] if os.path.isdir(known.get("cwd", "")) else None
    if verb == "resume":
        order.provider = rows.evidence.provider(state)
        if order.provider is None:
            raise No("the id of its conversation is not known", where=state["session"])
    via, way = order.way()
    if via == "headless" and not asked:
        raise Usage("without a terminal it needs a task", todo="add --prompt")
    if verb == "resume":
        _rested(state, way.rest_ms)
    if not fold.over(state):
        end(call.journal, tools_of(call), state, "restarted", call.actor()["agent_id"])
    return _started(call, tools_of(call), order)


def _rested(state: fold.Session, rest_ms: int) -> None:
    """Raise TryAgain if its program would lose the conversation by going on so soon."""
    begun = max(world.parse_ts(ts) for ts, *_ in state["starts"].values())
    left = begun + rest_ms - world.now_ms()
    if left > 0:
        todo = f"try again in {(left + 999) // 1_000} s"
        raise TryAgain("its program needs a pause between two starts", state["session"], todo)


def _is_open(call: Call, work: str) -> bool:
    try:
        (row,) = tools_of(call).run("wk", "show", work)
    except No:
        return False
    return row["status"] in ("ready", "active")


def reported(call: Call, names: Sequence[str] | None) -> Iterator[Event]:
    """Report what sessions used that are over; the events that were written."""
    rows = rows_of(call)
    if names:
        states = [rows.named(name) for name in names]
    else:
        found = (rows.source.get(entity) for _, entity in rows.source.find("agent"))
        states = [state for state in found if "preset" in fold.facts(state)]
    for state in states:
        if fold.over(state):
            with suppress(Fault):
                yield from report(call.journal, rows.evidence, state, call.actor()["agent_id"])


def report(journal: Journal, evidence: Evidence, state: fold.Session, agent: str) -> list[Event]:
    """Report what a session used that is over, unless that was done.

    Also that it used nothing that is known: so it is not looked at again.
    """
    from coord_agents import usage

    known = fold.facts(state)
    record = evidence.records.get(known["preset"])
    run = known.get("run")
    if record is None or run is None or not record.is_metered:
        return []
    key = f"usage:{run}"
    if journal.index.refresh().by_key("usage.reported", key):
        return []
    body = evidence.used(state) or {}
    event = usage.reported(
        (state["agent"], state["session"]), run, body, known.get("work"), record.pool
    )
    with journal.transaction({"agent_id": agent}) as t:
        if journal.index.refresh().by_key("usage.reported", key) is None:
            t.add(event)
    return t.events
