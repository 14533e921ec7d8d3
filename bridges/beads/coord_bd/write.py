"""The verbs of bd that change issues: each looks and writes under one lock."""

from __future__ import annotations

from coord_bd.answer import Answer, said
from coord_bd.issue import OWN, RELATIONS, Issues, seconds
from coord_bd.query import kind, moment, number, priority
from coord_envelope import No, Usage, codec
from coord_envelope.event import file_form
from coord_kernel.cli.values import content, typed
from coord_wk.desk import agent_of, spread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coord_envelope.codec import Json
    from coord_wk.desk import Desk
    from coord_wk.items import Items

    Values = dict[str, Any]


def text_of(values: Values, name: str = "description") -> str | None:
    """A text: the option, a file, or stdin. Raises OSError, BadData."""
    if values.get("stdin") or values.get(name) == "-":
        return content("-").decode("utf-8", "replace").removesuffix("\n")
    if name in values:
        return str(values[name])
    path = values.get("body_file" if name == "description" else "file")
    if path is None:
        return None
    return content("-" if path == "-" else f"@{path}").decode("utf-8", "replace")


def own_fields(values: Values) -> Json:
    """Fields `bd:NAME` for the options that wk has no place for."""
    fields: Json = {}
    for option, name in (
        ("design", "design"),
        ("acceptance", "acceptance_criteria"),
        ("notes", "notes"),
        ("external_ref", "external_ref"),
        ("spec_id", "spec_id"),
    ):
        if option in values:
            fields |= spread(f"{OWN}{name}", values[option])
    if "estimate" in values:
        fields[f"{OWN}estimated_minutes"] = number(values["estimate"], "--estimate")
    if "due" in values:
        fields[f"{OWN}due_at"] = seconds(moment(values["due"])) if values["due"] else None
    return fields


def metadata_of(values: Values) -> Json:
    """Fields for --metadata, --set-metadata and --unset-metadata. Raises Usage."""
    fields: Json = {}
    if "metadata" in values:
        raw = content(values["metadata"]) if values["metadata"][:1] == "@" else None
        try:
            given = codec.loads(raw or values["metadata"].encode())
        except ValueError as reason:
            raise Usage(f"invalid JSON in --metadata: {reason}") from None
        if not isinstance(given, dict):
            raise Usage("--metadata must be a JSON object")
        for name, each in given.items():
            fields |= field(name, codec.dumps(each).decode() if _deep(each) else each)
    for pair in values.get("set_metadata", ()):
        name, equals, text = pair.partition("=")
        if not equals:
            raise Usage(f"--set-metadata {pair!r}: expected key=value")
        fields |= field(name, _value(text))
    for name in values.get("unset_metadata", ()):
        fields |= field(name, None)
    return fields


def _deep(each: object) -> bool:
    return isinstance(each, (dict, list))


def _value(text: str) -> object:
    if text == "null":
        return None
    try:
        return typed(text) if typed(text) != text else float(text) if "." in text else text
    except ValueError:
        return text


def field(name: str, each: object) -> Json:
    """The fields that keep a value of metadata. Raises Usage."""
    if not name or name == "alias" or name.startswith(OWN) or "~" in name:
        raise Usage(f"not a valid metadata key: {name!r}")
    return spread(name, each) if isinstance(each, str) else {name: each}


def as_set(fields: Json) -> Json:
    """Fields as registers."""
    return {f"fields.{name}": each for name, each in fields.items()}


def create(desk: Desk, args: list[str], values: Values) -> Answer:
    """create, new"""
    title = values.get("title") or " ".join(args)
    if not title.strip():
        raise Usage("title required")
    words: Json = {
        "title": title,
        "desc": text_of(values) or None,
        "kind": kind(values.get("type", "task")),
        "priority": priority(values.get("priority", "2")),
        "assignee": agent_of(values["assignee"]) if values.get("assignee") else None,
        "defer_until": moment(values["defer"]) if values.get("defer") else None,
    }
    fields = {
        k: v for k, v in {**own_fields(values), **metadata_of(values)}.items() if v is not None
    }
    if values.get("ephemeral"):
        fields[f"{OWN}ephemeral"] = True
    warnings: list[str] = []
    with desk.transaction() as (t, items):
        labels, alias = list(values.get("labels", ())), values.get("id", "")
        if "parent" in values:
            if alias:
                raise Usage("cannot specify both --id and --parent flags")
            words["parent"] = desk.resolve(items, values["parent"])
            alias = desk.fresh_part(items, words["parent"])
            inherited = items.row(words["parent"]).get("labels", [])
            labels += [] if values.get("no_inherit") else inherited
        elif alias:
            _check_id(desk, items, alias, bool(values.get("force")))
        words["labels"] = list(dict.fromkeys(labels)) or None
        edges = [_edge(text) for text in values.get("deps", ())]
        words["fields"] = dict(fields)
        own, others = _links(desk, items, edges, words, warnings)
        words["deps"] = own or None
        if values.get("dry_run"):
            preview = {k: v for k, v in words.items() if v not in (None, {}, [])}
            return Answer(preview, [f"[DRY RUN] Would create: {title}"])
        event = desk.create(t, items, words, alias)
        for other in others:
            wish: Any = {"add": {"deps": [{"rel": "blocked_by", "to": event.id}]}}
            desk.bring(t, items, other, wish)
    issues = Issues(desk, desk.items())
    touch(desk, event.id)
    issue = {**issues.issue(event.id), **issues.labels(event.id)}
    if values.get("silent"):
        answer = Answer(issue, [issue["id"]])
    else:
        lines = [f"✓ Created issue: {issue['id']} — {issue['title']}"]
        lines += [f"  Priority: P{issue['priority']}", f"  Status: {issue['status']}"]
        answer = Answer(issue, lines)
    answer.failures = [f"Warning: {warning}" for warning in warnings]
    return answer


