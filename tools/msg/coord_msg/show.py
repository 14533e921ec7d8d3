"""How mail is printed: with `$trust`, as JSON or a table, or as text inside a fence."""

from __future__ import annotations

from coord_envelope import world
from coord_kernel.cli.output import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call


class Printer:
    """Annotates mail for its reader.

    `$trust` says where a message came from: `self` (this agent, in this store), `store` (another
    agent in it), `bridge` (a program that stands for another system), `synced` (another store).
    The reader works it out; its writer cannot claim it. It does not prove the agent's name.
    """

    def __init__(self, call: Call, text: bool = False, me: str | None = None) -> None:
        """With `text`, everything that the call prints is a message inside a fence."""
        self._me, self._own = me, call.journal.store.all_replicas()
        if text:
            call.out = Fenced()

    def annotated(self, event: Event, **annotations: object) -> Event:
        """The message with its annotations, `$trust` first."""
        return event.annotated(trust=self._trust(event), **annotations)

    def _trust(self, event: Event) -> str:
        agent = event["actor"]["agent_id"]
        if agent.startswith("bridge:"):
            return "bridge"
        if event["writer"].partition("!")[0].rpartition("~")[2].partition("+")[0] not in self._own:
            return "synced"
        return "self" if agent == self._me else "store"


class Fenced(Output):
    """Each message as text, inside a fence with a nonce of this call.

    On a terminal, nothing in it can control the terminal.
    """

    def __init__(self) -> None:
        super().__init__("jsonl")
        self._nonce = world.entropy(8).hex()

    def put(self, item: Json) -> None:
        text = fenced(item, self._nonce)
        if self.terminal:
            from coord_kernel.cli.terminal import visible

            text = "\n".join(map(visible, text.split("\n")))
        self._waiting.append(text.encode("utf-8", "replace"))


def fenced(event: Json, nonce: str) -> str:
    """A message as text between two lines with the nonce, which its author could not know."""
    body = event["body"]
    head = f"from={event['actor']['agent_id']} id={event['event_id']} trust={event['$trust']}"
    subject, text, attach = body.get("subject"), body.get("text"), body.get("attach")
    title = f"Subject: {_line(subject)}" if isinstance(subject, str) else f"Type: {event['type']}"
    lines = [f"<<<untrusted {nonce} {_line(head)}", title]
    blobs = [blob for blob in attach if isinstance(blob, dict)] if isinstance(attach, list) else []
    names = [blob["name"] for blob in blobs if isinstance(blob.get("name"), str)]
    lines += [f"Attached: {_line(name)}" for name in names]
    lines += ["", text] if isinstance(text, str) else []
    return "\n".join([*lines, f">>>{nonce}"])


def _line(text: str) -> str:
    return " ".join(text.split())
