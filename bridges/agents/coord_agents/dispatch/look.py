"""What a dispatcher sees of a store: ready items, sessions, stops. Pure: of sources of views."""

from __future__ import annotations

from coord_agents import fold
from coord_kernel.rules import control

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from coord_agents.dispatch.plan import Answer, Flight, Item, Seen
    from coord_kernel.views.view import Source
    from coord_wk.items import Detail, Items

    Gate = Callable[[str, str, str], tuple[int, str] | None]
    Shown = Callable[[fold.Session], tuple[bool, bool]]

AGENT = "bridge:dispatch"
NOT_WORK = ("message", "agent", "role", "rig", "molecule", "event", "gate", "question", "memory")
"""Kinds of items that `wk ready` does not list."""


class Look:
    """A store at one moment, by these sources."""

    def __init__(self, items: Items, sessions: Source, stops: Source) -> None:
        self._items, self._sessions = items, sessions
        self._control = stops.get(control.ENTITY) or control.nothing()

    def seen(
        self, presets: Mapping[str, bool], own: Collection[str], shown: Shown, gate: Gate
    ) -> Seen:
        """All that is planned on.

        `presets`: the name of each, and whether it says what its sessions use.
        `own`: the replica ids of the store; what runs in another one is not judged here.
        `shown`: has a session given a sign of life, has it shown output? `gate`: of budgets.
        """
        return {
            "ready": self._ready(),
            "flights": list(self._flights(own, shown)),
            "started": {name: ts for name in presets if (ts := self._last(name))},
            "unreported": [
                state
                for preset, metered in presets.items()
                if metered
                for state in self._unreported(preset, own)
            ],
            "answers": list(self._answers()),
            "gate": gate,
            "control": self._control,
        }

    def _ready(self) -> Iterator[Item]:
        """What an agent may be started for: not what another store wrote and nobody has signed."""
        items = self._items
        for work in items.ranked("free"):
            ready = items.kind(work) not in NOT_WORK and items.status(work) == "ready"
            if ready and not items.unsigned(work):
                yield self._item(work, items.detail(work))

    def _item(self, work: str, detail: Detail) -> Item:
        reset = self._sessions.get(f"work {work}")
        failures = fold.failures(self._sessions, work)
        return {
            "id": work,
            "title": detail["title"],
            "kind": detail["kind"],
            "labels": list(detail.get("labels", ())),
            "needs": _words(detail.get("fields", {}).get("needs")),
            "assignee": detail.get("assignee", ""),
            "tries": sum(1 for _ in fold.of_work(self._sessions, work)),
            "failures": [[each["session"], fold.ended(each)] for each in failures],
            "cleared": reset["since"] if reset else "",
        }

    def _flights(self, own: Collection[str], shown: Shown) -> Iterator[Flight]:
        for state in fold.opened(self._sessions):
            known = fold.facts(state)
            if fold.asked_by(state) != AGENT or state["replica"] not in own or "work" not in known:
                continue
            work, (up, shows) = known["work"], shown(state)
            yield {
                "session": state["session"],
                "agent": state["agent"],
                "work": work,
                "preset": known["preset"],
                "kind": self._items.kind(work) if self._items.state(work) else "",
                "ts": fold.begun(state)[1],
                "up": up,
                "shows": shows,
            }

    def _unreported(self, preset: str, own: Collection[str]) -> Iterator[fold.Session]:
        """The sessions that a dispatcher started, and whose use has yet to be reported."""
        begin, end = f"{AGENT} {preset} ", f"{AGENT} {preset}!"
        for _, entity in self._sessions.find("unreported", begin, end):
            state: fold.Session = self._sessions.get(entity)
            if state["replica"] in own:
                yield state

    def _answers(self) -> Iterator[Answer]:
        """What persons answered about items that are passed over."""
        items = self._items
        for question, entity in self._sessions.find("skipped"):
            work = entity.partition(" ")[2]
            if not items.state(question) or not items.state(work) or items.status(work) != "held":
                continue
            option = items.detail(question).get("closed", {}).get("answer")
            if isinstance(option, str):
                yield {"work": work, "question": question, "option": option}

    def _last(self, preset: str) -> str:
        """When a dispatcher started a session of a preset last; empty: never."""
        found = self._sessions.newest("by", f"{AGENT} {preset} ", f"{AGENT} {preset}!")
        return next((fold.begun(self._sessions.get(entity))[1] for _, entity in found), "")


def _words(value: object) -> list[str]:
    """`rust, gpu` or a list of such words."""
    if isinstance(value, str):
        return value.replace(",", " ").split()
    return [str(each) for each in value] if isinstance(value, list) else []
