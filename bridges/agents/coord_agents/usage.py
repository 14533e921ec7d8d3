"""What a session used, as its runtime prints or records it. Pure."""

from __future__ import annotations

from coord_agents.paths import at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from coord_envelope.codec import Json

COUNTS = ("input", "output", "cache_read", "cache_write")
MOST = 1 << 53


def used(lines: Iterable[Json], where: Json, since: str = "") -> Json | None:
    """Tokens and millionths of a US dollar; None if no line has any.

    `where` is the table `usage` or `transcript` of a record: of the lines that match, the last, or
    with `sum` all; with `unique` the last of each value there. Lines with a `time` before `since`,
    a time stamp, are of an earlier session.
    """
    wanted, sums = where.get("match", {}), where.get("sum") is True
    found: dict[object, Json] = {}
    for line in lines:
        if all(at(line, path) == wanted[path] for path in wanted) and _is_since(line, where, since):
            key = str(at(line, where["unique"])) if "unique" in where else len(found)
            found[key if sums else 0] = _counts(line, where)
    if not found:
        return None
    *_, last = found.values()
    body: Json = {
        name: sum(counts[name] for counts in found.values())
        for name in (*COUNTS, "micros")
        if name in last
    }
    if where.get("input_has_cache"):
        body["input"] = max(0, body.get("input", 0) - body.get("cache_read", 0))
    if not body.get("micros"):
        body.pop("micros", None)
    body |= {"model": last["model"][:200]} if isinstance(last["model"], str) else {}
    return body if any(body.get(name) for name in (*COUNTS, "micros")) else None


def _counts(line: Json, where: Json) -> Json:
    counts: Json = {name: _count(at(line, where[name])) for name in COUNTS if name in where}
    counts |= {"micros": _micros(at(line, where["dollars"]))} if "dollars" in where else {}
    return counts | {"model": at(line, where["model"]) if "model" in where else None}


def _is_since(line: Json, where: Json, since: str) -> bool:
    stamp = at(line, where["time"]) if "time" in where else None
    return not isinstance(stamp, str) or stamp >= since


def reported(who: tuple[str, str], run: str, body: Json, work: str | None, pool: str) -> Json:
    """The event: one for each job, so that it counts once."""
    refs = {"run_id": run, **({"work_id": work} if work else {})}
    names = {"agent": who[0], "session": who[1], "pool": pool}
    return {
        "type": "usage.reported",
        "refs": refs,
        "body": names | body,
        "idempotency_key": f"usage:{run}",
    }


def _count(value: object) -> int:
    return value if type(value) is int and 0 <= value < MOST else 0


def _micros(value: object) -> int:
    number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9
    return round(value * 1e6) if number and isinstance(value, int | float) else 0
