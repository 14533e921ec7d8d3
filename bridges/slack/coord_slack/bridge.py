"""The bridge as a controller: what came is handled, what is for Slack is posted.

Slack's side comes by `listen` into the journal, as `slack.received`; from there on everything is
planned from the journal, so a restart goes on where it was.
"""

from __future__ import annotations

from coord_envelope import world
from coord_envelope.errors import TryAgain
from coord_kernel.controller import Plan
from coord_kernel.rules import control
from coord_kernel.store import locate, pins
from coord_kernel.views.presence import Stops
from coord_kernel.views.view import View
from coord_slack import draft, plan, text
from coord_slack.failures import Unpostable
from coord_slack.fold import AGENT, Fold
from coord_slack.handle import Handler
from coord_wk.items import Items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel import Journal
    from coord_kernel.controller import Act
    from coord_slack.api import Api
    from coord_slack.settings import Settings

_SPACES = ("slack", "msg", "work", "control")


class Bridge:
    """One workspace. One of them in a store."""

    read_only = False
    """Is nothing taken from Slack?"""

    def __init__(
        self,
        journal: Journal,
        settings: Settings,
        api: Api | None,
        put: Callable[[Iterable[Event]], None],
    ) -> None:
        """Without an `api` it only looks."""
        self._journal, self._settings, self._api, self._put = journal, settings, api, put
        store = journal.store
        self._view, self._work = View(store, Fold(settings)), View(store, Items.fold)
        self._stops = Stops(store)
        self._handler = Handler(journal, settings, locate.root(store.path))

    def begin(self) -> None:
        """Be the only one, and join channels that are new: nothing older is read or posted."""
        if pins.take(self._journal.store, "local", "slack", "pin") is None:
            raise TryAgain("another coord-slack runs in this store")
        if self._api:
            self._handler.bot = self._api.me()
        begun, now = self._begun(), f"{world.now_ms() // 1000}.000000"
        new = [name for name in self._settings.channels if name not in begun]
        self._write([draft.joined(name, now) for name in new])

    def _begun(self) -> dict[str, str]:
        view = self._view.refresh()
        states = ((name, view.get(f"channel {name}")) for name in self._settings.channels)
        return {name: state["begun"] for name, state in states if state}

    def wakes(self, event: Event) -> bool:
        """Can the event change the plan?"""
        return event["type"].partition(".")[0] in _SPACES

    def plan(self) -> Plan:
        if control.stopped(self._stops.control()):
            return Plan([])
        begun = self._begun()
        view = self._view
        since = min(begun.values(), default="~")
        todo = [] if self.read_only else list(view.states(name for _, name in view.find("todo")))
        replies = list(view.states(name for _, name in view.find("reply")))
        names = [*view.find("post", since), *view.find("board", since)]
        convs = dict.fromkeys(name for _, name in names if name.startswith("conv "))
        states = [(name[5:], view.get(name)) for name in convs]
        return Plan(plan.acts(todo, replies, states, begun, self._settings))

    def act(self, act: Act) -> None:
        """Do it, then write that it was done, or that it never can be. Raises Fault."""
        try:
            getattr(self, f"_{act.kind}")(**act.about)
        except Unpostable as fault:
            what, key, body = _named(act)
            self._write([draft.failed(what, f"{what}:{key}", fault.what, body)])
            fault.where = f"{key.partition(':')[0]}: {fault.where}"
            raise

    # ---- from Slack

    def last(self, channel: str) -> str:
        """The ts of the newest message of a channel that is known here."""
        for value, _ in self._view.refresh().newest("seen", f"{channel} ", f"{channel}!"):
            return value.rpartition(" ")[2]
        return str((self._view.get(f"channel {channel}") or {}).get("ts", "0"))

    def threads(self, most: int) -> Iterator[tuple[str, str]]:
        """(channel, root) of the newest threads that are known."""
        seen = dict[str, None]()
        for value, _ in self._view.refresh().newest("thread", "", "~"):
            seen[value] = None
            if len(seen) == most:
                break
        for value in seen:
            root, _, channel = value.partition(" ")
            if channel in self._settings.channels:
                yield channel, root

    def _handle(self, state: Json) -> None:
        came = state["received"]
        place = (str(came["channel"]), str(came["root"]))
        at = self._view.get(f"at {place[0]} {place[1]}") or {}
        conv = self._view.get(f"conv {at['thread']}") if at.get("thread") else None
        reply, links = self._handler.do(came, at, (conv or {}).get("who", []))
        drafts = [draft.linked(place, about, what) for about, what in links]
        self._write([*drafts, draft.handled(came["id"], reply)])

    # ---- to Slack

    def _post(
        self, event: str, conv: str, where: tuple[str, str | None], also: str | None = None
    ) -> None:
        place = self._journal.index.refresh().by_id(event)
        if place is None:
            return
        said = text.escaped(text.message(self._journal.shown(place.event)))
        ts = self._posted(f"post:{event}", where, said, [])
        body = {"conv": conv, "events": [event]} | ({"also": also} if also else {})
        self._note("message", event, (where[0], where[1] or ts, ts), body)

    def _reply(self, state: Json) -> None:
        came, handled = state["received"], state["handled"]
        where = (str(came["channel"]), str(came["root"]))
        ts = self._posted(f"reply:{handled}", where, state["reply"], [])
        self._note("reply", handled, (*where, ts), {"received": came["id"]})

    def _board(
        self, conv: str, where: tuple[str, str | None], upto: str, asked: bool, board: str | None
    ) -> None:
        items = Items.current(self._work)
        if items.state(conv) is None:
            return
        item: Json = {**items.row(conv)}
        about, more = text.board(item), []
        if asked and items.is_open(conv):
            rest = items.description(conv)
            about += f"\n{rest}" if rest else ""
            more = [text.buttons(conv, item.get("options") or ["yes", "no"])]
        said = text.escaped(about)
        if board:
            self.web.update(where[0], board, said, [text.section(said), *more])
            ts = board
        else:
            ts = self._posted(f"board:{conv}", where, said, more)
        body = {"conv": conv, "upto": upto}
        self._note("board", f"{conv}:{upto}", (where[0], where[1] or ts, ts), body)

    @property
    def web(self) -> Api:
        """Slack's side."""
        assert self._api, "a bridge that only looks does nothing"
        return self._api

    def _posted(self, key: str, where: tuple[str, str | None], said: str, more: list[Json]) -> str:
        blocks = [text.section(said), *more]
        return self.web.post(f"{self._journal.store.project}:{key}", *where, said, blocks)

    def _note(self, what: str, key: str, place: tuple[str, str, str], body: Json) -> None:
        """Write that it is in Slack, and of a thread that began so what it is about."""
        drafts = [draft.posted(what, f"{what}:{key}", place, body)]
        if place[1] == place[2] and "conv" in body:
            about = "thread" if what == "message" else "work"
            drafts.append(draft.linked(place[:2], body["conv"], about))
        self._write(drafts)

    def _write(self, drafts: list[Json]) -> None:
        index = self._journal.index.refresh()
        # What a reply holds was allowed where it comes from.
        with self._journal.transaction({"agent_id": AGENT}, allow_secret=True) as t:
            for each in drafts:
                # What was noted before stands, whatever this would say.
                if index.by_key(each["type"], each["idempotency_key"]) is None:
                    t.add(each)
        self._put(t.events)

    def status(self) -> Iterator[Json]:
        """A row for each channel."""
        begun = self._begun()
        acts = self.plan().acts
        for name in self._settings.channels:
            here = [act for act in acts if name in (_channel(act), None)]
            yield {
                "channel": name,
                "joined": name in begun,
                "last": self.last(name),
                "todo": sum(act.kind == "handle" for act in here),
                "to_post": sum(act.kind != "handle" for act in here),
            }


def _channel(act: Act) -> str | None:
    if "where" in act.about:
        return str(act.about["where"][0])
    return str(act.about["state"]["received"].get("channel"))


def _named(act: Act) -> tuple[str, str, Json]:
    """What an act posts: its kind, the key and the body of what is noted of it."""
    about = act.about
    if act.kind == "post":
        body = {"conv": about["conv"], "events": [about["event"]]}
        body |= {"also": about["also"]} if "also" in about else {}
        return "message", about["event"], body
    if act.kind == "reply":
        state = about["state"]
        return "reply", state["handled"], {"received": state["received"]["id"]}
    body = {"conv": about["conv"], "upto": about["upto"]}
    return "board", f"{about['conv']}:{about['upto']}", body


def described(act: Act) -> Json:
    """An act as a line."""
    about = act.about
    row: Json = {"act": act.kind, "key": act.key, "channel": _channel(act)}
    if act.kind == "handle":
        row["who"] = about["state"]["received"].get("who")
    return row
