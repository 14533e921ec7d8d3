"""The commands of wk about questions: ask, answer, check.

How an answer counts once:

1. Under the lock: is it open, an option of it, about what is there now, and in time? Then it is
   claimed, and the claim says the answer.
2. Without a remote it is closed in the same transaction. With one the arbiter confirms the claim
   first; whoever loses learns who won, and with what.
3. A time that is over answers with the default, by `bridge:wk`, in the same way: whoever looks at
   the question does it, and so does coord-patrol.
"""

from __future__ import annotations

from coord_envelope import BadData, No, Unreachable, Usage, world
from coord_envelope.errors import Refused
from coord_envelope.platform import contextmanager, suppress
from coord_kernel.cli.values import agent_id
from coord_kernel.rules import claims
from coord_kernel.store import locate
from coord_wk import draft, fold, question
from coord_wk import groups as g
from coord_wk.about import about, changed
from coord_wk.confirm import Confirm
from coord_wk.work import Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.journal.transaction import Transaction
    from coord_wk import options as o
    from coord_wk.items import Items
    from coord_wk.registers import State

BRIDGE = "bridge:wk"
"""Who answers with the default when the time is over."""
DIES_MS = 60_000
"""A claim with a confirmed answer that was not closed for so long is closed by whoever looks."""
FOREVER_MS = 86_400_000.0


def ask(
    call: Call, asking: g.Asking, text: o.Question, allow_secret: o.AllowSecret = False
) -> int | None:
    """Ask a person, and hold what waits for the answer.

    The question is a work item of kind question, and mail to --to. The first line of TEXT is its
    title. What depends on it (--blocks, or `wk new --blocked-by`) is blocked until it is answered.
    With --wait: prints the answer when it comes, and exits as `wk check` does. With --for it is
    answered by the option --on-timeout when the time is over.
    """
    work = Work(call, allow_secret)
    recipients, said = _recipients(asking), _asked(call, asking)
    title, _, rest = call.text(text, "TEXT", draft.LONGEST_TEXT).strip().partition("\n")
    if not title:
        raise BadData("is empty", where="TEXT", todo="say what you ask")
    words: Json = {
        "title": title,
        "desc": rest.strip() or None,
        "kind": question.KIND,
        "assignee": recipients[0],
        **({} if asking.key is None else {"idempotency_key": asking.key}),
    }
    blob = work.shortened(words, "desc")
    if asking.about is not None:
        said["about"] = about(call.journal.store, work.items(), asking.about)
    with work.transaction() as (t, items):
        created = draft.created(words, blob)
        body = {**created["body"], "subject": title, question.KIND: said}
        asked = t.add({**created, "to": recipients, "body": body})
        for blocked in asking.blocks or ():
            _block(t, items, items.resolve(blocked), asked.id)
    for address in recipients:
        if call.journal.last_seen(address) is None:
            call.warn(f"no agent named {address} has written here yet")
    call.put([asked])
    return _wait(call, work, asked.id) if asking.wait else None


def _recipients(asking: g.Asking) -> list[str]:
    if not asking.to:
        raise Usage("--to is missing", todo="name who is to answer: --to human:NAME")
    return list(dict.fromkeys(agent_id(name, "--to") for name in asking.to))


def _asked(call: Call, asking: g.Asking) -> Json:
    """The options, and the default when the time is over. Raises BadData, Usage."""
    options = list(asking.option or (question.YES, question.NO))
    for option in options:
        long = len(option.encode("utf-8", "replace")) > question.LONGEST_OPTION
        if long or not draft.label_ok(option):
            todo = f"use a text of up to {question.LONGEST_OPTION} bytes"
            raise BadData(f"not a valid option: {option!r}", where="--option", todo=todo)
    if len(set(options)) < len(options):
        raise Usage("--option: the same option twice")
    if len(options) > question.MOST_OPTIONS:
        raise Usage(f"--option: more than {question.MOST_OPTIONS}")
    if (asking.for_ is None) != (asking.on_timeout is None):
        raise Usage("--for and --on-timeout need each other", todo="--for 2h --on-timeout no")
    said: Json = {"options": options}
    if asking.for_ is not None:
        if asking.on_timeout not in options:
            raise _no_option(asking.on_timeout or "", options, "--on-timeout")
        said["until"] = world.later(call.span(asking.for_, "--for"))
        said["on_timeout"] = asking.on_timeout
    return said


