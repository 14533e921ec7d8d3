"""Events as spans: attempts of jobs, claims, runs of consumers. Pure: what is open is an argument.

    run.claimed  … run.completed, run.released, run.conceded       an attempt of a job
    work.claimed … work.closed, work.released, work.conceded       a claim of an item
    an event …   … the result of a consumer, which it caused       a run of a consumer

A span ends once: what ends a claim that is not open any more ends nothing. Its ids are those of
`coord_kernel.rules.tracing`, so who reads the journal elsewhere gives it the same.
"""

from __future__ import annotations

from coord_envelope import ids, world
from coord_envelope.platform import suppress
from coord_kernel.rules import tracing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypedDict

    from coord_envelope import Event
    from coord_envelope.codec import Json

    Find = Callable[[str], Event | None]
    """The event with an id."""

    class Span(TypedDict):
        """A span that is over. Times are Unix milliseconds."""

        name: str
        trace: str
        span: str
        parent: str | None
        begin: int
        end: int
        failed: str
        """Why; empty if it did not fail."""
        attributes: Json

    Open = dict[str, Json]
    """Claims that are not over: id → what is known of each."""

MOST = 10_000
"""Claims that are open at a time; of more, those that are open for longest end unseen."""
ENDS = ("closed", "released", "conceded", "completed")


def taken(event: Event, opened: Open, find: Find) -> Iterator[Span]:
    """The spans that an event ends; what it begins is added to `opened`, what it ends removed."""
    kind, _, verb = event["type"].partition(".")
    body = event["body"]
    if kind in ("work", "run") and verb == "claimed":
        if body.get("steal") is True:
            yield from _ended(event, _of(opened, kind, _about(event, kind)), opened, "stolen")
        opened[event.id] = _begun(event, kind, find)
        while len(opened) > MOST:
            del opened[min(opened)]
    elif kind == "run" and verb == "started":
        begun = opened.get(str(body.get("claim")))
        if begun:
            begun["ms"] = ms(event["ts"])
    elif kind in ("work", "run") and verb in ENDS:
        claim = body.get("claim")
        named = [claim] if isinstance(claim, str) and claim in opened else []
        if verb == "closed":
            named = _of(opened, kind, _about(event, kind))
        yield from _ended(event, named, opened, verb)
    elif isinstance(body.get("consumer"), str) and ids.valid(event.get("cause")):
        yield from _consumed(event, body["consumer"], find)


def _about(event: Event, kind: str) -> str:
    return reference(event, f"{kind}_id")


def reference(event: Event, name: str) -> str:
    """A reference of an event; empty if it has none that makes sense."""
    refs = event.get("refs")
    value = refs.get(name) if isinstance(refs, dict) else None
    return value if isinstance(value, str) else ""


def _of(opened: Open, kind: str, about: str) -> list[str]:
    return [at for at, each in opened.items() if (each["kind"], each["about"]) == (kind, about)]


def _begun(event: Event, kind: str, find: Find) -> Json:
    about = _about(event, kind)
    begun: Json = {"kind": kind, "about": about, "ms": ms(event["ts"])}
    attributes: Json = {f"coord.{kind}_id": about, "coord.agent": event["actor"]["agent_id"]}
    trace, parent = context(event, find)
    if kind == "run":
        request = find(about)
        argv = request["body"].get("argv") if request else None
        begun["name"] = f"run {_word(argv)}" if _word(argv) else "run"
        for name in ("agent", "pool", "n"):
            if isinstance(event["body"].get(name), str | int):
                attributes[f"coord.{name}"] = _plain(event["body"][name])
        if request and reference(request, "work_id"):
            attributes["coord.work_id"] = reference(request, "work_id")
    else:
        begun["name"] = "claim"
    return begun | {"trace": trace, "parent": parent, "attributes": attributes}


def context(event: Event, find: Find) -> tuple[str, str | None]:
    """The trace of an event, and the span in which its writer ran or its job was requested.

    An event about a job is of the trace of its request, and one about a message of that message's.
    """
    if not tracing.parsed(event["actor"].get(tracing.FIELD)) or event["type"][:4] == "run.":
        for name in ("run_id", "msg_id"):
            about = reference(event, name)
            if about and about != event.id and not reference(event, "thread_id"):
                origin = find(about)
                if origin is not None and origin.id != event.id:
                    return tracing.context(origin)
    return tracing.context(event)


def _word(argv: object) -> str:
    """The program of a command, without its directory: few of them are different."""
    first = argv[0] if isinstance(argv, list) and argv else ""
    return first.rpartition("/")[2][:60] if isinstance(first, str) else ""


def _ended(event: Event, claims: list[str], opened: Open, verb: str) -> Iterator[Span]:
    body = event["body"]
    for claim in claims:
        begun = opened.pop(claim)
        end = max(ms(event["ts"]), begun["ms"])
        attributes, failed = {**begun["attributes"], "coord.end": verb}, ""
        for name in ("outcome", "code", "signal", "resolution", "reason"):
            if isinstance(body.get(name), str | int):
                attributes[f"coord.{name}"] = _plain(body[name])
        begin = begun["ms"]
        if verb == "completed":
            took = body.get("dur_ms")
            if type(took) is int and 0 <= took <= end:
                begin = end - took
            outcome, code = body.get("outcome"), body.get("code")
            good = outcome == "exit" and code in (0, None)
            failed = "" if good else f"{outcome} {'' if code is None else code}".strip()
        elif verb in ("conceded", "stolen") or begun["kind"] == "run":
            failed = str(body.get("reason") or verb)[:200]
        yield {
            "name": begun["name"],
            "trace": begun["trace"],
            "span": tracing.span_of(claim),
            "parent": begun["parent"],
            "begin": begin,
            "end": end,
            "failed": failed,
            "attributes": attributes,
        }


def _consumed(event: Event, consumer: str, find: Find) -> Iterator[Span]:
    """The run of a consumer that ends with this result; of others only the key has that form."""
    cause = find(event["cause"])
    if cause is None or event.get("idempotency_key") != f"{consumer} {cause.id}":
        return
    trace, parent = context(cause, find)
    begin = ms(cause["ts"])
    yield {
        "name": f"consume {consumer[:63]}",
        "trace": trace,
        "span": tracing.span_of(event.id),
        "parent": parent,
        "begin": begin,
        "end": max(begin, ms(event["ts"])),
        "failed": "",
        "attributes": {"coord.consumer": consumer[:63], "coord.cause": cause.id},
    }


def _plain(value: str | int) -> str | int:
    if isinstance(value, str):
        return value[:500]
    return value if abs(value) < 1 << 63 else str(value)[:500]


def ms(ts: str) -> int:
    """Unix milliseconds; 0 for anything that is not a time."""
    with suppress(ValueError, OverflowError):
        return max(0, world.parse_ts(ts))
    return 0
