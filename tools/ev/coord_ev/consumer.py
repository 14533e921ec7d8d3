"""A consumer's file: which events, the command for each, and the event to emit with the result."""

from __future__ import annotations

import os
from typing import Any

from coord_envelope import BadData, Fault, Filter, codec
from coord_envelope.errors import DiskFault
from coord_envelope.event import name_ok, recipient
from coord_ev.bounded import bounded
from coord_ev.draft import own_type
from coord_ev.template import WORDS, Templates, Words, compiled, is_template, rendered, text
from coord_kernel.cli import urls
from coord_kernel.cli.call import Call
from coord_kernel.proc.beside import BIN
from coord_kernel.store import private, toml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from coord_envelope.codec import Json
    from coord_envelope.event import Event
    from coord_kernel import Store

NAME = 54
"""Most characters of a name: a cursor, an agent and a capability are named after it."""
FAILED = "consume.failed"
SECTIONS = ("match", "run", "gate", "emit")
KINDS: dict[type, str] = {
    str: "a string",
    int: "a whole number from 1",
    list: "a list of strings",
    dict: "a table",
}


class Consumer:
    """The contents of a file. `mistakes` has a Fault for each; with any, use nothing else of it."""

    def __init__(self, path: str, store: Store) -> None:
        """Raises BadData if the file is not TOML or, named so, YAML; OSError."""
        self.path, self.mistakes, self._store = path, list[Fault](), store
        self.directory = os.path.dirname(os.path.abspath(path))
        self.templates = Templates(self.directory, store)
        whole = _Section(_table(path), "", self)
        self.name = whole.take("name", str, needed='as name = "reviewer"')
        if self.name and not name_ok(self.name, NAME):
            whole.mistake(
                "name", f"not a valid name: {self.name!r}", f"use a-z 0-9 . _ -, up to {NAME}"
            )
        self.cursor = f"consume.{self.name}"
        tables = {name: whole.take(name, dict) for name in SECTIONS}
        whole.end()
        sections = {name: _Section(table or {}, name, self) for name, table in tables.items()}
        self._match(sections["match"])
        self._run(sections["run"])
        self._gate(sections["gate"], given=tables["gate"] is not None)
        self._emit(sections["emit"], given=tables["emit"] is not None)
        for section in sections.values():
            section.end()

    def _match(self, section: _Section) -> None:
        """[match]: which events."""
        since = section.take("since", str)
        self.wanted = Filter(
            types=section.take("types", list, [], needed='as types = ["ci.*"]'),
            not_types=section.take("not_types", list, []),
            agents=section.agents("agents"),
            not_agents=section.agents("not_agents"),
            since=section.good("since", lambda: Call.moment(since)) if since else None,
        )
        trust = section.take("trust", list, [])
        if trust or self._store.signers():
            from coord_ev.demand import Trusting  # few demand it

            self.wanted = Trusting(self.wanted, self._store, trust)
        where = section.take("where", dict)
        if where:
            self.wanted = section.good("where", lambda: _having(self.wanted, self._store, where))

    def _run(self, section: _Section) -> None:
        """[run]: the command for each event."""
        self.secrets: list[str] = []
        """The names of the secrets that its command gets: of the URL, and what signs it."""
        url = section.take("url", str)
        if url is None:
            self.argv = section.words("argv", needed='as argv = ["llm", "{{body.text}}"]')
        else:
            self.argv = self._post(section, url)
        stdin = section.take("stdin", str, "" if url is None else "event")
        self.stdin = None if stdin == "event" else section.template("stdin", stdin)
        """None: the event's line."""
        env = section.take("env", dict, {})
        if not all(isinstance(value, str) for value in env.values()):
            section.mistake("env", "is not a table of strings", 'as env = { LANG = "C" }')
        for name in env:
            if not name or "=" in name or "\0" in name:
                section.mistake("env", f"cannot set variable {name!r}")
        self.env = {
            name: section.template(f"env.{name}", str(value)) for name, value in env.items()
        }
        self.concurrency = section.take("concurrency", int, 1)
        self.max_attempts = section.take("max_attempts", int, 3)
        self.timeout, self.backoff = section.span("timeout", "1h"), section.span("backoff", "10s")
        schema = section.take("schema", str)
        self.schema = (
            section.good("schema", lambda: _schema(self.directory, schema)) if schema else None
        )

    def _post(self, section: _Section, url: str) -> Any:
        """The command that sends an event to a URL: coord-webhook(8)."""
        secret = section.take("secret", str)
        if section.take("argv", list):
            section.mistake("url", "stands beside argv", "leave one of them out")
        if secret is not None:
            secret = section.good("secret", lambda: private.variable(secret))
        words = section.good("url", lambda: _sender(url, secret))
        named = url.removeprefix("$") if url.startswith("$") else None
        self.secrets = [name for name in (named, secret) if name] if words else []
        return words and Words(self.templates, words, "[run] url")

    def _gate(self, section: _Section, given: bool) -> None:
        """[gate]: the command that accepts or rejects the output."""
        self.gate = section.words("argv", needed='as argv = ["./check.sh"]') if given else None
        self.gate_timeout = section.span("timeout", "1h")

    def _emit(self, section: _Section, given: bool) -> None:
        """[emit]: the event with the result."""
        kind = section.take("type", str, needed='as type = "review.done"') if given else None
        self.emit = section.good("type", lambda: own_type(kind, "")) if kind else None
        failed = section.take("failed", str, FAILED)
        self.failed = section.good("failed", lambda: own_type(failed, ""))
        self.text = section.template("text", section.take("text", str, "{{stdout}}"))
        to = section.take("to", list, [])
        self.to = section.good("to", lambda: _recipients(to))

    def command(self, event: Event) -> tuple[tuple[list[str], bytes], dict[str, str]]:
        """`job` and `environment`, made in a child of its own. Raises BadData, DiskFault."""
        return bounded(lambda: (self.job(event), self.environment(event)), "[run]")

    def job(self, event: Event) -> tuple[list[str], bytes]:
        """The command for this event, and its input. Raises BadData."""
        fields, line = self.values(event), event.raw + b"\n"
        stdin = rendered(self.stdin, fields, "[run] stdin").encode() if self.stdin else line
        return self.argv.render(fields), stdin

    def environment(self, event: Event) -> dict[str, str]:
        """The environment of its commands for this event. Raises BadData."""
        fields, env = self.values(event), dict[str, str]()
        for name, template in self.env.items():
            env[name] = rendered(template, fields, where := f"[run] env.{name}")
            if "\0" in env[name]:
                raise BadData("contains a NUL byte", where)
        size = sum(len(value.encode()) for value in env.values())
        if size > WORDS:
            raise BadData(f"has {size:,} bytes, more than {WORDS:,}", "[run] env")
        return env

    def checked(self, output: bytes) -> tuple[Any, str]:
        """The output as JSON, and why it does not fit the schema. Without a schema: None, ""."""
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
            raise BadData(f"unresolvable reference: {str(fault)[:200]}", "[run] schema") from None
        return answer, ""

    def values(self, event: Json, **more: Any) -> Json:
        """What a template may name: the event's fields, and the whole as `event`."""
        return {**event, "event": event, **more}


