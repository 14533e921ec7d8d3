"""How mail is printed: with `$trust`, as JSON or a table, or as text inside a fence."""

from __future__ import annotations

from coord_envelope import BadData, No, Usage, world
from coord_envelope.event import shown_address, type_fault
from coord_kernel.cli.output import Output
from coord_msg.fold import SEVERITIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.streams.trusted import Trusted

LINE = 400
"""Most characters of a line before the text."""


class Printer:
    """Annotates mail for its reader.

    `$trust` says where a message came from; see `rules.trust`. The reader works it out; its writer
    cannot claim it. Only `signed:PRINCIPAL` proves the agent's name.
    """

    def __init__(self, call: Call, text: bool = False, me: str | None = None) -> None:
        """With `text`, everything that the call prints is a message inside a fence."""
        store = call.journal.store
        self._call, self._me, self._own = call, me, store.all_replicas()
        self._trusted: Trusted | None = None
        if store.signers():
            from coord_kernel.streams.trusted import Trusted  # only with signers

            self._trusted = Trusted(store)
        self.incomplete = set[str]()
        """Ids of messages whose text was printed nowhere: its blob is not here."""
        if text:
            call.out = Fenced()

    def annotated(self, event: Event, **annotations: object) -> Event:
        """The message with its annotations, `$trust` first; `$body` if its text is in a blob."""
        body = self._whole(event) if "blob" in event["body"] else None
        whole = {} if body is None else {"body": body}
        return event.annotated(trust=self._trust(event), **annotations, **whole)

    def _whole(self, event: Event) -> Json | None:
        from coord_kernel.store.blobs import Blobs

        try:
            return Blobs(self._call.journal.store).whole(event["body"])
        except (No, BadData) as fault:
            self.incomplete.add(event.id)
            self._call.fail(fault, event.id)
            return None

    def least(self, level: str | None) -> Callable[[Event], bool] | None:
        """Does a message have at least this level of trust? None: all do. Raises Usage.

        By default that of COORD_MIN_TRUST, which also holds for hooks and MCP clients.
        """
        where = "--min-trust" if level else "COORD_MIN_TRUST"
        level = level or world.getenv("COORD_MIN_TRUST")
        if not level:
            return None
        from coord_kernel.rules import trust  # few demand it

        if level not in trust.LEVELS:
            known = " < ".join(trust.LEVELS)
            raise Usage(f"not a level of trust: {level}", where, todo=f"one of {known}")
        least = trust.LEVELS.index(level)
        return lambda event: trust.level(self._trust(event)) >= least

    def _trust(self, event: Event) -> str:
        agent = event["actor"]["agent_id"]
        if self._trusted and (judged := self._trusted.refresh().of(event)):
            return judged
        if agent.startswith("bridge:"):
            return "bridge"
        if event["writer"].partition("!")[0].rpartition("~")[2].partition("+")[0] not in self._own:
            return "synced"
        return "self" if agent == self._me else "store"


class Fenced(Output):
    """Each message as text inside a fence, with a nonce that its author could not know.

    On a terminal, nothing in it can control the terminal.
    """

    def __init__(self) -> None:
        super().__init__("jsonl")

    def put(self, item: Json) -> None:
        text = fenced(item, world.entropy(8).hex())
        if self.terminal:
            from coord_kernel.cli.escape import visible

            text = "\n".join(map(visible, text.split("\n")))
        self._waiting.append(text.encode("utf-8", "replace"))


def fenced(event: Json, nonce: str) -> str:
    """A message as text between two lines with the nonce.

    The first line holds nothing that its author could choose, except a valid address.
    """
    body: Json = event.get("$body") or event["body"]
    sender = shown_address(event["actor"]["agent_id"])
    head = f"from={sender} id={event['event_id']} trust={event['$trust']}"
    subject, text, attach = body.get("subject"), body.get("text"), body.get("attach")
    title = f"Subject: {_line(subject)}" if isinstance(subject, str) else _type(event["type"])
    lines = [f"<<<untrusted {nonce} {head}", title]
    files = [blob for blob in attach if isinstance(blob, dict)] if isinstance(attach, list) else []
    lines += [f"Severity: {body['severity']}"] if body.get("severity") in SEVERITIES else []
    names = [blob["name"] for blob in files if isinstance(blob.get("name"), str)]
    lines += [f"Attached: {_line(name)}" for name in names]
    if event["type"] == "work.created":
        from coord_envelope import ids
        from coord_kernel.cli import words

        facts = words.answering(event, ids.short("wk", event["event_id"]))
        lines += [f"{name.capitalize()}: {_line(fact)}" for name, fact in facts]
        text = next(iter(words.asked(body)), None)
    lines += ["", text] if isinstance(text, str) else []
    return "\n".join([*lines, f">>>{nonce}"])


def _type(kind: str) -> str:
    return "Type: ?" if type_fault(kind) else f"Type: {kind}"


def _line(text: str) -> str:
    from coord_kernel.cli.escape import shown

    return shown(" ".join(text[: 4 * LINE].split()), LINE)
