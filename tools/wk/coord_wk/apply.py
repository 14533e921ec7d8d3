"""Many changes at once: operations as JSON lines, and what each makes of those after it.

    {"op":"new", "as":"$parser", "title":"Write the parser"}
    {"op":"dep", "id":"$parser", "to":"wk-k3f9x2ab"}

Operations after the one with `as` may use its name wherever an id is.

    1. Each operation is checked by itself, bodies included, without the lock (`prepared`).
    2. So many at a time are written in one transaction, all that are valid or none: other writers
       wait for no more than that.
    3. Under the lock ids are looked up, and what an operation must find: open, not held by another.
    4. Whether dependencies close a cycle is asked once for all of a transaction. Only if one does,
       nothing is written, and it begins again and asks for each operation.
"""

from __future__ import annotations

from coord_envelope import BadData, Fault, No
from coord_envelope.platform import contextmanager
from coord_kernel.cli import stdin
from coord_kernel.rules import claims
from coord_wk import draft as drafts
from coord_wk import fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_kernel.cli.call import Call
    from coord_kernel.journal.transaction import Transaction
    from coord_wk.items import Items
    from coord_wk.work import Work

    Prepared = Json | Fault
    Resolve = Callable[[str], str]

OPERATIONS = {
    "new": (*drafts.NEW, "as"),
    "update": ("id", "set", "add", "rm", "force"),
    "dep": ("id", "to", "rel"),
    "comment": ("id", "text"),
    "claim": ("id", "force"),
    "close": ("id", "resolution", "note", "force"),
    "reopen": ("id", "reason"),
}
"""The fields of each operation, besides op and idempotency_key."""
VERBS = {"claim": "claimed", "comment": "commented", "close": "closed", "reopen": "reopened"}
AT_ONCE, FEW = 5_000, 1_000
"""Operations to a transaction: of a plan, and of items that have nothing to do with each other."""
ATOMIC = 1 << 24
"""Bytes of events that are written all or none."""
PLAIN = frozenset(("title", "desc", "blob", "kind", "priority", "labels", "hold", "parent", "deps"))
"""Fields of a new item that are checked without the schema."""
_ANY = "0" * 26
_BLOB = "$blob"
"""The field of an operation that stands for a long text. No input line has it."""


class Changes:
    """The operations of one command."""

    def __init__(
        self, call: Call, work: Work, allow_missing: bool = False, at_once: int = AT_ONCE
    ) -> None:
        self._call, self._work, self._at_once = call, work, at_once
        self._allow_missing = allow_missing
        self._names: dict[str, str] = {}

    def make(self, lines: Sequence[stdin.Line], fixed: Json) -> None:
        """Do the operations on these lines, and print. `fixed` are fields of all of them."""
        for at in range(0, len(lines), self._at_once):
            part = lines[at : at + self._at_once]
            operations = [_operation(self._work, raw, fixed) for _, raw in part]
            answers = self._written(operations)
            where = (
                _placed(f"line {number}", answer)
                for (number, _), answer in zip(part, answers, strict=True)
            )
            self._call.tell_each(zip(where, answers, strict=True))

    def make_all(self, lines: Sequence[stdin.Line]) -> None:
        """Do all of the operations, and print; or none, and report those that failed."""
        operations = [_operation(self._work, raw, {}) for _, raw in lines]
        where = [f"line {number}" for number, _ in lines]
        try:
            if any(isinstance(operation, Fault) for operation in operations):
                raise _PartlyError(operations)
            answers = self._written(operations, whole=True)
        except _PartlyError as failed:
            for place, answer in zip(where, failed.args[0], strict=True):
                if isinstance(answer, Fault):
                    self._call.fail(answer, _placed(place, answer))
            self._call.warn("nothing was written")
            return
        self._call.tell_each(zip(where, answers, strict=True))

    def _written(self, operations: list[Prepared], whole: bool = False) -> list[Event | Fault]:
        good = [operation for operation in operations if not isinstance(operation, Fault)]
        self._call.journal.prepare(good)
        if not good:
            return [fault for fault in operations if isinstance(fault, Fault)]
        linked = any(map(_needs_items, good))
        for each in (False, True) if linked else (True,):
            names = dict(self._names)
            try:
                with self._call.printing_accepted(), self._transaction(linked) as (t, items):
                    batch = Batch(items, self._work, names, self._allow_missing)
                    batch.each = each
                    answers = [t.attempt(operation, batch.add) for operation in operations]
                    if not each and batch.cyclic():
                        raise _CyclicError
                    if whole:
                        _complete(answers)
                        t.whole = True
            except _CyclicError:
                continue
            break
        self._names = names
        return answers

    @contextmanager
    def _transaction(self, linked: bool) -> Iterator[tuple[Transaction, Items | None]]:
        if linked:
            with self._work.transaction() as both:
                yield both
        else:
            with self._work.adding() as t:
                yield t, None