class _Section:
    """One table of the file. Its mistakes are added to the consumer's."""

    def __init__(self, table: Json, name: str, owner: Consumer) -> None:
        self._table, self._known, self._owner = table, list[str](), owner
        self._label = f"[{name}] " if name else ""

    def mistake(self, name: str, what: str, todo: str = "") -> None:
        where = f"{self._owner.path}: {self._label}{name}"
        self._owner.mistakes.append(BadData(what, where, todo=todo))

    def take(self, name: str, kind: type, default: Any = None, needed: str = "") -> Any:
        """The value of a key, or the default."""
        self._known.append(name)
        value = self._table.get(name)
        if value is None:
            if needed:
                self.mistake(name, "is missing", needed)
            return default
        if type(value) is not kind or not _valid(value):
            self.mistake(name, f"is not {KINDS[kind]}", needed)
            return default
        return value

    def good(self, name: str, make: Callable[[], Any]) -> Any:
        """The result of `make`; None, and a mistake of the key `name`, if it raises a Fault."""
        try:
            return make()
        except Fault as fault:
            key = self._label + name
            place = fault.where.removeprefix(key) if fault.where.startswith(key) else ""
            known = not fault.where or fault.where.startswith(key)
            what = fault.what.strip() if known else f"{fault.where}: {fault.what}"
            self.mistake(name + place, what, fault.todo)
            return None

    def agents(self, name: str) -> list[str]:
        """Agents, in full."""
        names = self.take(name, list, [])
        return self.good(name, lambda: [Call.agent_id(agent, "") for agent in names]) or []

    def words(self, name: str, needed: str) -> Any:
        """A command."""
        argv, where = self.take(name, list, needed=needed), f"{self._label}{name}"
        return argv and self.good(name, lambda: Words(self._owner.templates, argv, where))

    def template(self, name: str, source: str) -> Any:
        """A template."""
        return self.good(name, lambda: compiled(self._owner.templates, source, ""))

    def span(self, name: str, default: str) -> str:
        """A length of time, as it is written."""
        time: str = self.take(name, str, default)
        self.good(name, lambda: Call.span(time, name))
        return time

    def end(self) -> None:
        """Every key that was not taken is a mistake."""
        for name in self._table:
            if name not in self._known:
                self.mistake(name, "unknown key", f"valid keys: {', '.join(self._known)}")


