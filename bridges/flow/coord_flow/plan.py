"""What the controller of flows is to do. Pure.

| what | when | act |
|---|---|---|
| gate human | its step needs nothing more | ask; yes opens it, another answer holds it |
| gate timer | the same | defer it; open it when the time is over |
| gate event | such an event came since the gate was made | open it |
| gate command | a program exits 0; tried again after a time if not | try, open |
| retry, check | the step was closed: what says whether that counts | open it, or the step again |
| convoy | all members closed, and it is open, or its landing is not announced | land |
| convoy | landed, and a member came or was opened again since | reopen |
| mol, wisp | all parts closed | close, or squash |
| mirror | what it stands for was closed, or opened again | the same |
| a time is over | of a step since its claim, of a gate since it could be opened | mail, once |

1. A key names what was judged: the answer, the event, the job, the close of the step, the last
   close among the members. After another answer it is another act.
2. Under a stop of everything nothing is planned.
3. How often a step was tried is a field of the gate behind it, written with the reopening.
"""

from __future__ import annotations

from coord_envelope import world
from coord_flow import gates
from coord_kernel.controller import Act, Plan
from coord_kernel.rules import control

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypedDict

    from coord_envelope.codec import Json
    from coord_kernel.rules.control import Control

    class Try(TypedDict):
        """A job that runs the program of a gate."""

        n: int
        run: str
        how: str
        """running, passed, failed, or error: it could not be started, or was lost."""
        at: int
        """Unix milliseconds of its end."""
        why: str

    class Question(TypedDict):
        """The last question that was asked about a gate."""

        id: str
        answer: str
        """Empty: it was withdrawn."""
        yes: bool
        held: bool
        """Was the gate held for this answer?"""

    class Gate(TypedDict):
        """A gate that is open, whose step needs nothing else, and that nobody holds back."""

        id: str
        kind: str
        title: str
        fields: Json
        since: int
        """When the last thing that it waits for was closed: Unix milliseconds."""
        after: str
        """The event that closed it; if it waits for nothing, that which made the gate."""
        resolution: str
        step: str
        defer: int
        event: str
        question: Question | None
        tries: list[Try]
        told: bool

    class Member(TypedDict):
        """A member of a convoy. `event`: what closed it; empty: it is open."""

        id: str
        event: str
        resolution: str
        since: str
        """If it is open: the event that made it a member, or opened it again."""

    class Convoy(TypedDict):
        """An item with the label convoy, with what it waits for."""

        id: str
        event: str
        """What closed it; empty: it is open."""
        own: bool
        """Was it closed as done, in this store?"""
        members: list[Member]
        announced: bool

    class Seen(TypedDict):
        """All that is planned on."""

        gates: list[Gate]
        convoys: list[Convoy]
        roots: list[tuple[str, str]]
        """(item, close or squash) of poured formulas whose parts are all closed."""
        mirrors: list[Json]
        times: list[Json]
        """Steps with a time: id, claim, since, limit, told."""
        programs: bool
        next: float
        """When a job changes its status by itself: Unix milliseconds, or infinite."""
        control: Control


def plan(seen: Seen, now: int) -> Plan:
    """The acts that are due at `now` (Unix milliseconds), and when the next may be."""
    if control.stopped(seen["control"]):
        return Plan([])
    acts, wakes = list[Act](), list[int]()
    for act, due in _steps(seen, now):
        if due <= now:
            acts.append(act)
        else:
            wakes.append(due)
    if any(each["how"] == "running" for gate in seen["gates"] for each in gate["tries"]):
        wakes += [int(seen["next"]) + 1] if now < seen["next"] < world.LAST_MS else []
    return Plan(acts, min(wakes, default=None))


def convoys(act: Act) -> list[str]:
    """The convoys that decide whether an act is planned: at most that which it is about."""
    about = act.about
    convoy = about["convoy"]["id"] if "convoy" in about else about.get("item", "")
    return [convoy] if convoy else []


def _steps(seen: Seen, now: int) -> Iterator[tuple[Act, int]]:
    steps = [step for gate in seen["gates"] for step in _gate(gate, now, seen["programs"])]
    yield from steps
    again = {act.about["item"] for act, _ in steps if act.kind == "again"}
    for convoy in seen["convoys"]:
        if not any(member["id"] in again for member in convoy["members"]):
            yield from ((act, now) for act in _convoy(convoy))
    for item, how in seen["roots"]:
        yield Act(how, f"{how}:{item}", item=item), now
    for mirror in seen["mirrors"]:
        yield from ((act, now) for act in _mirror(mirror))
    for row in seen["times"]:
        if not row["told"]:
            key = f"late:{row['id']}:{row['claim']}"
            due = row["since"] + row["limit"]
            yield Act("late", key, item=row["id"], what="step", row=row), due


# ---- gates


def _gate(gate: Gate, now: int, programs: bool) -> Iterator[tuple[Act, int]]:
    kind, question = gate["kind"], gate["question"]
    if question:
        yield from ((act, now) for act in _answered(gate, question))
        if question["answer"] and not question["held"]:
            return
    if kind == gates.HUMAN:
        yield _ask(gate, question["id"] if question else f"{gate['id']}:{gate['after']}"), now
    elif kind == gates.TIMER:
        yield from _timer(gate, now)
    elif kind == gates.EVENT and gate["event"]:
        yield _open(gate, gate["event"], f"event {gate['event']}"), now
    elif kind == gates.COMMAND and programs:
        yield from _command(gate, now)
    elif kind == gates.RETRY:
        yield from ((act, now) for act in _retry(gate, question))
    elif kind == gates.CHECK:
        yield from ((act, now) for act in _check(gate, question, programs))
    limit = gates.spanned(gate["fields"], "gate.timeout", 0)
    if limit and kind not in (gates.HUMAN, gates.TIMER) and not gate["told"]:
        key = f"late:{gate['id']}:{gate['after']}"
        yield Act("late", key, item=gate["id"], what="gate", row=gate), gate["since"] + limit


