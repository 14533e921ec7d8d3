"""A consumer's file: which events, which command for each, and what is told of the outcome."""

from __future__ import annotations

import os
import tomllib
from typing import Any

from coord_envelope import BadData, Fault, Filter, codec
from coord_envelope.event import name_ok, recipient
from coord_ev.template import LONGEST, Templates, Words, compiled, rendered, text
from coord_ev.watch import own_type
from coord_kernel.cli import values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from coord_envelope.codec import Json
    from coord_envelope.event import Event
    from coord_kernel import Store

NAME = 54
"""Most characters of a name: a cursor, an agent and a capability are called after it."""
FAILED = "consume.failed"
SECTIONS = ("match", "run", "gate", "emit")
KINDS: dict[type, str] = {
    str: "a string",
    int: "a whole number from 1",
    list: "a list of strings",
    dict: "a table",
}


class Consumer:
    """What a file says. `mistakes` has a line for each that is wrong in it; with any, the rest is not to be used."""

    def __init__(self, path: str, store: Store) -> None:
        """Raises BadData if it is no TOML, OSError."""
        self.path, self.directory, self.mistakes = (
            path,
            os.path.dirname(os.path.abspath(path)),
            list[Fault](),
        )
        self.templates = Templates(self.directory, store)
        whole = _Section(_toml(path), "", self)
        self.name = whole.take("name", str, needed='as name = "reviewer"')
        if self.name and not name_ok(self.name, NAME):
            whole.mistake("name", f"{self.name!r} is no name", f"use a-z 0-9 . _ -, up to {NAME}")
        said = {name: whole.take(name, dict) for name in SECTIONS}
        whole.end()
        found = {name: _Section(table or {}, name, self) for name, table in said.items()}
        self._match(found["match"])
        self._run(found["run"])
        self._gate(found["gate"], given=said["gate"] is not None)
        self._emit(found["emit"], given=said["emit"] is not None)
        for section in found.values():
            section.end()

    def _match(self, said: _Section) -> None:
        """[match]: which events."""
        since = said.take("since", str)
        self.wanted = Filter(
            types=said.take("types", list, [], needed='as types = ["ci.*"]'),
            not_types=said.take("not_types", list, []),
            agents=said.agents("agents"),
            not_agents=said.agents("not_agents"),
            since=said.good("since", lambda: values.moment(since)) if since else None,
        )

    def _run(self, said: _Section) -> None:
        """[run]: what is done for each."""
        self.argv = said.words("argv", needed='as argv = ["llm", "{{body.text}}"]')
        stdin = said.take("stdin", str, "")
        self.stdin = None if stdin == "event" else said.template("stdin", stdin)
        """None: the event's line."""
        env = said.take("env", dict, {})
        if not all(isinstance(value, str) for value in env.values()):
            said.mistake("env", "is not a table of strings", 'as env = { LANG = "C" }')
        self.env = {name: said.template(f"env.{name}", str(value)) for name, value in env.items()}
        self.concurrency = said.take("concurrency", int, 1)
        self.max_attempts = said.take("max_attempts", int, 3)
        self.timeout, self.backoff = said.span("timeout", "1h"), said.span("backoff", "10s")
        schema = said.take("schema", str)
        self.schema = (
            said.good("schema", lambda: _schema(self.directory, schema)) if schema else None
        )

    def _gate(self, said: _Section, given: bool) -> None:
        """[gate]: what decides whether its output is good."""
        self.gate = said.words("argv", needed='as argv = ["./check.sh"]') if given else None
        self.gate_timeout = said.span("timeout", "1h")

    def _emit(self, said: _Section, given: bool) -> None:
        """[emit]: what is told of it."""
        kind = said.take("type", str, needed='as type = "review.done"') if given else None
        self.emit = said.good("type", lambda: own_type(kind, "")) if kind else None
        failed = said.take("failed", str, FAILED)
        self.failed = said.good("failed", lambda: own_type(failed, ""))
        self.text = said.template("text", said.take("text", str, "{{stdout}}"))
        to = said.take("to", list, [])
        self.to = said.good("to", lambda: _recipients(to))

    def job(self, event: Event) -> tuple[list[str], bytes]:
        """The command for this event, and its input. Raises BadData."""
        values = self.values(event)
        stdin = (
            rendered(self.stdin, values, "[run] stdin").encode()
            if self.stdin
            else event.raw + b"\n"
        )
        return self.argv.render(values), stdin

    def environment(self, event: Event) -> dict[str, str]:
        """What its commands have in their environment for this event. Raises BadData."""
        values = self.values(event)
        return {name: rendered(one, values, f"[run] env.{name}") for name, one in self.env.items()}

    def checked(self, output: bytes) -> tuple[Any, str]:
        """The answer that an output is, and why it is not as the schema wants it. Without a schema: None, no word."""
        if self.schema is None:
            return None, ""
        try:
            answer = codec.loads(output.strip())
        except ValueError as reason:
            return None, f"no JSON: {reason}"
        from referencing.exceptions import Unresolvable

        try:
            for error in self.schema.iter_errors(answer):
                place = ".".join(map(str, error.absolute_path)) or "the whole"
                return None, f"{place}: {error.message[:300]}"
        except (Unresolvable, RecursionError) as fault:
            raise BadData(
                f"refers to what is not in it: {str(fault)[:200]}", "[run] schema"
            ) from None
        return answer, ""

    def values(self, event: Json, **more: Any) -> Json:
        """What a template may name: the event's fields, and the whole as `event`."""
        return {**event, "event": event, **more}