class _CyclicError(Exception):
    """Some of the dependencies of a transaction would close a cycle."""


class _PartlyError(Exception):
    """Of operations that are to be done all or none, some cannot be done."""


def _complete(answers: list[Event | Fault]) -> None:
    """Raise _PartlyError if one is a fault, and BadData if they are too many."""
    if any(isinstance(answer, Fault) for answer in answers):
        raise _PartlyError(answers)
    size = sum(len(answer.raw) for answer in answers if not isinstance(answer, Fault))
    if size > ATOMIC:
        raise BadData(f"exceeds {ATOMIC:,} bytes of events", todo="leave out --atomic, or cut it")


def _operation(work: Work, raw: bytes, fixed: Json) -> Prepared:
    try:
        operation = stdin.record(raw) | fixed
        kind, new = operation.get("op"), operation.get("set")
        if kind == "update" and isinstance(new, dict):
            operation[_BLOB] = work.shortened(new, "desc")
        elif kind in ("new", "comment"):
            operation[_BLOB] = work.shortened(operation, "desc" if kind == "new" else "text")
        return prepared(operation)
    except Fault as fault:
        return fault


def _needs_items(operation: Json) -> bool:
    """Does it concern items that are there, or may be?"""
    return operation["op"] != "new" or "parent" in operation or "deps" in operation


def prepared(operation: Json) -> Json:
    """The operation, checked as far as that is possible without items. Raises BadData, Usage."""
    kind = operation.get("op")
    if not isinstance(kind, str) or kind not in OPERATIONS:
        raise BadData(f"unknown op {kind!r}", todo=f"valid ops: {' '.join(OPERATIONS)}")
    for name in operation:
        if name not in (*OPERATIONS[kind], "op", "idempotency_key", _BLOB):
            todo = f"valid fields: {', '.join(OPERATIONS[kind])}"
            raise BadData(f"unknown field {name!r}", todo=todo)
    if not isinstance(operation.get("force", False), bool):
        raise BadData("force is not true or false")
    if kind == "new":
        named = operation.get("as")
        if named is not None and (not isinstance(named, str) or not named.startswith("$")):
            raise BadData(f"not a valid name in as: {named!r}", todo="begin it with $")
        verb, body = "created", _created(operation, lambda _: _ANY)["body"]
    else:
        _text(operation, "id")
        verb, body = _body(kind, operation, lambda _: _ANY)
    if kind == "update" or (kind == "new" and not _plain(body)):
        from coord_envelope.bodies import check_body  # 1 ms

        check_body(f"work.{verb}", body)
    return operation


def _plain(body: Json) -> bool:
    """Is everything in the body of a new item checked already?"""
    lists = all(isinstance(body.get(name, []), list) for name in ("labels", "deps"))
    return lists and body.keys() <= PLAIN


def _created(operation: Json, resolve: Resolve) -> Json:
    fields = ("op", "as", _BLOB)
    words = {field: value for field, value in operation.items() if field not in fields}
    return drafts.created(_linked(words, resolve), operation.get(_BLOB))


