"""What a key does to a record: what is asked first, and the command that is run. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from coord_envelope.errors import No
from coord_kernel.cli.words import who
from coord_top.table import Ref


class Command(NamedTuple):
    """A command line, and its standard input."""

    argv: list[str]
    text: str = ""


class Act(NamedTuple):
    """What to ask, and the command that an answer makes.

    Without a `prompt` nothing is asked. `suggest`: what completes the answer, `begin`: what it
    begins with. `make` raises No for an answer that means nothing.
    """

    make: Callable[[str], Command]
    prompt: str = ""
    begin: str = ""
    suggest: tuple[str, ...] = ()


SUBJECT = 200
"""Bytes that a subject may have."""
SEVERITY = "high"
"""Of an escalation: the person is notified at once, and again until somebody acknowledges it."""


class People(NamedTuple):
    """Who is concerned, as addresses."""

    me: str
    agents: tuple[str, ...] = ()
    """Names that complete what is typed."""
    last: str = ""
    """The person who is notified last."""


def planned(verb: str, ref: Ref, people: People) -> Act:
    """The act of a verb on a record. Raises No if there is none."""
    if verb == "claim":
        return _claim(ref)
    if verb in ("assign", "hand_off"):
        return _give(verb, ref, people)
    if verb == "release":
        return _release(ref, people.me)
    if verb == "answer":
        return _answer(ref)
    if verb == "say":
        return _say(ref, people.agents)
    if verb == "done":
        return _done(ref)
    if verb == "cancel":
        return _cancel(ref)
    return _escalate(ref, people.last)


def _claim(ref: Ref) -> Act:
    work = _work(ref, "claim")
    return Act(lambda _: Command(["wk", "claim", work]))


def _give(verb: str, ref: Ref, people: People) -> Act:
    work = _work(ref, verb.replace("_", " "))
    names = tuple(map(who, people.agents))
    if verb == "assign":
        return Act(
            lambda text: Command(["wk", "update", work, f"--assignee={_given(text)}"]),
            f"Assign {_name(ref)} to:",
            suggest=names,
        )
    force = _force(ref, people.me)
    prompt = (
        f"{who(ref.holder)} holds {_name(ref)}; hand it to:" if force else f"Hand {_name(ref)} to:"
    )
    return Act(
        lambda text: Command(["wk", "handoff", work, f"--to={_given(text)}", *force]),
        prompt,
        suggest=names,
    )


def _release(ref: Ref, me: str) -> Act:
    if ref.kind == "lease":
        return _sure(["lease", "release", ref.id], f"Release {ref.name}?", bool(_force(ref, me)))
    work = _work(ref, "release")
    force = _force(ref, me)
    prompt = f"{who(ref.holder)} holds {_name(ref)}; release it?"
    return _sure(["wk", "release", work, *force], prompt, force)


def _answer(ref: Ref) -> Act:
    if ref.kind == "message":
        return Act(
            lambda text: Command(["msg", "reply", ref.id, "--body=-"], _given(text)),
            f"Answer {who(ref.who)}:",
        )
    if ref.kind != "question":
        raise No("this is not a question", todo="s says something about it")
    options = ref.options

    def make(text: str) -> Command:
        typed = _given(text).casefold()
        exact = [option for option in options if option.casefold() == typed]
        chosen = exact or [option for option in options if option.casefold().startswith(typed)]
        if options and len(chosen) != 1:
            raise No(f"not one of {' | '.join(options)}: {text}")
        return Command(["wk", "answer", "--", ref.id, chosen[0] if chosen else text.strip()])

    return Act(make, f"Answer {ref.name}, {' | '.join(options)}:", suggest=options)


def _say(ref: Ref, agents: tuple[str, ...]) -> Act:
    to = who(ref.who)
    about = [f"--work={ref.work}"] if ref.work else []
    if to:
        return Act(lambda text: _message(to, text, about), f"To {to}:")

    def make(text: str) -> Command:
        name, blank, rest = text.strip().partition(" ")
        if not (blank and rest.strip()):
            raise No("a name, and after a blank what to say to it")
        return _message(name.removesuffix(":"), rest, about)

    return Act(make, "Say, to NAME TEXT:", suggest=tuple(f"{who(agent)} " for agent in agents))


def _message(to: str, text: str, about: list[str]) -> Command:
    """A short text is the subject; a longer one is the body, too."""
    said = _given(text)
    if len(said.encode()) <= SUBJECT:
        return Command(["msg", "send", f"--to={to}", f"--subject={said}", *about])
    subject = said.encode()[: SUBJECT - 4].decode(errors="ignore") + "…"
    return Command(["msg", "send", f"--to={to}", f"--subject={subject}", "--body=-", *about], said)


def _done(ref: Ref) -> Act:
    if ref.kind != "message":
        raise No("this is not a message", todo="d acknowledges mail")
    return Act(lambda _: Command(["msg", "ack", ref.id]))


def _cancel(ref: Ref) -> Act:
    if ref.kind != "job":
        raise No("this is not a job", todo="x cancels jobs")
    return _sure(["run", "cancel", ref.id], f"Cancel {ref.name}?", True)


def _escalate(ref: Ref, person: str) -> Act:
    about = [f"--work={ref.work}"] if ref.work else []

    def make(text: str) -> Command:
        command = _message(person, text, about)
        # Whoever the project names need not have written anything here.
        return Command([*command.argv, f"--severity={SEVERITY}", "--force"], command.text)

    return Act(make, f"Escalate to {who(person)}:", begin=f"{ref.name}: " if ref.name else "")


def _sure(argv: list[str], prompt: str, asks: object) -> Act:
    """An act that somebody may regret: `y` means yes."""

    def make(text: str) -> Command:
        if text.strip().casefold() not in ("y", "yes"):
            raise No("not done")
        return Command(argv)

    return Act(make, f"{prompt} y or n:") if asks else Act(lambda _: Command(argv))


def _work(ref: Ref, verb: str) -> str:
    if not ref.work:
        raise No("this is not a work item", todo=f"choose one to {verb} it")
    return ref.work


def _name(ref: Ref) -> str:
    """The work item, as a person reads it."""
    return ref.name if ref.kind in ("item", "question") else f"wk-{ref.work[-8:].lower()}"


def _force(ref: Ref, me: str) -> list[str]:
    return ["--force"] if ref.holder and ref.holder != me else []


def _given(text: str) -> str:
    if not text.strip():
        raise No("nothing was typed")
    return text.strip()