def _no_option(option: str, options: list[str], where: str) -> BadData:
    return BadData(f"not an option: {option!r}", where, f"valid values: {' '.join(options)}")


def _block(t: Transaction, items: Items, item: str, asked: str) -> None:
    """Make an item wait for the question, unless it does."""
    state = items.known(item)
    if items.status(item) in draft.RESOLUTIONS:
        raise No(f"is {items.status(item)}", where=item, todo="`wk reopen` it first", code="closed")
    body = {"add": {"deps": [{"rel": "blocked_by", "to": asked}]}}
    if fold.standing(state, body) is None:
        items.refuse_cycle(item, *draft.waits(body))
        t.add(draft.change("updated", item, state, body))


def answer(call: Call, id_: o.OneId, option: o.Answer) -> None:
    """Answer a question, once and for all.

    Of several who answer at once one wins, and the others exit 1 and learn whose answer counts.
    With a remote its arbiter decides; if it cannot be reached, the question stays open, and the
    exit status is 69. Refused, 77, if what the question is about has changed.
    """
    work = Work(call)
    _settle(call, work, id_)
    call.put([_Answering(call, work, call.actor()).give(id_, option)])


def check(call: Call, id_: o.OneId, at: o.At = None) -> int:
    """Print what was answered: exit 0 for yes, 1 for no.

    Yes is the option `yes`, or if there is none the first that is not `no`. Exits 75 as long as it
    is open, and 77 if what it is about is not what it was when it was asked. Let the act check, at
    the last moment.
    """
    work = Work(call)
    if at is None:
        _settle(call, work, id_)
    items = work.items(at)
    return _print(call, items, items.resolve(id_))


def _print(call: Call, items: Items, item: str) -> int:
    state = _question(items, item)
    what = changed(call.journal.store, items, state)
    how, status = question.verdict(state, bool(what))
    row: Json = {**items.row(item), "status": how, **({"changed": what} if what else {})}
    call.put([row])
    return status


def _question(items: Items, item: str) -> State:
    state: State = items.known(item)
    if question.of(state) is None:
        raise BadData(
            "is not a question", where=item, todo="`wk ask` makes one", code="wrong_state"
        )
    return state


def _wait(call: Call, work: Work, item: str) -> int:
    """Wait until a question is answered, withdrawn, or about something that has changed."""
    from contextlib import closing  # 3 ms

    def within() -> float:
        until = question.of(items.known(item)).get("until")  # type: ignore[union-attr]
        if until is None:
            return FOREVER_MS
        return min(max(1.0, world.parse_ts(until) - world.now_ms()), FOREVER_MS)

    follower, items = call.journal.follow(call.journal.end(live=False), live=False), work.items()
    with closing(follower.batches(within=within)) as batches:
        for _ in batches:
            with suppress(Unreachable):  # of the arbiter: it is asked again with the next event
                _settle(call, work, item)
            items = work.items()
            state = _question(items, item)
            what = changed(call.journal.store, items, state)
            if question.verdict(state, bool(what))[0] != question.OPEN:
                return _print(call, items, item)
    return question.STATUS[question.OPEN]


def _settle(call: Call, work: Work, text: str) -> None:
    """Answer with the default, if the time is over; close what was answered by who died then."""
    items = work.items()
    item = items.resolve(text)
    state = items.known(item)
    asked, given = question.of(state), question.answer(state)
    bridge = _Answering(call, work, {"agent_id": BRIDGE})
    if asked and question.expired(state, items.now):
        with suppress(No):  # somebody else answered
            bridge.give(item, asked["on_timeout"])
    elif given and items.status(item) not in draft.RESOLUTIONS:
        with suppress(ValueError):
            if world.now_ms() - world.parse_ts(given["ts"]) > DIES_MS:
                bridge.close(item, given["claim"], given["option"])


