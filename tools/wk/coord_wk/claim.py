"""The commands of wk about who works on an item: claim, release, close.

Who is the same holder is one rule (`coord_kernel.rules.holder`), and in one store.
"""

from __future__ import annotations

from coord_envelope import BadData, No, Usage
from coord_kernel.cli.call import Call
from coord_kernel.rules import claims
from coord_wk import draft, fold
from coord_wk import groups as g
from coord_wk.change import change_all, change_each
from coord_wk.work import WORK, Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.journal.transaction import Transaction
    from coord_wk import options as o
    from coord_wk.items import Items
    from coord_wk.registers import State


_MORE = {
    "answer": "`wk answer ID OPTION` answers a question",
    **dict.fromkeys(("resolution", "note"), "use options, or `wk apply`"),
}
"""Fields of a line for `close` that it would not do."""


def claim(
    call: Call,
    takeover: g.Takeover,
    strength: g.Strength,
    override: g.Override,
    ids: o.Ids = None,
) -> None:
    """Claim work items: nobody else works on them then.

    Of several who claim at once one wins; the others exit 1 and learn who. Claiming what you hold
    exits 0. --force also claims held and blocked items, and with --steal those of an owner who is
    not silent. With a remote its arbiter confirms the claim; if it cannot be reached, the claim is
    tentative. With --for the claim is another agent's.
    """
    if takeover.steal and not takeover.reason:
        raise Usage("--steal needs --reason")
    if takeover.reason and not (takeover.steal or takeover.resume):
        raise Usage("--reason needs --steal or --resume")
    if takeover.session is not None and takeover.for_ is None:
        raise Usage("--session needs --for")
    from coord_wk.confirm import Confirm

    work = Work(call, override.allow_secret)
    confirm = Confirm(call, work, strength)
    behalf = _behalf(takeover)
    holding = behalf or call.actor()

    def take(text: str) -> Iterable[Event]:
        with work.transaction() as (t, items):
            item = items.resolve(text)
            state, status = items.known(item), items.status(item)
            holder = claims.owner(state) if status == "active" else None
            mine = call.event(holder["id"]) if holder and work.mine(holder, holding) else None
            if mine:
                t.repeat(mine)
            elif holder:
                refuse_holder(holder)
                reason = takeover.reason or "resumed"
                taken = draft.claimed(item, state, True, reason, behalf)
                t.add(draft.told(taken, holder["agent"], holding))
            else:
                refuse_status(items, item)
                if not override.force:
                    work.refuse_second(items, holding["agent_id"])
                t.add(draft.claimed(item, state, behalf=behalf))
        assignee = fold.text(state, "assignee")
        if assignee not in (None, holding["agent_id"]):
            call.warn(f"{text}: is assigned to {assignee}")
        return [work.described(confirm.settle(event, text), items, item) for event in t.events]

    def refuse_holder(holder: claims.Owner) -> None:
        ours = holder["agent"] == holding["agent_id"]
        if takeover.resume and ours:
            return
        if not takeover.steal:
            wait = "wait, or when its owner has been silent for 30 minutes: --steal --reason WHY"
            todo = "--resume takes it over" if ours else wait
            named = f"is held by {work.named(holder, holding)} since {holder['ts']}"
            raise No(named, todo=todo, code="held")
        if not (override.force or work.silent(holder["agent"])):
            what = f"{holder['agent']} has written an event in the last 30 minutes"
            raise No(what, todo="--force steals it anyway", code="held")

    def refuse_status(items: Items, item: str) -> None:
        status = items.status(item)
        if status in draft.RESOLUTIONS:
            raise No(f"is {status}", todo="`wk reopen` it first", code="closed")
        if "question" in items.known(item):
            raise No("is a question", todo="`wk answer` it", code="wrong_state")
        if status != "ready" and not override.force:
            by = f" by {' '.join(items.named_blockers(item))}" if status == "blocked" else ""
            todo = "--force claims held and blocked items"
            raise No(f"is {status}{by}", todo=todo, code="wrong_state")

    call.each(ids, WORK, take)


def _behalf(takeover: g.Takeover) -> Json | None:
    """For whom the claim is, as an actor; None: for the caller."""
    if takeover.for_ is None:
        return None
    session = {"session_id": takeover.session} if takeover.session else {}
    return {"agent_id": Call.agent_id(takeover.for_, "--for"), **session}


def release(
    call: Call,
    override: g.Override,
    ids: o.Ids = None,
    reason: o.Reason = None,
    claim: o.OfClaim = None,
) -> None:
    """Release work items that you claimed.

    Releasing again with the same reason exits 0 and prints the first event. With --claim it ends
    that claim only, whoever has it, and does nothing if it is over; its owner has mail.
    """
    work = Work(call, override.allow_secret)

    def change(t: Transaction, items: Items, item: str) -> None:
        state = items.known(item)
        if claim is not None:
            _end(t, work, item, state, call.resolve(claim))
            return
        holder = claims.owner(state)
        if holder and (override.force or work.mine(holder)):
            given_back(t, item, state, holder["id"])
            return
        last = max((at for at, claim in state["claims"].items() if work.mine(claim)), default="")
        repeated = draft.given_back(item, state, last, note=reason)
        event = work.again(state["ended"][last], repeated) if last in state["ended"] else None
        if not event:
            raise work.refusal(holder) if holder else No("is held by nobody", code="not_held")
        t.repeat(event)

    def _end(t: Transaction, work: Work, item: str, state: State, cited: str) -> None:
        if cited not in state["claims"] and cited not in state["confirmed"]:
            raise No(f"has no claim {claim}", code="not_found")
        if not claims.over(state, cited):
            given_back(t, item, state, cited)
        elif end := call.event(state["ended"].get(cited, "")):
            t.repeat(end)

    def given_back(t: Transaction, item: str, state: State, cited: str) -> None:
        held = state["claims"].get(cited)
        agent = held["agent"] if held else state["confirmed"][cited]["agent"]
        how = "released" if held and work.mine(held) else "forced"
        end = draft.given_back(item, state, cited, how, reason)
        t.add(draft.told(end, agent, call.actor()))

    change_all(call, work, ids, change, "" if claim is None else "that claim is over already")


