"""What the controller of flows sees of a store. Pure: of sources of views."""

from __future__ import annotations

from coord_envelope import ids, world
from coord_envelope.platform import suppress
from coord_flow import gates
from coord_flow.operations import CONVOY, MOL, WISP
from coord_run.jobs import OVER
from coord_wk.desk import present, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from typing import Any

    from coord_envelope.codec import Json
    from coord_flow.plan import Convoy, Gate, Member, Question, Seen, Try
    from coord_kernel.rules.control import Control
    from coord_kernel.views.view import Source
    from coord_run.jobs import Jobs
    from coord_wk.items import Items

    Told = Callable[[str, str], bool]
    """Is there an event of this type and key?"""
    Matched = Callable[[str, Json], str]
    """The first event that the gate with these fields waits for; empty: none came."""
    There = Callable[[str, str], Json | None]
    """The item of another store, by its name there and its id: closed, resolution, open, opened."""

AGENT = "bridge:flow"
LANDED, LATE = "convoy.landed", "flow.late"
RUN_NOT = range(125, 128)
"""Exit statuses of a program that did not run."""


class World:
    """What is not in the items: asked once for each look."""

    def __init__(self, told: Told, matched: Matched, there: There) -> None:
        self.told, self.matched, self.there = told, matched, there
        self.programs = False
        self.stores: Collection[str] = ()
        """The names of the other projects that are known."""
        self.own: Collection[str] = ()
        """The replica ids of the store."""
        self.settled = set[str]()
        """Landings that are announced, or another store's: kept from look to look."""
        self.replica: Callable[[str], str] = lambda _: ""
        """In which replica an event was written."""


