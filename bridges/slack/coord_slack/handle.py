"""What somebody wrote or pressed in Slack, done here: as mail, a command or an answer.

The tools do it, as the person, with a key of the message: what was done before a death is found and
not done again.
"""

from __future__ import annotations

from coord_envelope.errors import DiskFault, Fault, NoAddressee, TryAgain, Unreachable
from coord_envelope.event import address
from coord_envelope.platform import suppress
from coord_kernel.cli.tools import Tools
from coord_kernel.views.view import View
from coord_slack import text
from coord_slack.fold import PREFIX
from coord_wk.items import Items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope.codec import Json
    from coord_kernel import Journal
    from coord_slack.settings import Settings

    Done = tuple[str, list[tuple[str, str]]]
    """What to reply, and what the thread is about: (id, thread or work)."""

LATER = (TryAgain, Unreachable, DiskFault)
"""Failures that pass: it is done later. Others are the reply."""


class Handler:
    """Does it."""

    def __init__(self, journal: Journal, settings: Settings, directory: str) -> None:
        self._journal, self._settings, self._directory = journal, settings, directory
        self._work = View(journal.store, Items.fold)
        self.bot = ""
        """The id of the bot's user, which a command mentions."""

    def do(self, came: Json, at: Json, others: list[str]) -> Done:
        """`at` is what is known of the thread, `others` who wrote in its conversation. Raises Fault
        for what passes."""
        tools = Tools(came["who"], self._directory)
        try:
            if came["kind"] == "answer":
                tools.run("wk", "answer", "--", came["question"], came["option"])
                return "", []
            if came.get("refused"):
                return (
                    f"<@{came['user']}> this was not taken: it {text.escaped(came['refused'])}",
                    [],
                )
            found = text.command(came["text"], self.bot)
            if found and found[0]:
                said = text.plain(found[1], self._settings.people)
                done: Done = getattr(self, f"_{found[0]}")(tools, came, at, said)
                return done
            rest = came["text"] if found is None else found[1]
            return self._mail(tools, came, at, (text.plain(rest, self._settings.people), others))
        except LATER:
            raise
        except Fault as fault:
            return f"<@{came['user']}> {text.escaped(fault.what)}", []

    def _mail(self, tools: Tools, came: Json, at: Json, said: tuple[str, list[str]]) -> Done:
        body, others = said
        event = self._known("msg.sent", came)
        if event is None:
            to = dict.fromkeys((*self._settings.channels[came["channel"]].to, *others))
            to.pop(came["who"], None)
            if not to or not body:
                return f"<@{came['user']}> nobody here has mail from this channel", []
            line: Json = {"to": list(to), "subject": text.title(body), "text": body}
            line |= {"idempotency_key": key(came)}
            line |= {"thread": at["thread"]} if at.get("thread") else {}
            work = at.get("work") or self._settings.channels[came["channel"]].work
            line |= {"work": work} if work else {}
            (event,) = tools.run("msg", "send", "--force", lines=[line])
        thread = (event.get("refs") or {}).get("thread_id") or event["event_id"]
        return "", [] if at.get("thread") else [(thread, "thread")]

    def _new(self, tools: Tools, came: Json, _at: Json, said: str) -> Done:
        event = self._known("work.created", came)
        if event is None:
            (event,) = tools.run("wk", "new", "--key", key(came), "--", text.title(said))
        return "", [(event["event_id"], "work")]

    def _claim(self, tools: Tools, _came: Json, at: Json, said: str) -> Done:
        name = said or at.get("work") or ""
        tools.run("wk", "claim", "--", name)
        return f"{text.escaped(name)} is claimed", []

    def _status(self, _tools: Tools, _came: Json, at: Json, said: str) -> Done:
        items = Items.current(self._work)
        if said or at.get("work"):
            item = items.resolve(said or at["work"])
            return text.escaped(text.board({**items.row(item)})), []
        counts = ", ".join(f"{name} {count}" for name, count in items.counts().items() if count)
        return counts or "there are no items", []

    def _ask(self, tools: Tools, came: Json, _at: Json, said: str) -> Done:
        event = self._known("work.created", came)
        if event is None:
            name, *more = said.split(None, 1) or [""]
            question = "".join(more)
            to = self._addressee(name.lstrip("@"))
            # The blank: a text that begins with @ would be the name of a file.
            ask = ("wk", "ask", f"--to={to}", f"--key={key(came)}", "--", f" {question.strip()}")
            (event,) = tools.run(*ask)
        return "", [(event["event_id"], "work")]

    def _addressee(self, name: str) -> str:
        """The address of a person of the file, or of an agent that has written here."""
        if f"human:{name}" in self._settings.people.values():
            return f"human:{name}"
        with suppress(ValueError):
            if self._journal.last_seen(address(name)):
                return address(name)
        raise NoAddressee(f"unknown agent or person: {name}")

    def _known(self, kind: str, came: Json) -> Json | None:
        """What was written for it before."""
        place = self._journal.index.refresh().by_key(kind, key(came))
        return place.event if place else None


def key(came: Json) -> str:
    """Of what is written for a message."""
    return f"{PREFIX}{came['channel']}:{came['ts']}"
