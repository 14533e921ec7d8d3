"""Questions: who was asked, what, and what was answered. Pure and total.

1. A question is an item whose `work.created` says so (`question`). Nothing changes that later: its
   options, what it is about. With another text it is another question (`reworded`).
2. Whoever answers claims the item, and the claim says the answer. The rule of all claims decides
   between several; with a remote, its arbiter.
3. The answer is that of the `work.closed` that follows, or of a confirmed claim until that comes:
   its writer may have died between the two. A question closed without one was withdrawn.
4. An answered question stays answered: the first answer counts (`first`), and what reopens the
   item or closes it again has no effect.
"""

from __future__ import annotations

from coord_kernel.rules import claims
from coord_kernel.rules.causality import precedes
from coord_wk import registers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_wk.registers import Question, State

    class Answer(TypedDict):
        """What was answered: by whom, when, by which claim."""

        option: str
        by: str
        ts: str
        claim: str


KIND = "question"
YES, NO = "yes", "no"
LONGEST_OPTION, MOST_OPTIONS = 100, 20
ANSWERED, OPEN, WITHDRAWN, CHANGED = "answered", "open", "withdrawn", "changed"
STATUS = {OPEN: 75, CHANGED: 77, WITHDRAWN: 1}
"""What `wk check` exits with as long as there is no answer that counts."""


def asked(event: Event) -> Question | None:
    """The question that a `work.created` asks; None if it asks none, or none that makes sense."""
    said = event["body"].get(KIND)
    if not isinstance(said, dict) or not _words(said.get("options")):
        return None
    to = event.get("to")
    question: Question = {
        "by": event["actor"]["agent_id"],
        "to": to if _words(to) else [],  # type: ignore[typeddict-item]
        "options": said["options"],
    }
    about, until, default = said.get("about"), said.get("until"), said.get("on_timeout")
    if isinstance(about, dict) and isinstance(about.get("digest"), str):
        texts = {name: about[name] for name in ("digest", "file", "work") if name in about}
        if all(isinstance(text, str) for text in texts.values()):
            question["about"] = texts  # type: ignore[typeddict-item]
    if isinstance(until, str) and default in question["options"]:
        question["until"], question["on_timeout"] = until, default
    return question


def _words(value: object) -> bool:
    return bool(value) and isinstance(value, list) and all(isinstance(word, str) for word in value)


def of(state: State) -> Question | None:
    """The question that an item asks; None if it is another item."""
    return state.get("question")


def affirmative(question: Question) -> str:
    """The option that lets the asker go on: `yes`, or the first of others than `no`."""
    options = question["options"]
    return YES if YES in options else next((word for word in options if word != NO), YES)


def answer(state: State) -> Answer | None:
    """What was answered; None as long as it is open, and if it was withdrawn."""
    closed, answers = registers.value(state, "closed"), state.get("answers", {})
    question = of(state)
    if question is None:
        return None
    if isinstance(closed, dict):
        option = closed.get("answer")
        if option not in question["options"]:
            return None
        claim = closed.get("claim", "")
        given = state["claims"].get(claim)
        by, ts = (given["agent"], given["ts"]) if given else (closed["by"], closed["ts"])
        return {"option": option, "by": by, "ts": ts, "claim": claim}
    holder = claims.owner(state)
    if holder is None or holder["n"] is None or holder["id"] not in answers:
        return None
    option, by, ts = answers[holder["id"]], holder["agent"], holder["ts"]
    if option not in question["options"]:
        return None
    return {"option": option, "by": by, "ts": ts, "claim": holder["id"]}


def first(state: State) -> str | None:
    """The `work.closed` whose answer counts; None if none says an option of the question.

    One whose writer knew of another does not count. Among concurrent ones the arbiter's first
    confirmation of a claim decides, or else the smallest id.
    """
    question, given, confirmed = of(state), state.get("given", {}), state["confirmed"]
    if question is None:
        return None
    valid = [at for at, closed in given.items() if closed["answer"] in question["options"]]

    def rank(at: str) -> tuple[int, str]:
        confirmation = confirmed.get(given[at].get("claim", ""))
        return (confirmation["n"] if confirmation else claims.TOKENS), at

    later = {at for at in valid if any(precedes(state, other, at) for other in valid)}
    return min((at for at in valid if at not in later), key=rank, default=None)


def status(state: State) -> str:
    """answered, open or withdrawn."""
    if answer(state):
        return ANSWERED
    return WITHDRAWN if isinstance(registers.value(state, "closed"), dict) else OPEN


def expired(state: State, now: str) -> bool:
    """Is its time over, and nobody answered?"""
    question = of(state)
    if question is None or status(state) != OPEN:
        return False
    return question.get("until", "~") <= now


def reworded(state: State) -> bool:
    """Does it say something else than was asked?"""
    first = state["created"]["id"]
    return any(at != first for name in ("title", "desc") for at in state["registers"].get(name, {}))


def verdict(state: State, changed: bool) -> tuple[str, int]:
    """(status, exit status). `changed`: is what it is about another thing now?"""
    how, given, question = status(state), answer(state), of(state)
    if how != WITHDRAWN and (changed or reworded(state)):
        return CHANGED, STATUS[CHANGED]
    if given is None or question is None:
        return how, STATUS[how]
    return how, 0 if given["option"] == affirmative(question) else 1


def row(state: State) -> Json:
    """What a list shows of a question, besides the item."""
    question, given = of(state), answer(state)
    if question is None:
        return {}
    fields: Json = {"asked": question["to"], "options": question["options"]}
    if given:
        return fields | {"answer": given["option"], "answered_by": given["by"]}
    timed = {name: question[name] for name in ("until", "on_timeout") if name in question}
    return fields | timed


def describe(state: State) -> Json:
    """The body of a thing that a question may be about: an item's texts, own fields and end."""
    closed = registers.value(state, "closed")
    own = [name for name in state["registers"] if name.startswith("fields.")]
    names = ("title", "desc", "kind", *sorted(own))
    said = {name: registers.value(state, name) for name in names}
    how = closed["resolution"] if isinstance(closed, dict) else None
    return {name: value for name, value in {**said, "closed": how}.items() if value is not None}