class Look:
    """A store at one moment."""

    def __init__(self, items: Items, jobs: Jobs, source: Source, world: World) -> None:
        """`source`: that of the items."""
        self._items, self._jobs, self._source, self._world = items, jobs, source, world

    def seen(self, stops: Control, convoys: Collection[str] | None = None) -> Seen:
        """All that is planned on; of the convoys only these: no act needs to know of two."""
        return {
            "gates": list(self._gates()),
            "convoys": list(self._convoys(convoys)),
            "roots": list(self._roots()),
            "mirrors": list(self._mirrors()),
            "times": list(self._times()),
            "programs": self._world.programs,
            "next": self._items.now_ms + self._jobs.next_ms(),
            "control": stops,
        }

    def _trusted(self, item: str) -> bool:
        """Not what another store wrote and nobody has signed."""
        return self._items.known(item)["created"].get("trust") != "unsigned"

    # ---- gates

    def waited(self) -> list[tuple[str, Json]]:
        """The open gates that wait for an event, each with its fields."""
        found = []
        for item in self._items.urgent([f"field gate={gates.EVENT}"]):
            detail = self._items.detail(item)
            if detail["kind"] == gates.KIND and self._trusted(item):
                found.append((item, {**detail.get("fields", {}), "since": detail["created"]["ts"]}))
        return found

    def _gates(self) -> Iterator[Gate]:
        items = self._items
        for item in items.urgent([f"kind {gates.KIND}"]):
            status = items.status(item)
            if status == "ready" or (status == "held" and self._deferred(item)):
                detail: Json = {**items.detail(item)}
                if self._trusted(item) and "gate" in detail.get("fields", {}):
                    yield self._gate(item, detail)

    def _deferred(self, item: str) -> bool:
        """Is it only deferred, and by itself?"""
        detail = self._items.detail(item)
        waits = any(self._items.is_open(each) for each in self._items.waits_on(item))
        return (
            not waits
            and "hold" not in detail
            and "defer_until" in detail
            and self._items.held_by(item) == [self._items.name(item)]
        )

    def _gate(self, item: str, detail: Json) -> Gate:
        fields, kind = detail.get("fields", {}), str(detail["fields"]["gate"])
        step, closed = self._step(detail, fields) if "gate.of" in fields else ("", {})
        after, since = self._after(item, detail)
        runs = kind in (gates.COMMAND, gates.CHECK)
        return {
            "id": item,
            "kind": kind,
            "title": detail["title"],
            "fields": fields,
            "since": since,
            "after": after,
            "resolution": str(closed.get("resolution", "")),
            "step": step,
            "defer": _ms(str(detail.get("defer_until", ""))),
            "event": self._world.matched(item, fields) if kind == gates.EVENT else "",
            "question": self._question(item, after, fields),
            "tries": self._tries(item, f"try:{item}:{after}:") if runs else [],
            "told": self._world.told(LATE, f"late:{item}:{after}"),
        }

    def _step(self, detail: Json, fields: Json) -> tuple[str, Json]:
        """The step that a gate is behind, and how it was closed."""
        for dep in detail.get("deps", ()):
            state = self._items.state(dep["to"])
            if state and dep["rel"] == "blocked_by":
                other = self._items.detail(dep["to"])
                if other.get("fields", {}).get("step") == fields.get("gate.of"):
                    return other["work_id"], other.get("closed") or {}
        return "", {}

    def _after(self, item: str, detail: Json) -> tuple[str, int]:
        """The event that closed the last thing that it waits for, or made it; and its time."""
        found = [(item, _ms(detail["created"]["ts"]))]
        for to in self._waits(item):
            closed = self._items.detail(to).get("closed") or {}
            if "question" not in self._items.state(to):
                found.append((self._closing(to), _ms(closed.get("ts", ""))))
        return max(found)

    def _waits(self, item: str) -> list[str]:
        """What it is blocked by, as far as it is known here."""
        links = self._items.links(item)
        return [to for (rel, to) in links if rel == "blocked_by" and self._items.state(to)]

    def _closing(self, item: str) -> str:
        """The event that closed an item; empty if it is open."""
        state = self._items.state(item)
        closed = (state or {}).get("registers", {}).get("closed", {})
        at = max(closed, default="")
        return at if at and isinstance(closed[at], dict) else ""

    def _question(self, item: str, after: str, fields: Json) -> Question | None:
        """The last question about the gate since then; None if none was asked."""
        asked = [to for to in self._waits(item) if "question" in self._items.state(to)]
        last = max(asked, default="")
        if not last or last < after:
            return None
        row = self._items.row(last)
        answer, options = row.get("answer", ""), row.get("options", [])
        yes = "yes" if "yes" in options else next((o for o in options if o != "no"), "yes")
        return {
            "id": last,
            "answer": answer,
            "yes": bool(answer) and answer == yes and "retry" not in options,
            "held": fields.get("gate.held") == last,
        }

    def _tries(self, item: str, prefix: str) -> list[Try]:
        tries: dict[int, Try] = {}
        for state in self._jobs.listed(True, item):
            key = str(state["request"].get("key", ""))
            number = key.removeprefix(prefix)
            if key.startswith(prefix) and number.isdecimal():
                tries[int(number)] = self._try(int(number), state)
        return [tries[n] for n in sorted(tries)]

    def _try(self, n: int, state: Any) -> Try:
        shown = self._jobs.shown(state)
        status, outcome, code = shown["status"], shown.get("outcome"), shown["status_code"]
        how, why = "running", ""
        if status == "completed" and outcome in ("exit", "signal", "timeout"):
            how = "passed" if code == 0 else "error" if code in RUN_NOT else "failed"
            why = "its program took too long" if outcome == "timeout" else f"exit status {code}"
        elif status in OVER:
            how, why = "error", f"its program did not run: {shown.get('reason') or status}"
        ended = max(state["results"], default="") or state["request"]["id"]
        at = ids.stamp_of(ended) >> 16
        return {"n": n, "run": state["request"]["id"], "how": how, "at": at, "why": why}

    # ---- convoys, roots

    def _convoys(self, wanted: Collection[str] | None) -> Iterator[Convoy]:
        """The convoys that something may be done about: of these, or of all.

        There may be many that landed long ago: of these no more is read than their state and their
        members'.
        """
        items = self._items
        every = items.oldest([f"label {CONVOY}"]) if wanted is None else wanted
        for item in every:
            if wanted is not None and not self._is_convoy(item):
                continue
            state, is_open = items.known(item), items.is_open(item)
            if is_open and items.status(item) == "blocked":
                continue
            if (not is_open and _how(state) != "done") or not self._trusted(item):
                continue
            if is_open and WISP in present(state, "labels"):
                continue  # it is squashed first
            members = [self._member(item, each) for each in self.members(item)]
            event = self._closing(item)
            last = max((member["event"] for member in members), default="")
            settled = f"{event}:{last}"
            if settled in self._world.settled and all(member["event"] for member in members):
                continue
            own = bool(event) and self._world.replica(event) in self._world.own
            announced = bool(event) and self._world.told(LANDED, f"landed:{item}:{last}")
            if event and (announced or not own):
                self._world.settled.add(settled)
            yield {
                "id": item,
                "event": event,
                "own": own,
                "members": members,
                "announced": announced,
            }

    def _is_convoy(self, item: str) -> bool:
        state = self._items.state(item)
        return bool(state) and CONVOY in present(state, "labels")

    def members(self, item: str) -> list[str]:
        """What a convoy is blocked by, and its parts."""
        links = [to for (rel, to) in self._items.links(item) if rel == "blocked_by"]
        return list(dict.fromkeys([*links, *self._items.children(item)]))

    def _member(self, convoy: str, item: str) -> Member:
        state = self._items.state(item)
        event = self._closing(item) if state else ""
        if event or not state:
            how = _how(state) if event else ""
            return {"id": item, "event": event, "resolution": how, "since": ""}
        link = self._items.links(convoy).get(("blocked_by", item), "")
        opened = max(state["registers"].get("closed", {}), default="")
        moved = max(state["registers"].get("parent", {}), default="") if not link else ""
        return {"id": item, "event": "", "resolution": "", "since": max(link, opened, moved)}

    def _roots(self) -> Iterator[tuple[str, str]]:
        items = self._items
        for item in items.urgent([f"label {MOL}", f"label {WISP}"]):
            if items.status(item) in ("blocked", "held"):
                continue
            detail = items.detail(item)
            labels, parts = detail.get("labels", []), items.children(item)
            if not parts or any(items.is_open(part) for part in parts):
                continue
            if "formula" not in detail.get("fields", {}) or not self._trusted(item):
                continue
            fold = WISP in labels or detail.get("fields", {}).get("squash") == "on_complete"
            if fold or CONVOY not in labels:
                yield item, "squash" if fold else "close"

    # ---- mirrors, times

    def _mirrors(self) -> Iterator[Json]:
        for name, item in list(self._fields("mirror")):
            store, _, other = name.partition("#")
            if not other or not self._trusted(item):
                continue
            if store not in self._world.stores and not self._items.is_open(item):
                continue
            there = self._world.there(store, other)
            if there is None:
                continue
            closed = self._items.detail(item).get("closed") or {}
            here = {"closed": self._closing(item), "ours": closed.get("by") == AGENT}
            yield {"id": item, "of": name, "there": there, "here": here}

    def _times(self) -> Iterator[Json]:
        for text, item in list(self._fields("timeout")):
            limit = gates.spanned({"timeout": text}, "timeout", 0)
            if not limit or not self._items.is_open(item):
                continue
            claim = self._items.detail(item).get("claim")
            if claim and self._trusted(item):
                told = self._world.told(LATE, f"late:{item}:{claim['id']}")
                since = _ms(claim["ts"])
                row = {"id": item, "claim": claim["id"], "since": since, "limit": limit}
                yield {**row, "told": told, "agent": claim["agent"]}

    def _fields(self, name: str) -> Iterator[tuple[str, str]]:
        """(value, item) of the items that have a field of this name."""
        begin, seen = f"field {name}=", set[str]()
        for found, entity in self._source.find("has", begin, f"{begin}\U0010ffff"):
            item = self._items.name(entity)
            if item not in seen and self._items.state(item):
                seen.add(item)
                text = self._items.detail(item).get("fields", {}).get(name)
                if isinstance(text, str) and found.startswith(begin):
                    yield text, item


def _how(state: Any) -> str:
    """The resolution of an item; empty if it is open."""
    closed = value(state, "closed") if state else None
    return str(closed["resolution"]) if isinstance(closed, dict) else ""


def _ms(text: str) -> int:
    with suppress(ValueError, OverflowError):
        return world.parse_ts(text)
    return 0
