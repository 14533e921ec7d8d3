"""The events that the controller of flows writes, and its questions. Pure."""

from __future__ import annotations

from coord_envelope import ids
from coord_flow import gates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from coord_envelope.codec import Json
    from coord_flow.plan import Gate, Member
    from coord_kernel.controller import Act


def landed(convoy: Json, members: Sequence[Member], key: str) -> Json:
    """The landing of a convoy: mail to whoever made it."""
    last = max(members, key=lambda member: member["event"])
    done = sum(member["resolution"] == "done" for member in members)
    short, others = ids.short("wk", convoy["work_id"]), len(members) - done
    text = f"{convoy['title']}: {done} of {len(members)} done"
    text += f", {others} closed without being done." if others else "."
    return {
        "type": "convoy.landed",
        "to": [convoy["created"]["by"]],
        "refs": {"work_id": convoy["work_id"]},
        "body": {
            "members": len(members),
            "done": done,
            "last": last["event"],
            "subject": f"{short} has landed: {convoy['title']}"[:200],
            "text": text,
        },
        "idempotency_key": key,
    }


def late(item: Json, root: Json, row: Json, act: Act) -> Json:
    """A step or a gate takes longer than it may: mail to who poured it, and who holds it."""
    limit = row.get("limit") or gates.spanned(row["fields"], "gate.timeout", 0)
    short = ids.short("wk", item["work_id"])
    to = {root["created"]["by"], *([row["agent"]] if row.get("agent") else [])}
    return {
        "type": "flow.late",
        "to": sorted(to),
        "refs": {"work_id": item["work_id"]},
        "body": {
            "what": act.about["what"],
            "limit_ms": limit,
            "subject": f"{short} takes long: {item['title']}"[:200],
            "text": f"It was to take {limit // 60_000} min.",
        },
        "idempotency_key": act.key,
    }


def question(gate: Gate, why: str, options: Sequence[str]) -> tuple[str, list[str]]:
    """The text of a gate's question, and the options of `wk ask`."""
    fields = gate["fields"]
    own = [text for text in str(fields.get("gate.options", "")).split("\n") if text]
    text, words = gate["title"], [f"--option={option}" for option in options or own]
    if why:
        text += f"\n{why}\nretry: do it again. accept: go on as if it were done. stop: hold it."
    limit = gates.spanned(fields, "gate.timeout", 0)
    if limit and gate["kind"] == gates.HUMAN:
        default = fields.get("gate.on_timeout") or ("no" if not own or "no" in own else own[-1])
        words += [f"--for={limit}ms", f"--on-timeout={default}"]
    return text, words