def handoff(call: Call, handing: g.Handing, override: g.Override, ids: o.Ids = None) -> None:
    """Hand work items over to another agent.

    In one step your claim ends, the item is assigned to AGENT, and AGENT has mail. An item that
    another agent holds needs --force.
    """
    if handing.to is None:
        raise Usage("--to is missing")
    agent = call.agent_id(handing.to, "--to")
    if call.journal.last_seen(agent) is None:
        call.warn(f"no agent named {agent} has written here yet")
    work = Work(call, override.allow_secret)
    said: Json = {"text": handing.note} if handing.note else {}
    said |= work.shortened(said, "text")

    def change(t: Transaction, items: Items, item: str) -> None:
        state, status = items.known(item), items.status(item)
        holder = claims.owner(state)
        if status in draft.RESOLUTIONS:
            raise No(f"is {status}", todo="`wk reopen` it first", code="closed")
        draft.refuse_asked(item, state)
        if holder and not (override.force or work.mine(holder)):
            raise work.refusal(holder)
        steps = []
        if holder:
            how = "handoff" if work.mine(holder) else "forced"
            end = draft.given_back(item, state, holder["id"], how)
            steps.append(draft.told(end, holder["agent"], call.actor()))
        if fold.text(state, "assignee") != agent:
            steps.append(draft.change("updated", item, state, {"set": {"assignee": agent}}))
        if said:
            steps.append(draft.change("commented", item, state, said))
        if steps:
            steps[-1]["to"] = list(dict.fromkeys([*steps[-1].get("to", ()), agent]))
        for step in steps:
            base = [t.events[-1].id] if t.events else step["base"]
            t.add(step | {"base": base})
        if not steps and (known := call.event(max(state["registers"]["assignee"]))):
            t.repeat(known)

    change_each(call, work, ids, change, "is assigned to that agent already")


def close(call: Call, closing: g.Closing, override: g.Override, ids: o.Ids = None) -> None:
    """Close work items that nobody else holds.

    If your claim was taken over meanwhile, the item stays as it is, your note is kept as a comment,
    and the exit status is 1. Closing again with the same note exits 0 and prints the first event.
    With --require confirmed it claims the item first, and closes it only if the arbiter confirms.
    """
    usual = "done" if closing.dup_of is None else "duplicate"
    resolution, note = closing.resolution or usual, closing.note
    if closing.dup_of is not None and resolution != "duplicate":
        raise Usage(f"--dup-of with --resolution {resolution}", todo="leave one of them out")
    work = Work(call, override.allow_secret)
    work.refused = _MORE

    def change(t: Transaction, items: Items, item: str) -> No | None:
        state, status = items.known(item), items.status(item)
        holder = claims.owner(state)
        body: Json = {"resolution": resolution, **({"note": note} if note else {})}
        if closing.dup_of is not None:
            body["dup_of"] = items.resolve(closing.dup_of)
            if body["dup_of"] == item:
                raise BadData("cannot be a duplicate of itself")
        robbed = work.robbed(state)
        if status in draft.RESOLUTIONS:
            refusal = No(f"is {status} already", todo="`wk comment` adds to it", code="closed")
            first = max(state["registers"]["closed"])
            event = work.again(first, draft.change("closed", item, state, body))
            if event and not robbed:
                t.repeat(event)
                return None
        elif holder and not override.force and not work.mine(holder):
            refusal = work.refusal(holder)
        else:
            cited = {"claim": holder["id"]} if holder else {}
            closed = draft.change("closed", item, state, body | cited)
            t.add(draft.told(closed, holder["agent"], call.actor()) if holder else closed)
            return None
        if not robbed:
            raise refusal
        kept = note or f"closed as {resolution} after its claim was taken over"
        me = call.actor()["agent_id"]
        if (me, kept) not in [(comment["by"], comment["text"]) for comment in state["comments"]]:
            t.add(draft.change("commented", item, state, {"text": kept}))
        return refusal

    before = _confirming(call, work, closing, override)
    if before is None:
        change_all(call, work, ids, change)
    else:
        change_each(call, work, ids, change, before=before)


def _confirming(
    call: Call, work: Work, closing: g.Closing, override: g.Override
) -> Callable[[str], None] | None:
    """What claims an item and has the claim confirmed, before it is closed; None: nothing does."""
    if closing.require is None:
        return None
    from coord_wk.confirm import Confirm

    confirm = Confirm(call, work, g.Strength(require=closing.require))

    def secure(text: str) -> None:
        with work.transaction() as (t, items):
            item = items.resolve(text)
            state, holder = items.known(item), claims.owner(items.known(item))
            if items.status(item) in draft.RESOLUTIONS:
                return  # closing it says so
            mine = call.event(holder["id"]) if holder and work.mine(holder) else None
            if mine:
                t.repeat(mine)
            elif holder and not override.force:
                raise work.refusal(holder)
            else:
                taken = draft.claimed(item, state, holder is not None, "to close it")
                t.add(draft.told(taken, holder["agent"], call.actor()) if holder else taken)
        confirm.settle(t.events[0], text)

    return secure if closing.require == "confirmed" else None
