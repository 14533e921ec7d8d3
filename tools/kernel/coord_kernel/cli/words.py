"""Events and rows in words: a sentence for a person, a terse line for an agent. Pure.

    ada claimed wk-78qeh4r6 Write the parser                 sentence, with its title
    wk-78qeh4r6 claimed token 1 · Write the parser           brief: the id first, so that it pipes

A brief line begins with the short id that `show` takes. What a claim has to be worked on follows in
lines that begin with `> `, which our tools skip when they read ids.
"""

from __future__ import annotations

from coord_envelope.event import LIMIT, Event
from coord_kernel.cli.escape import visible
from coord_kernel.cli.stdin import QUOTE
from coord_kernel.views.resolve import PREFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Protocol

    from coord_envelope.codec import Json

    class Names(Protocol):
        """What the store knows of an entity."""

        def title(self, entity: str) -> str:
            """What it is called; empty if that is not known."""
            ...

        def short(self, prefix: str, entity: str) -> str:
            """The short id that names it."""
            ...


MALFORMED = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What an event raises that is not as its type demands: whoever can push may write one."""
LONGEST_TEXT = 4_000
"""Most characters of a text after a brief line."""
_MARKED = {"read": "marked as read", "unread": "marked as unread"}
_DID = {
    "artifact.added": "added a result",
    "artifact.removed": "removed a result",
    "work.commented": "commented",
}
LONGEST = 200
"""Most characters of a title in a brief line."""
_FIRST = ("work.created", "msg.sent", "run.requested", "lease.acquired")
"""Types whose event is the beginning of its entity, and has its id."""
_BEFORE = {"owner": "by", "holder": "by"}
_VERB = {
    "artifact.added": "added to",
    "artifact.removed": "removed from",
    "msg.acked": "acknowledged",
    "msg.nacked": "returned",
    "work.commented": "commented on",
}
"""What happened, where the last word of the type does not say it."""


def entity(event: Event, names: Names) -> tuple[str, str]:
    """(short id, full id) of what the event is about; of the event itself if it is of no tool's."""
    namespace, _, _ = event["type"].partition(".")
    refs = event.get("refs") or {}
    prefix, name = PREFIX.get(namespace), f"{namespace}_id"
    if namespace == "artifact":
        prefix, name = ("wk", "work_id") if "work_id" in refs else (None, "")
    full = event.id if event["type"] in _FIRST else refs.get(name)
    if prefix is None or not isinstance(full, str):
        return names.short("ev", event.id), event.id
    return names.short(prefix, full), full


def titled(body: Json) -> str:
    """What the first event of an entity calls it: its title, subject, command or resources."""
    for name in ("title", "subject"):
        if isinstance(body.get(name), str):
            return line(body[name])
    if isinstance(body.get("argv"), list):
        return line(" ".join(_quoted(str(word)) for word in body["argv"][:20]))
    if isinstance(body.get("resources"), list):
        return line(" ".join(map(str, body["resources"][:20])))
    return ""


def _quoted(word: str) -> str:
    """A word as a person would type it to a shell, near enough."""
    plain = word and not set(word) & set(" \t\n'\"\\$`;&|<>()*?#~")
    return word if plain else "'" + word.replace("'", "'\\''") + "'"


def line(text: object, most: int = LIMIT) -> str:
    """A text as one line, without control characters, cut to so many characters."""
    flat = " ".join(str(text)[: 4 * most].split())
    return visible(flat if len(flat) <= most else f"{flat[: most - 1]}…")


def who(agent: object) -> str:
    """An agent's address; its short form, where there is one."""
    return line(str(agent).removeprefix("agent:"))


def sentence(event: Event, names: Names) -> str:
    """What happened, as a person would say it, without when."""
    try:
        return _sentence(event, names)
    except MALFORMED:
        return f"{who(event['actor']['agent_id'])} {line(event['type'])} {event.id[-8:].lower()}"


