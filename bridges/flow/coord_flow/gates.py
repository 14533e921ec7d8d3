"""The gates of a step: the items before it, and behind it, that coord-flow run closes. Pure.

human    a person answers a question; the step itself is one if its type is human
timer    a time after all that the step needs is done
event    an event of a type (and values) since the flow was poured
command  a program exits 0; it is tried again until then
others   `gh:run`, `mail`, …: stay until somebody, or a bridge, closes them

retry    behind a step: it is opened again if it was not closed as done, some times
check    behind a step: it is opened again if a program does not exit 0, some times
"""

from __future__ import annotations

from coord_envelope.event import address
from coord_envelope.fields import Where
from coord_envelope.platform import suppress
from coord_flow.steps import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope.codec import Json

HUMAN, TIMER, EVENT, COMMAND = "human", "timer", "event", "command"
RETRY, CHECK = "retry", "check"
KIND = "gate"
UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
MOST_MS = 366 * 86_400_000
EVERY_MS, LIMIT_MS = 60_000, 300_000
"""How long after a program failed it is tried again, and how long it may take, if not said."""


def span(text: str) -> int:
    """The milliseconds of `90s`, `5m`, `1h30m`. Raises ValueError."""
    total, rest = 0, text.strip()
    while rest:
        digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        unit = next((name for name in UNITS if rest[len(digits) :].startswith(name)), "")
        if not digits or not unit or len(digits) > 12:
            raise ValueError(f"not a valid time: {text!r}")
        total += int(digits) * UNITS[unit]
        rest = rest[len(digits) + len(unit) :]
    if not 0 < total <= MOST_MS:
        raise ValueError(f"not a valid time: {text!r}")
    return total


def spanned(fields: Json, name: str, default: int) -> int:
    """A time among the fields of an item, in milliseconds; else the default."""
    try:
        return span(str(fields.get(name, "")))
    except ValueError:
        return default


def problems_of(data: Json, kind: str) -> Iterator[tuple[str, str]]:
    """What is wrong with the gates and times of a step: (what, what to do)."""
    gate = data.get("gate", {})
    spans = [("timeout", data.get("timeout"))]
    spans += [(f"gate.{name}", gate.get(name)) for name in ("timeout", "every")]
    spans.append(("check.check.timeout", _check(data).get("check", {}).get("timeout")))
    for name, text in spans:
        if isinstance(text, str) and "{{" not in text:
            try:
                span(text)
            except ValueError as reason:
                yield f"{name}: {reason}", "use 90s, 5m, 2h or 1h30m"
    type_ = gate.get("type")
    if type_ == TIMER and not gate.get("timeout"):
        yield "gate: a timer without timeout", 'say how long: timeout = "1h"'
    try:
        Where(gate.get("where") or {})
    except ValueError as reason:
        yield f"gate.where: {reason}", ""
    if type_ == EVENT and not gate.get("id"):
        yield "gate: an event without id", 'name a type of event: id = "ci.passed"'
    if type_ == COMMAND:
        yield from _program(gate.get("id"), "gate: a command without id")
    if _check(data):
        yield from _program(_check(data).get("check", {}).get("path"), "check: path is missing")
    options = gate.get("options")
    if options is not None and len(set(options)) != len(options):
        yield "gate: the same option twice", ""
    if any(not each.strip() or len(each.encode()) > 100 for each in options or ()):
        yield "gate: not a valid option", "use texts of up to 100 bytes"
    to = gate.get("to", "human:x")
    with suppress(ValueError):
        if "{{" not in to and address(to):
            to = ""
    if to and "{{" not in to:
        yield f"gate: not the address of an agent or a person: {to!r}", "as human:ada"
    if gate.get("on_timeout") and gate["on_timeout"] not in (options or ("yes", "no")):
        yield f"gate: on_timeout is not an option: {gate['on_timeout']!r}", ""
    if kind == HUMAN and "gate" in data:
        yield "has both type human and a gate", "let another step have the gate"


def _program(path: object, missing: str) -> Iterator[tuple[str, str]]:
    if not isinstance(path, str) or not path:
        yield missing, "name a program"
    elif "\0" in path or "\n" in path:
        yield f"not a path of a program: {path!r}", ""


def _check(data: Json) -> Json:
    check = data.get("check") or data.get("ralph")
    return check if isinstance(check, dict) else {}


def before(step: Step) -> Step | None:
    """The item that a step waits for; the step becomes one itself if its type is human."""
    if step.kind == HUMAN:
        step.kind = KIND
        step.data["fields"] = {"gate": HUMAN}
        return None
    gate = step.data.get("gate")
    if not isinstance(gate, dict):
        return None
    type_ = str(gate.get("type", ""))
    named = str(gate.get("id", ""))
    title = gate.get("text") or f"{step.title}: {_words(type_, named, gate)}"
    made = Step(f"{step.id}.gate", _short(str(title)))
    made.kind = KIND
    fields = {"gate": type_, **({"gate.id": named} if named else {})}
    for name in ("timeout", "every", "to", "on_timeout"):
        if gate.get(name):
            fields[f"gate.{name}"] = gate[name]
    if gate.get("options"):
        fields["gate.options"] = "\n".join(map(str, gate["options"]))
    for name, value in (gate.get("where") or {}).items():
        fields[f"gate.where.{name}"] = value
    made.data = {"fields": fields}
    return made


def _words(type_: str, named: str, gate: Json) -> str:
    if type_ == HUMAN:
        return "go on?"
    if type_ == TIMER:
        return f"wait {gate.get('timeout', '')}"
    return f"wait for {type_} {named}".strip()


def behind(step: Step) -> Step | None:
    """The item behind a step that says whether it is done, or to be done again."""
    check, retry = _check(step.data), step.data.get("retry")
    if check:
        inner = check.get("check", {})
        fields = {"gate": CHECK, "gate.id": str(inner.get("path", ""))}
        limit = inner.get("timeout") or step.data.get("timeout")
        fields |= {"gate.limit": limit} if limit else {}
    elif isinstance(retry, dict):
        fields = {"gate": RETRY, "gate.on_exhausted": retry.get("on_exhausted", "hard_fail")}
    else:
        return None
    fields["gate.most"] = (check or retry or {}).get("max_attempts", 1)
    fields["gate.of"] = step.id
    made = Step(f"{step.id}.{fields['gate']}", _short(f"{step.title}: is it done?"))
    made.kind, made.data = KIND, {"fields": fields}
    return made


def _short(title: str) -> str:
    return title.encode()[:200].decode("utf-8", "ignore")
