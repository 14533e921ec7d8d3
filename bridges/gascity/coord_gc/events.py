"""The events provider: events of type `gc.TYPE`, numbered as this store got them (`$pos`)."""

from __future__ import annotations

from coord_envelope import Usage, codec, world
from coord_gc.cli import actor, call, given
from coord_kernel.store.disk import write_all
from coord_kernel.views.arrivals import Arrivals
from coord_wk.desk import agent_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coord_envelope import Event
    from coord_envelope.codec import Json

PREFIX = "gc."
ZERO = "0001-01-01T00:00:00Z"
"""The time of an event that is to have the present one."""
LONGEST = 60_000
"""Bytes of a line: Gas City reads up to 64 KiB."""


def record(args: list[str]) -> None:
    """record {type, ts, actor, subject, message, payload}"""
    given_ = given()
    kind, who = str(given_.get("type") or ""), str(given_.get("actor") or actor())
    if not kind:
        raise Usage("type is missing")
    body = {
        name: given_[name]
        for name in ("subject", "message", "payload")
        if given_.get(name) not in (None, "")
    }
    if agent_of(who) != f"agent:{who}":
        body["actor"] = who
    then = given_.get("ts")
    if then and not str(then).startswith(ZERO[:10]):
        body["ts"] = then
    if _type(kind) != kind:
        body["type"] = kind
    journal = call(who).journal
    with journal.transaction({"agent_id": agent_of(who)}) as t:
        t.add({"type": f"{PREFIX}{_type(kind)}", "body": body})


def _type(kind: str) -> str:
    """A type as the journal spells it."""
    plain = "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "-"
                    for char in kind.lower())  # fmt: skip
    return ".".join(filter(None, (word.strip("-_") for word in plain.split(".")))) or "event"


def shown(number: int, event: Event) -> Json:
    """An event of Gas City."""
    body = event["body"]
    fields = {name: body[name] for name in ("subject", "message", "payload") if name in body}
    return {
        "seq": number,
        "type": body.get("type") or event["type"].removeprefix(PREFIX),
        "ts": body.get("ts") or event["ts"],
        "actor": body.get("actor") or event["actor"]["agent_id"].removeprefix("agent:"),
        **fields,
    }


def _after(arrivals: Arrivals, number: int) -> Iterator[Json]:
    for n, event in arrivals.after(number):
        if event["type"].startswith(PREFIX):
            yield shown(n, event)


def list_(args: list[str]) -> list[Json]:
    """list {Type, Actor, Since, AfterSeq}: a zero value asks for nothing"""
    asked = given()
    since = asked.get("Since") or ZERO
    then = 0 if str(since).startswith(ZERO[:10]) else world.parse_ts(since)
    arrivals = Arrivals(call().journal.store).refresh()
    return [
        row
        for row in _after(arrivals, int(asked.get("AfterSeq") or 0))
        if asked.get("Type") in (None, "", row["type"])
        and asked.get("Actor") in (None, "", row["actor"])
        and (not then or world.parse_ts(row["ts"]) >= then)
    ]


def latest(args: list[str]) -> str:
    """latest-seq: the number of the newest event; 0 if there is none"""
    arrivals = Arrivals(call().journal.store).refresh()
    return str(arrivals.last())


def watch(args: list[str]) -> None:
    """watch SEQ: one line each, those that are there and those to come; ends with its reader"""
    if not args[0].isdecimal():
        raise Usage(f"not a number: {args[0]!r}")
    journal, last = call().journal, int(args[0])
    arrivals = Arrivals(journal.store)
    for batch in journal.follow(journal.end(), live=False).batches():
        for _ in batch:
            pass
        for row in _after(arrivals.refresh(), last):
            last = row["seq"]
            line = codec.dumps(row)
            if len(line) > LONGEST:
                line = codec.dumps({**row, "payload": None, "message": "(too long)"})
            write_all(1, line + b"\n")


def ready(args: list[str]) -> None:
    """ensure-running: there is no process. Raises Unreachable without a store"""
    call().journal.size()


OPERATIONS: dict[str, tuple[Callable[[list[str]], object], int]] = {
    "ensure-running": (ready, 0),
    "record": (record, 0),
    "list": (list_, 0),
    "latest-seq": (latest, 0),
    "watch": (watch, 1),
}