def _sentence(event: Event, names: Names) -> str:
    short, full = entity(event, names)
    kind = event["type"]
    if _foreign(kind):
        return f"{who(event['actor']['agent_id'])} {line(kind)} {short} {_what(event)}".rstrip()
    words = [who(event["actor"]["agent_id"]), _verb(event), short]
    if kind == "msg.sent" or "question" in event["body"]:
        before = "to" if kind == "msg.sent" else "of"
        words.append(f"{before} {' '.join(map(who, event.get('to') or []))}:")
    name = titled(event["body"]) if full == event.id else names.title(full)
    return " ".join(filter(None, [*words, name, *_facts(event)]))


def happened(event: Event) -> str:
    """What happened, in a list about one entity: who did what."""
    did = _DID.get(event["type"]) or _verb(event)
    facts = [*_facts(event), *(f"({mark})" for mark in _mark(event))]
    return " ".join([who(event["actor"]["agent_id"]), did, *facts])


def brief(item: Json, names: Names) -> list[str]:
    """A terse line for a result, and the lines that belong to it."""
    try:
        return list(_brief(item, names))
    except MALFORMED:
        return [
            " ".join((str(item.get("event_id", "?"))[-8:].lower(), line(item.get("type", "?"))))
        ]


def _brief(item: Json, names: Names) -> Iterator[str]:
    if isinstance(item, Event) and "$trust" in item and "to" in item:
        head, name, text = _mail(item, names)
    elif isinstance(item, Event):
        short, full = entity(item, names)
        name = item.get("$title") or (
            titled(item["body"]) if full == item.id else names.title(full)
        )
        head = [short, _verb(item), *_facts(item, tokens=True), *_mark(item)]
        if item["type"] == "msg.sent":
            head.append(f"from {who(item['actor']['agent_id'])}")
        if "question" in item["body"]:
            head.append(f"of {' '.join(map(who, item.get('to') or []))}")
        text = item.get("$desc")
    else:
        head, name, text = [*_row(item)], titled(item), item.get("desc")
        if not head[0] and head[1:] in ([], [item.get("status")]):  # what it is, its fields say
            head, name = [*_plainly(item)], ""
    yield " · ".join(filter(None, (" ".join(filter(None, head)), line(name, LONGEST))))
    if isinstance(text, str):
        yield from (QUOTE.decode() + visible(each) for each in text[:LONGEST_TEXT].splitlines())
        if len(text) > LONGEST_TEXT:
            yield f"{QUOTE.decode()}… {len(text) - LONGEST_TEXT:,} more characters: show it"


def _mail(event: Event, names: Names) -> tuple[list[str], str, object]:
    """Head, title and text of an event that somebody received: it is acked by its own id."""
    body: Json = event.get("$body") or event["body"]
    head = [names.short("msg", event.id), f"from {who(event['actor']['agent_id'])}"]
    head += _mark(event)
    if event["type"] != "msg.sent":
        facts = answering(event, names.short("wk", event.id))
        lines = [f"{name}: {fact}" for name, fact in facts]
        return head, sentence(event, names), "\n".join([*lines, *asked(body)]) or None
    return head, titled(body), body.get("text")


def _mark(event: Event) -> list[str]:
    """It has not been signed, where signers are known."""
    return ["unsigned"] if event.get("$trust") == "unsigned" else []


def answering(event: Json, short: str) -> list[tuple[str, str]]:
    """What can be answered to a question, and how; nothing for another event."""
    said = event["body"].get("question") if event["type"] == "work.created" else None
    if not isinstance(said, dict) or not isinstance(options := said.get("options"), list):
        return []
    facts = [("options", " | ".join(line(option, LONGEST) for option in options))]
    if "until" in said:
        facts.append(("until", f"{line(said['until'])}, then {line(said.get('on_timeout'))}"))
    return [*facts, ("answer", f"wk answer {short} OPTION")]


def asked(body: Json) -> list[str]:
    """The text of what somebody received: of an item that was made, its description."""
    texts = (body.get("text"), body.get("desc"))
    return [text for text in texts if isinstance(text, str)][:1]