def _body(kind: str, operation: Json, resolve: Resolve) -> tuple[str, Json]:
    names = tuple(name for name in OPERATIONS[kind][1:] if name != "force")
    body = {name: operation[name] for name in names if operation.get(name) is not None}
    if kind == "dep":
        dep = {"rel": body.get("rel", "blocked_by"), "to": body.get("to")}
        return "updated", {"add": _linked({"deps": [dep]}, resolve)}
    blob = operation.get(_BLOB, {})
    if kind in ("update", "comment") and not body and not blob:
        raise BadData(f"{kind} without {' or '.join(names)}")
    if kind == "update":
        return "updated", {name: _linked(part, resolve) for name, part in body.items()} | blob
    if kind == "close":
        body = {"resolution": "done", **body}
    drafts.check(body)
    return VERBS[kind], body | blob


def _linked(words: Any, resolve: Resolve) -> Any:
    """The same with full ids for short ids and names, in `parent` and `deps`."""
    if not isinstance(words, dict):
        return words
    linked = dict(words)
    if linked.get("parent") is not None:
        linked["parent"] = resolve(_text(linked, "parent"))
    if isinstance(linked.get("deps"), list):
        linked["deps"] = [_dep(dep, resolve) for dep in linked["deps"]]
    return linked


def _dep(dep: object, resolve: Resolve) -> Json:
    if not isinstance(dep, dict) or dep.get("rel") not in drafts.RELATIONS:
        todo = f"valid values of rel: {' '.join(drafts.RELATIONS)}"
        raise BadData("not a dependency: {rel, to}", todo=todo)
    return {"rel": dep["rel"], "to": resolve(_text(dep, "to"))}


def _text(words: Json, name: str) -> str:
    text = words.get(name)
    if not isinstance(text, str):
        raise BadData(f"{name} is missing or not an id")
    return text


