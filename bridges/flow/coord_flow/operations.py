"""A cooked formula as operations for `wk apply`. Pure."""

from __future__ import annotations

import hashlib

from coord_envelope import codec, ids
from coord_flow import values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope.codec import Json
    from coord_flow.cook import Order
    from coord_flow.graph import Cooked
    from coord_flow.steps import Step

ROOT = "$"
"""The name of the root in the operations; that of a step is `$ID`."""
MOL, WISP, CONVOY = "mol", "wisp", "convoy"
_KINDS = {"parallel": "", "sequential": ""}
"""Types that say how a step is done, not what it is."""


def default_key(made: Cooked, order: Order) -> str:
    """The key of what was asked without one: of the formula, its variables and place."""
    asked = [made.bound, order.parent, order.preset, order.wisp]
    digest = hashlib.sha256(codec.dumps(asked)).hexdigest()[:12]
    return f"{made.name[:100]}:{digest}"


def operations(made: Cooked, order: Order) -> Iterator[Json]:
    """The operations, the root first, each behind those that it names."""
    key = order.key or default_key(made, order)
    yield _root(made, order, key)
    for step in made.steps:
        parent = f"${made.parent[step.id]}" if step.id in made.parent else ROOT
        yield _new(step, made, parent) | {"idempotency_key": ids.key(f"cook:{key}:{step.id}")}


def _root(made: Cooked, order: Order, key: str) -> Json:
    data, fields = made.data, {"formula": made.name}
    if type(data.get("version")) is int:
        fields["version"] = data["version"]
    fields |= {f"var.{name}": text for name, text in made.bound.items() if 0 < len(text) <= 4_000}
    vapor = order.wisp or data.get("phase") == "vapor"
    if _table(data, "squash").get("trigger") == "on_complete":
        fields["squash"] = "on_complete"
    labels = [WISP if vapor else MOL, *([CONVOY] if made.convoy else [])]
    prompt = _table(data, "prompts").get("base")
    texts = [str(data.get("description", "")).strip(), *([prompt] if prompt else [])]
    title = made.bound.get("title") or made.name
    return {
        "op": "new",
        "as": ROOT,
        "title": " ".join(title.split())[:180] or made.name,
        "desc": values.filled("\n\n".join(filter(None, map(str, texts))), made.bound),
        "kind": "epic" if made.convoy else "molecule",
        "labels": labels,
        "fields": fields,
        **({"parent": order.parent} if order.parent else {}),
        "idempotency_key": ids.key(f"cook:{key}:"),
    }


def _new(step: Step, made: Cooked, parent: str) -> Json:
    data = step.data
    kind = _KINDS.get(step.kind, step.kind) or ("epic" if step.children else "task")
    fields = {"step": step.id, **data.get("fields", {})}
    fields |= data.get("metadata", {})
    if "timeout" in data:
        fields["timeout"] = data["timeout"]
    needs = made.needs[step.id]
    deps = [{"rel": "blocked_by", "to": f"${need}"} for need in needs]
    operation: Json = {"op": "new", "as": f"${step.id}", "title": step.title, "kind": kind}
    operation |= {"desc": step.desc} if step.desc else {}
    operation |= {"priority": data["priority"]} if "priority" in data else {}
    operation |= {"labels": list(dict.fromkeys(step.labels))} if step.labels else {}
    operation |= {"assignee": step.assignee} if step.assignee else {}
    operation |= {"deps": deps} if deps else {}
    return operation | {"parent": parent, "fields": fields}


def _table(data: Json, name: str) -> Json:
    value = data.get(name)
    return value if isinstance(value, dict) else {}