class _Answering:
    """One actor that answers questions."""

    def __init__(self, call: Call, work: Work, actor: Json) -> None:
        self._call, self._work, self._actor = call, work, actor
        self._remote = locate.remote(call.journal.store) is not None

    def give(self, text: str, option: str) -> Event:
        """Answer with this option: the `work.closed` that says so. Raises Fault."""
        items = self._work.items()
        what = changed(self._call.journal.store, items, _question(items, items.resolve(text)))
        with self._transaction() as (t, items):
            item = items.resolve(text)
            state = _question(items, item)
            if known := self._known(t, state, option):
                return known
            self._look(item, state, option, what)
            claim = self._claimed(t, item, state, option)
            if not self._remote:
                return self._closed(t, items, item, claim.id, option)
        strength = g.Strength(require="confirmed")
        confirm = Confirm(self._call, self._work, strength, self._actor)
        again = "look" if self._actor["agent_id"] == BRIDGE else "answer"
        confirm.weaker = "; the question stays open", f"{again} again when it can be reached"
        try:
            claim = confirm.settle(claim, text)
        except No:
            self._lost(item, option)
            raise
        done = self.close(item, claim.id, option)
        return done.annotated(level=claim.get("$level"), token=claim.get("$token"))

    def _claimed(self, t: Transaction, item: str, state: State, option: str) -> Event:
        """The claim that says this answer: a new one, or a claim left behind."""
        said, held = draft.claimed(item, state), claims.owner(state)
        if held and state.get("answers", {}).get(held["id"]) == option:
            known = self._call.event(held["id"])
            if known:
                return t.repeat(known)
        if held:  # it says another answer, or none
            ended = t.add(draft.given_back(item, state, held["id"]))
            said["base"] = [ended.id]
        return t.add({**said, "body": {**said["body"], "answer": option}})

    def close(self, item: str, claim: str, option: str) -> Event:
        """Close what a claim has answered."""
        with self._transaction() as (t, items):
            if known := self._known(t, items.known(item), option):
                return known
            return self._closed(t, items, item, claim, option)

    def _closed(self, t: Transaction, items: Items, item: str, claim: str, option: str) -> Event:
        state, asked = items.known(item), question.of(items.known(item))
        body = {"resolution": "done", "claim": claim, "answer": option}
        closed = draft.change("closed", item, state, body)
        base = sorted({*closed["base"], claim})
        to = asked["by"] if asked else self._actor["agent_id"]
        done = t.add(draft.told({**closed, "base": base}, to, self._actor))
        if asked and self._actor["agent_id"] in asked["to"]:
            # The mail with the question is done.
            acked: Json = {"type": "msg.acked", "refs": {"msg_id": item}}
            t.add({**acked, "body": {"kind": "done"}})
        return done

    def _known(self, t: Transaction, state: State, option: str) -> Event | None:
        """The close of the same answer by the same agent. Raises No for another answer."""
        given = question.answer(state)
        closed = fold.value(state, "closed")
        if given is None and closed is None:
            return None
        if given is None:
            raise No("was withdrawn", todo="ask again", code="closed")
        if given["by"] == self._actor["agent_id"] and given["option"] == option:
            ends = state["registers"].get("closed")
            event = self._call.event(max(ends)) if ends and closed else None
            return t.repeat(event) if event else None
        who = "you" if given["by"] == self._actor["agent_id"] else given["by"]
        raise No(f"{who} answered {given['option']} at {given['ts']}", code="closed")

    def _look(self, item: str, state: State, option: str, what: str) -> None:
        """Raise what speaks against an answer. `what` has changed, if anything has."""
        asked = question.of(state)
        assert asked is not None
        me, options = self._actor["agent_id"], asked["options"]
        if option not in options:
            raise _no_option(option, options, item)
        holder = claims.owner(state)
        if holder and not self._work.mine(holder, self._actor):
            raise self._answers(state, holder)
        if me == BRIDGE:
            return
        if me == asked["by"] and me not in asked["to"] and not me.startswith("human:"):
            raise Refused("who asks does not answer", where=me, todo=f"ask {' '.join(asked['to'])}")
        if what:
            todo = "look at it, and ask again"
            raise Refused(f"{what} has changed since it was asked", todo=todo, code="changed")
        if me not in asked["to"]:
            self._call.warn(f"asked of {' '.join(asked['to'])}, answered by {me}")

    def _answers(self, state: State, holder: claims.Owner) -> No:
        option = state.get("answers", {}).get(holder["id"])
        how = f"answers {option}" if option else "holds it"
        return No(f"{holder['agent']} {how} since {holder['ts']}", code="held")

    def _lost(self, item: str, option: str) -> None:
        """Raise whose answer counts, if that is known here."""
        state = self._work.items().known(item)
        with self._transaction() as (t, _):
            self._known(t, state, option)
        holder = claims.owner(state)
        if holder:
            raise self._answers(state, holder)

    @contextmanager
    def _transaction(self) -> Iterator[tuple[Transaction, Items]]:
        self._work.items()  # a long way to go is gone before the lock is taken
        with self._call.journal.transaction(self._actor) as t:
            yield t, self._work.items()