def _check_id(desk: Desk, items: Items, alias: str, force: bool) -> None:
    prefix, hyphen, rest = alias.rpartition("-")
    valid = all(c.isalnum() or c in "-._" for c in alias)
    if not hyphen or not rest or not valid or len(alias) > 200:
        raise Usage(f"invalid issue ID {alias!r} (expected: prefix-hash)")
    if not force and prefix != (desk.prefix or "wk") and not alias.startswith(f"{desk.prefix}-"):
        raise Usage(f"ID {alias!r} does not have the prefix {desk.prefix or 'wk'!r}; use --force")
    if any(found == alias for found, _ in items.aliases(alias)):
        raise Usage(f"issue {alias} already exists")


KNOWN = (
    *("blocks", "depends-on", "blocked-by", "parent-child", "conditional-blocks", "waits-for"),
    *("related", "relates-to", "discovered-from", "tracks", "supersedes", "duplicates"),
    *("replies-to", "caused-by", "validates", "until", "delegated-from"),
)
"""What `--deps` takes before a colon; `dep add -t` takes any word."""


def _edge(text: str) -> tuple[str, str]:
    """(type, id) of `--deps`: `ID` and `blocked-by:ID` wait on ID, `blocks:ID` is the reverse."""
    how, colon, to = text.partition(":")
    if colon and how not in KNOWN:
        raise Usage(f"unknown dependency type {how!r} (valid: {', '.join(KNOWN)})")
    return (how, to) if colon else ("depends-on", text)


def _links(
    desk: Desk, items: Items, edges: list[tuple[str, str]], words: Json, warnings: list[str]
) -> tuple[list[Json], list[str]]:
    """The dependencies of a new item, and the items that wait on it. What fails is a warning."""
    own: list[Json] = []
    others: list[str] = []
    for how, text in edges:
        check_type(how)
        try:
            to = desk.resolve(items, text)
        except (No, Usage) as fault:
            warnings.append(f"failed to add dependency {text}: {said(fault, text)}")
            continue
        if how == "blocks":
            others.append(to)
            continue
        how = "blocks" if how in ("depends-on", "blocked-by") else how
        own.append({"rel": RELATIONS.get(how, "relates_to"), "to": to})
        words["fields"] |= kept(how, to)
    return own, others


def kept(how: str, to: str) -> Json:
    """The field that keeps a type for which wk has no word."""
    usual = how in ("blocks", "discovered-from", "duplicates", "supersedes", "relates-to")
    return {} if usual else {f"{OWN}dep:{to}": how}


def check_type(how: str) -> None:
    """Raise Usage for what cannot be the type of a dependency."""
    if not how or len(how) > 50 or not all(c.isalnum() or c in "-_" for c in how):
        raise Usage(f"invalid dependency type {how!r}")


def touch(desk: Desk, item: str) -> None:
    """Remember the item for an `update` or `close` without id."""
    agent = file_form(str(desk.actor()["agent_id"]))
    desk.call.journal.store.save(item.encode(), "local", "bd", agent, durable=False)


def touched(desk: Desk) -> str:
    """The item that this agent touched last. Raises Usage."""
    agent = file_form(str(desk.actor()["agent_id"]))
    last = desk.call.journal.store.load("local", "bd", agent)
    if not last:
        raise Usage("no issue ID provided and no last touched issue")
    return last.decode()


def quick(desk: Desk, args: list[str], values: Values) -> Answer:
    """q: the id only"""
    answer = create(desk, args, values)
    return Answer("", [answer.obj["id"]])
