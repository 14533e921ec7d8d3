"""How mail is printed: with `$trust`, as JSON or a table, or as text inside a fence that its content cannot forge."""

from __future__ import annotations

from coord_envelope import world
from coord_kernel.cli.output import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call


class Printer:
    """Annotates mail for whoever reads it.

    `$trust` says where a message came from: `self` (this agent, in this store), `store` (another agent in it),
    `bridge` (a program that stands for another system), `synced` (another store). It is the reader's finding,
    never the writer's word; and a name is not proven by it.
    """

    def __init__(self, call: Call, text: bool = False, me: str | None = None) -> None:
        self._me, self._own = me, call.journal.store.all_replicas()
        if text:
            call.out = Fenced()

    def annotated(self, event: Event, **notes: object) -> Event:
        """The message with its annotations."""
        return event.annotated(trust=self._trust(event), **notes)

    def _trust(self, event: Event) -> str:
        agent = event["actor"]["agent_id"]
        if agent.startswith("bridge:"):
            return "bridge"
        if event["writer"].partition("!")[0].rpartition("~")[2].partition("+")[0] not in self._own:
            return "synced"
        return "self" if agent == self._me else "store"


class Fenced(Output):
    """Each message as text, in a fence with a nonce of this call. On a terminal nothing in it steers that."""

    def __init__(self) -> None:
        super().__init__("jsonl")
        self._nonce = world.entropy(8).hex()

    def put(self, item: Json) -> None:
        shown = fenced(item, self._nonce)
        if self.terminal:
            from coord_kernel.cli.terminal import visible

            shown = "\n".join(map(visible, shown.split("\n")))
        self._waiting.append(shown.encode("utf-8", "replace"))


def fenced(event: Json, nonce: str) -> str:
    """A message as text between two lines that have the nonce, which its author could not know."""
    body = event["body"]
    words = f"from={event['actor']['agent_id']} id={event['event_id']} trust={event['$trust']}"
    subject = body.get("subject")
    text = body.get("text")
    said = (
        [f"Subject: {_line(subject)}"] if isinstance(subject, str) else [f"Type: {event['type']}"]
    )
    attach = body.get("attach")
    names = [one["name"] for one in attach if _named(one)] if isinstance(attach, list) else []
    said += [f"Attached: {_line(one)}" for one in names]
    said += ["", text] if isinstance(text, str) else []
    return "\n".join([f"<<<untrusted {nonce} {_line(words)}", *said, f">>>{nonce}"])


def _line(text: str) -> str:
    return " ".join(text.split())


def _named(one: object) -> bool:
    return isinstance(one, dict) and isinstance(one.get("name"), str)