def _open(gate: Gate, evidence: str, note: str, how: str = "done") -> Act:
    key = f"open:{gate['id']}:{evidence}"
    return Act("open", key, item=gate["id"], note=note, resolution=how)


def _hold(gate: Gate, evidence: str, why: str) -> Act:
    return Act("hold", f"hold:{gate['id']}:{evidence}", item=gate["id"], why=why)


def _ask(gate: Gate, evidence: str, why: str = "", options: tuple[str, ...] = ()) -> Act:
    return Act("ask", f"ask:{evidence}", gate=gate, why=why, options=options)


def _answered(gate: Gate, question: Question) -> Iterator[Act]:
    """What an answer asks for. Of a gate behind a step: retry, accept or stop."""
    answer = question["answer"]
    if not answer or question["held"]:
        return
    if answer == "retry" and gate["kind"] in (gates.RETRY, gates.CHECK):
        yield _again(gate, 1, question["id"], f"{answer}, as answered")
    elif question["yes"] or answer == "accept":
        yield _open(gate, question["id"], f"answered {answer}")
    else:
        yield _hold(gate, question["id"], f"answered {answer}")


def _timer(gate: Gate, now: int) -> Iterator[tuple[Act, int]]:
    due = gate["since"] + gates.spanned(gate["fields"], "gate.timeout", 0)
    if due > now and gate["defer"] != due:
        until = world.format_ts(min(due, world.LAST_MS))
        yield Act("defer", f"defer:{gate['id']}:{due}", item=gate["id"], until=until), now
    yield _open(gate, str(due), "the time is over"), due


def _command(gate: Gate, now: int) -> Iterator[tuple[Act, int]]:
    last = gate["tries"][-1] if gate["tries"] else None
    if last is None:
        yield _try(gate, 1), now
    elif last["how"] == "passed":
        yield _open(gate, last["run"], "its program exited 0"), now
    elif last["how"] != "running":
        every = gates.spanned(gate["fields"], "gate.every", gates.EVERY_MS)
        yield _try(gate, last["n"] + 1), last["at"] + every


def _try(gate: Gate, n: int) -> Act:
    return Act("try", f"try:{gate['id']}:{gate['after']}:{n}", gate=gate, n=n)


def _again(gate: Gate, attempt: int, evidence: str, why: str) -> Act:
    key = f"again:{gate['id']}:{evidence}"
    about = {"item": gate["step"], "gate": gate["id"], "attempt": attempt, "why": why}
    return Act("again", key, **about)


def _retry(gate: Gate, question: Question | None) -> Iterator[Act]:
    how = gate["resolution"]
    if how == "wontfix":
        yield _failed(gate, "closed as wontfix", question)
    else:
        yield _open(gate, gate["after"], f"closed as {how}", how)


def _check(gate: Gate, question: Question | None, programs: bool) -> Iterator[Act]:
    how, last = gate["resolution"], gate["tries"][-1] if gate["tries"] else None
    if how == "wontfix":
        yield _failed(gate, "closed as wontfix", question)
    elif how != "done":
        yield _open(gate, gate["after"], f"closed as {how}", how)
    elif not programs:
        return
    elif last is None:
        yield _try(gate, 1)
    elif last["how"] == "passed":
        yield _open(gate, last["run"], "the check passed")
    elif last["how"] == "failed":
        yield _failed(gate, last["why"], question)
    elif last["how"] == "error":
        held = gate["fields"].get("gate.held") == last["run"]
        yield _try(gate, last["n"] + 1) if held else _hold(gate, last["run"], last["why"])


def _failed(gate: Gate, why: str, question: Question | None) -> Act:
    fields = gate["fields"]
    attempt, most = (_count(fields.get(name)) for name in ("gate.attempt", "gate.most"))
    what = f"attempt {attempt} of {most}: {why}"
    if attempt < most:
        return _again(gate, attempt + 1, gate["after"], what)
    if fields.get("gate.on_exhausted") == "soft_fail":
        return _open(gate, gate["after"], what, "wontfix")
    evidence = question["id"] if question else f"{gate['id']}:{gate['after']}"
    return _ask(gate, evidence, what, ("retry", "accept", "stop"))


def _count(value: object) -> int:
    return value if type(value) is int and 0 < value <= 1_000 else 1


# ---- convoys, mirrors


def _convoy(convoy: Convoy) -> Iterator[Act]:
    members = convoy["members"]
    opened = [each for each in members if not each["event"]]
    if not members:
        return
    if not opened:
        last = max(each["event"] for each in members)
        if not convoy["event"] or (convoy["own"] and not convoy["announced"]):
            yield Act("land", f"landed:{convoy['id']}:{last}", convoy=convoy, last=last)
    elif convoy["event"] and any(each["since"] > convoy["event"] for each in opened):
        key = f"reopen:{convoy['id']}:{convoy['event']}"
        yield Act("reopen", key, item=convoy["id"], why=f"{len(opened)} members are open")


def _mirror(mirror: Json) -> Iterator[Act]:
    item, there, here = mirror["id"], mirror["there"], mirror["here"]
    if there["closed"] and not here["closed"]:
        note, how = f"{mirror['of']} was closed", there["resolution"]
        key = f"mirror:{item}:{there['closed']}"
        yield Act("open", key, item=item, note=note, resolution=how)
    elif here["closed"] and here["ours"] and there["open"]:
        key = f"mirror:{item}:{there['opened']}"
        yield Act("reopen", key, item=item, why=f"{mirror['of']} was opened again")