class Batch:
    """Adds prepared operations to a transaction, each with the effects of those before it."""

    each = True
    """Is each operation asked whether it closes a cycle?"""

    def __init__(
        self, items: Items | None, work: Work, names: dict[str, str], allow_missing: bool
    ) -> None:
        """`items`: None if no operation needs them; `names` come from earlier transactions."""
        self._items, self._work, self._names = items, work, names
        self._allow_missing = allow_missing
        self._closed: dict[str, bool] = {}
        self._claims: dict[str, str] = {}
        """Item → the claim on it that an operation made."""
        self._heads: dict[str, list[str]] = {}

    def add(self, t: Transaction, operation: Json) -> Event:
        """The event of an operation; if it changes nothing, the event that made it so.

        Raises BadData, No, Usage: the operation has no effect then.
        """
        kind, key = operation["op"], operation.get("idempotency_key")
        if kind == "claim" and (mine := self._mine(operation)):
            return t.repeat(mine)
        draft = self._new(operation) if kind == "new" else self._change(kind, operation)
        item, added = draft["refs"]["work_id"], drafts.waits(draft["body"])
        if kind in ("update", "dep") and key is None and item not in self._heads and self._items:
            standing = fold.standing(self._items.known(item), draft["body"])
            if standing and (event := self._work.event(standing)):
                return t.repeat(event)
        if self._items and self.each:
            self._items.refuse_cycle(item, *added)
        if key is not None:
            draft["idempotency_key"] = key
        event = t.add(draft)
        self._record(operation, event)
        return event

    def cyclic(self) -> bool:
        """Does a cycle close with the operations so far?"""
        return self._items is not None and self._items.supposed_cycle()

    def _record(self, operation: Json, event: Event) -> None:
        item, born = event["refs"]["work_id"], operation["op"] == "new" and "$dup" not in event
        self._heads[item] = [event.id]
        if self._items and "$dup" not in event:
            self._items.suppose(item, *drafts.waits(event["body"]), born=born)
        if operation.get("as"):
            self._names[operation["as"]] = item
        if operation["op"] == "claim":
            self._claims[item] = event.id
        if operation["op"] in ("new", "close", "reopen"):
            self._claims.pop(item, None)
            self._closed[item] = operation["op"] == "close"

    def _new(self, operation: Json) -> Json:
        name: str | None = operation.get("as")
        if name in self._names:
            raise BadData(f"{name} is the name of an earlier operation", todo="use another name")
        return _created(operation, self._resolve)

    def _change(self, kind: str, operation: Json) -> Json:
        assert self._items is not None
        item, force = self._item(operation), operation.get("force", False)
        verb, body = _body(kind, operation, self._resolve)
        closed = self._is_closed(item)
        if closed and (kind in ("claim", "close") or (kind == "update" and not force)):
            raise No(f"{item} is closed", todo="reopen it first", code="closed")
        if kind == "reopen" and not closed:
            raise No(f"{item} is not closed", code="wrong_state")
        if kind == "reopen":
            drafts.refuse_answered(item, self._items.state(item))
        draft: Json = {
            "type": f"work.{verb}",
            "refs": {"work_id": item},
            "base": self._heads.get(item) or claims.base(self._items.known(item)),
            "body": body,
        }
        holder = self._holder(item)
        if kind == "claim":
            self._refuse_status(item, holder, force)
            known = self._items.state(item)
            body["gen"] = 1 if known is None else claims.next_gen(known)
        if kind == "close":
            claim = self._claims.get(item) or (holder and holder["id"])
            body |= {"claim": claim} if claim else {}
            if holder and not self._work.mine(holder):
                if not force:
                    raise self._held(item, holder)
                draft["to"] = [holder["agent"]]
        return drafts.assigning(draft, self._items.state(item), self._work.actor())

    def _mine(self, operation: Json) -> Event | None:
        """The caller's claim on the item, if it held it before these operations."""
        holder = self._holder(self._item(operation))
        return self._work.event(holder["id"]) if holder and self._work.mine(holder) else None

    def _holder(self, item: str) -> claims.Owner | None:
        """Who held it before these operations."""
        assert self._items is not None
        state = None if item in self._closed else self._items.state(item)
        return None if state is None else claims.owner(state)

    def _held(self, item: str, holder: claims.Owner) -> No:
        refusal = self._work.refusal(holder)
        refusal.what, refusal.todo = f"{item} {refusal.what}", '"force": true closes it anyway'
        return refusal

    def _refuse_status(self, item: str, holder: claims.Owner | None, force: bool) -> None:
        """Raise No if the item cannot be claimed."""
        assert self._items is not None
        if "question" in (self._items.state(item) or ()):
            raise No(f"{item} is a question", todo="`wk answer` it", code="wrong_state")
        if item in self._claims or holder:
            what = f"is held by {self._work.named(holder)}" if holder else "is claimed already"
            raise No(f"{item} {what}", code="held")
        status = self._items.supposed_status(item)
        if status != "ready" and not force:
            raise No(f"{item} is {status}", todo='"force": true claims it', code="wrong_state")

    def _is_closed(self, item: str) -> bool:
        if item in self._closed:
            return self._closed[item]
        assert self._items is not None
        return bool(fold.value(self._items.known(item), "closed"))

    def _item(self, operation: Json) -> str:
        """The item that it changes, which must be here."""
        item = self._resolve(operation["id"])
        assert self._items is not None
        if item not in self._closed and self._items.state(item) is None:
            raise No("no such work item", where=item, code="not_found")
        return item

    def _resolve(self, text: str) -> str:
        assert self._items is not None
        if not text.startswith("$"):
            return self._items.resolve(text, self._allow_missing)
        if text not in self._names:
            raise BadData(f"no earlier operation has the name {text}")
        return self._names[text]


def _placed(line: str, answer: Event | Fault) -> str:
    """Where a failure is: the line, and what on it."""
    where = answer.where if isinstance(answer, Fault) else ""
    return f"{line}: {where}" if where else line