def _valid(value: Any) -> bool:
    """Does a value of the right type fit `KINDS`?"""
    if isinstance(value, list):
        return bool(value) and all(isinstance(word, str) for word in value)
    return not isinstance(value, int) or value > 0


def _having(wanted: Filter, store: Store, conditions: Json) -> Filter:
    from coord_ev.demand import Having  # few look into the body

    try:
        return Having(wanted, store, conditions)
    except ValueError as reason:
        raise BadData(str(reason)) from None


def _sender(url: str, secret: str | None) -> list[str]:
    """The words of the command that sends its input to a URL. Raises BadData."""
    if is_template(url):
        raise BadData("is a template", todo="write the URL itself, so that no event can choose it")
    (private.variable if url.startswith("$") else urls.http)(url)
    signed = ["--secret", secret] if secret else []
    return [os.path.join(BIN, "coord-webhook"), "send", url, *signed, "--id", "{{event_id}}"]


def _recipients(to: list[str]) -> list[str]:
    groups = [address for address in to if address.startswith("group:")]
    if groups:
        raise BadData(
            f"{groups[0]}: groups work with `msg send` only", todo="name its members, or chan:NAME"
        )
    try:
        return [recipient(address) for address in to]
    except ValueError as reason:
        raise BadData(str(reason)) from None


def _table(path: str) -> Json:
    fd = toml.opened(path)
    if fd is None:
        raise DiskFault("no such file or directory", path)
    return _yaml(fd, path) if path.endswith((".yaml", ".yml")) else toml.parsed(fd, path)


def _yaml(fd: int, path: str) -> Json:
    """The mapping in an open file, which is closed. Raises BadData."""
    import yaml  # 20 ms, for who prefers it to TOML

    with open(fd, "rb") as file:
        data = file.read(toml.LARGEST + 1)
    if len(data) > toml.LARGEST:
        raise BadData(f"more than {toml.LARGEST:,} bytes", where=path, todo="shorten the file")
    try:
        table = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        what = " ".join(str(error).split())[:200]
        raise BadData(f"not valid YAML: {what}", where=path, todo="correct the file") from None
    if not isinstance(table, dict) or not all(isinstance(name, str) for name in table):
        raise BadData("not a table", where=path, todo="use `name: reviewer` and sections")
    return table


def _schema(directory: str, name: str) -> Any:
    """The validator of a JSON Schema in a file in or below the directory. Raises BadData."""
    from jsonschema import Draft202012Validator, SchemaError
    from referencing import Registry

    try:
        schema: Json = codec.loads(text(directory, name).encode())
        Draft202012Validator.check_schema(schema)
    except ValueError as reason:
        raise BadData(f"not valid JSON: {reason}", name) from None
    except SchemaError as error:
        raise BadData(f"not a valid JSON Schema: {error.message[:200]}", name) from None
    return Draft202012Validator(schema, registry=Registry())  # empty: nothing is fetched