def _foreign(kind: str) -> bool:
    """Is it a type of no tool's?"""
    return kind.partition(".")[0] not in (*PREFIX, "artifact")


def _verb(event: Event) -> str:
    again = "already " if "$dup" in event else ""
    kind: str = event["type"]
    if _foreign(kind):
        return line(kind)
    if kind == "work.created" and "question" in event["body"]:
        return again + "asked"
    if kind == "work.closed" and "answer" in event["body"]:
        return again + "answered"
    if kind == "msg.acked" and event["body"].get("kind") in _MARKED:
        return again + _MARKED[event["body"]["kind"]]
    return again + _VERB.get(kind, line(kind.rpartition(".")[2].replace("_", " ")))


def _facts(event: Event, tokens: bool = False) -> Iterator[str]:
    """What a reader must know besides."""
    body: Json = event["body"]
    if tokens and "$token" in event:
        yield f"token {event['$token']}"
    if event.get("$level") in ("tentative", "confirmed"):
        yield event["$level"]
    if event["type"] == "work.closed" and body.get("resolution") not in (None, "done"):
        yield line(body["resolution"])
    if event["type"] == "work.closed" and isinstance(body.get("answer"), str):
        yield line(body["answer"], LONGEST)
    if event["type"] == "run.completed":
        yield _outcome(body)


def _outcome(body: Any) -> str:
    if body.get("outcome") == "signal" and body.get("signal"):
        return f"by {line(body['signal'])}"
    outcome = line(body.get("outcome", "?"))
    return f"{outcome} {line(body['code'])}" if "code" in body else outcome


def _what(event: Event) -> str:
    body: Json = event["body"]
    from coord_envelope import codec

    text = body.get("text")
    if name := titled(body) or (line(text) if isinstance(text, str) else ""):
        return name
    return line(codec.dumps(body).decode()) if body else ""


def _row(row: Json) -> Iterator[str]:
    full = (str(value) for name, value in row.items() if name.endswith("_id"))
    yield line(row.get("id") or next(full, ""))
    if "fingerprint" in row:  # an alert
        by = f"taken by {who(row['acked_by'])}" if "acked_by" in row else row.get("level", "")
        times = f"{row['count']:,} time{'s' * (row['count'] != 1)}"
        yield f"{line(row['fingerprint'])} {line(row['severity'])} {times} {by}"
    if "status" in row:
        yield line(row["status"])
    if row.get("trust") == "unsigned":
        yield row["trust"]
    if row.get("priority") not in (None, 2):
        yield f"P{line(row['priority'])}"
    if isinstance(row.get("outcome"), str):
        yield _outcome(row)
    for name in ("owner", "holder", "from", "token", "session"):
        if row.get(name) and not row.get("answer"):  # who answered, is said with the answer
            yield f"{_BEFORE.get(name, name)} {who(row[name])}"
    for name in ("blockers", "held_by"):
        others = [other for other in row.get(name, ()) if other != row.get("work_id")]
        if others:
            yield "waits on " + " ".join(line(other) for other in others)
    if row.get("hold"):
        yield f"on hold: {line(row['hold'], LONGEST)}"
    if row.get("answer"):
        yield f"{line(row['answer'], LONGEST)} by {who(row.get('answered_by', '?'))}"
    elif row.get("options"):
        asked = " ".join(map(who, row.get("asked", ())))
        yield f"asks {asked}: {' | '.join(line(option) for option in row['options'])}"


def _plainly(row: Json) -> Iterator[str]:
    """The fields of a row of another kind."""
    for name, value in row.items():
        texts = value if isinstance(value, list) else [value]
        if value is True:
            yield name
        elif texts and all(isinstance(each, str | int | float) for each in texts):
            yield f"{name} {' '.join(map(line, texts))}"


def age_ms(ms: float) -> str:
    """A time as a person says it: `12 s`, `3 m`, `5 h`, `2 d`."""
    seconds = max(0, int(ms)) // 1000
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
