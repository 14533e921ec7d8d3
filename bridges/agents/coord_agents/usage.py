"""What a session used, as its runtime prints it. Pure."""

from __future__ import annotations

from coord_agents.evidence import at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from coord_envelope.codec import Json

COUNTS = ("input", "output", "cache_read", "cache_write")
MOST = 1 << 53


def used(lines: Iterable[Json], where: Json) -> Json | None:
    """Tokens and millionths of a US dollar; None if no line has any.

    `where` is the table `usage` of a record: of the lines that match, the last, or with `sum` all.
    """
    wanted = where.get("match", {})
    found = [line for line in lines if all(at(line, path) == wanted[path] for path in wanted)]
    if not found:
        return None
    counted = found if where.get("sum") else found[-1:]
    body: Json = {
        name: sum(_count(at(line, where[name])) for line in counted)
        for name in COUNTS
        if name in where
    }
    if where.get("input_has_cache"):
        body["input"] = max(0, body.get("input", 0) - body.get("cache_read", 0))
    micros = sum(_micros(at(line, where["dollars"])) for line in counted if "dollars" in where)
    model = at(counted[-1], where["model"]) if "model" in where else None
    body |= {"micros": micros} if micros else {}
    body |= {"model": model[:200]} if isinstance(model, str) else {}
    return body if any(body.get(name) for name in (*COUNTS, "micros")) else None


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