class _Section:
    """One table of the file. What is wrong with it goes to the consumer's mistakes."""

    def __init__(self, said: Json, name: str, owner: Consumer) -> None:
        self._said, self._known, self._owner = said, list[str](), owner
        self._label = f"[{name}] " if name else ""

    def mistake(self, name: str, what: str, todo: str = "") -> None:
        where = f"{self._owner.path}: {self._label}{name}"
        self._owner.mistakes.append(BadData(what, where, todo=todo))

    def take(self, name: str, kind: type, default: Any = None, needed: str = "") -> Any:
        """The value of a key, or the default."""
        self._known.append(name)
        value = self._said.get(name)
        if value is None:
            if needed:
                self.mistake(name, "is missing", needed)
            return default
        right = type(value) is kind and (kind is not int or self._said[name] > 0)
        if not right or (
            kind is list and not (value and all(isinstance(one, str) for one in value))
        ):
            self.mistake(name, f"is not {KINDS[kind]}", needed)
            return default
        return value

    def good(self, name: str, make: Callable[[], Any]) -> Any:
        """What is made of a value; None if that is a mistake."""
        try:
            return make()
        except Fault as fault:
            place, known = (
                fault.where.removeprefix(f"{self._label}{name}"),
                fault.where.startswith(self._label + name),
            )
            what = (
                fault.what.strip() if known or not fault.where else f"{fault.where}: {fault.what}"
            )
            self.mistake(name + (place if known else ""), what, fault.todo)
            return None

    def agents(self, name: str) -> list[str]:
        """Agents, in full."""
        found = self.take(name, list, [])
        return self.good(name, lambda: [values.agent_id(one, "") for one in found]) or []

    def words(self, name: str, needed: str) -> Any:
        """A command."""
        found = self.take(name, list, needed=needed)
        return found and self.good(
            name, lambda: Words(self._owner.templates, found, f"{self._label}{name}")
        )

    def template(self, name: str, source: str) -> Any:
        """A template."""
        return self.good(name, lambda: compiled(self._owner.templates, source, ""))

    def span(self, name: str, default: str) -> str:
        """A time, as it is written."""
        found: str = self.take(name, str, default)
        self.good(name, lambda: values.span(found, ""))
        return found

    def end(self) -> None:
        """What was not asked for is a mistake."""
        for name in self._said:
            if name not in self._known:
                self.mistake(name, "is no key of this file", f"there are {', '.join(self._known)}")


def _recipients(to: list[str]) -> list[str]:
    groups = [one for one in to if one.startswith("group:")]
    if groups:
        raise BadData(
            f"{groups[0]} is reached by msg send only", todo="name its members, or chan:NAME"
        )
    try:
        return [recipient(one) for one in to]
    except ValueError as reason:
        raise BadData(str(reason)) from None


def _toml(path: str) -> Json:
    with open(path, "rb") as file:
        data = file.read(LONGEST)
    try:
        return tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as reason:
        raise BadData(f"is no TOML: {reason}", path, todo="mend the file") from None


def _schema(directory: str, name: str) -> Any:
    """What checks against a JSON Schema in a file beside or below the consumer's. Raises BadData."""
    from jsonschema import Draft202012Validator, SchemaError
    from referencing import Registry

    try:
        found: Json = codec.loads(text(directory, name).encode())
        Draft202012Validator.check_schema(found)
    except ValueError as reason:
        raise BadData(f"is no JSON: {reason}", name) from None
    except SchemaError as error:
        raise BadData(f"is no JSON Schema: {error.message[:200]}", name) from None
    return Draft202012Validator(found, registry=Registry())  # an empty one: nothing is fetched
