"""Events as counters and histograms, cumulative. Pure: the meters are plain data, as JSON.

A series is a metric with its attributes. More than MOST of a metric are one, with `coord.other`:
names are what writers say, and a writer may say anything.
"""

from __future__ import annotations

from coord_envelope import codec
from coord_otel import spans

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from coord_envelope import Event
    from coord_envelope.codec import Json
    from coord_otel.spans import Find, Span

    Meters = dict[str, dict[str, Json]]
    """Metric → attributes as JSON → {n}, or {n, sum, buckets}."""

MOST = 200
SECONDS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3_600, 14_400, 86_400)
TOKENS = tuple(4**n for n in range(14))
COUNTERS = {
    "coord.events": "Events, by type.",
    "coord.spawns": "Sessions of agents that started.",
    "coord.claims": "Claims of items and jobs, and leases.",
    "coord.conflicts": "Claims that were conceded or stolen, and leases that were lost.",
    "coord.mail": "Messages.",
    "coord.jobs": "Jobs that ended, by outcome.",
    "coord.sync.events": "Events that came from other replicas.",
    "coord.usage.cost": "What providers were paid, in US dollars.",
}
HISTOGRAMS = {
    "coord.claim.age": ("How long items were claimed.", "s", SECONDS),
    "coord.job.duration": ("How long attempts of jobs ran.", "s", SECONDS),
    "coord.hop.latency": ("From a cause to its event.", "s", SECONDS),
    "coord.sync.time": ("From an event of another replica to its arrival.", "s", SECONDS),
    "gen_ai.client.token.usage": ("Number of input and output tokens used.", "{token}", TOKENS),
}
_CONFLICTS = ("work.conceded", "run.conceded", "msg.conceded", "lease.lost")
_CLAIMS = ("work.claimed", "run.claimed", "lease.acquired")
_TOKENS = {
    "input": "input",
    "output": "output",
    "cache_read": "cache_read",
    "cache_write": "cache_creation",
}


class Here:
    """What a batch is counted with."""

    def __init__(self, replicas: Iterable[str], find: Find, arrived: int | None) -> None:
        """`arrived`: when it came, in Unix milliseconds, if that is now; None for history."""
        self.replicas, self.find, self.arrived = frozenset(replicas), find, arrived


def count(meters: Meters, event: Event, ended: Iterable[Span], here: Here) -> None:
    """Add what an event says, and the spans that it ended."""
    kind, body = event["type"], event["body"]
    _add(meters, "coord.events", {"type": kind})
    if kind == "session.started":
        _add(meters, "coord.spawns", {"agent": body.get("agent") or event["actor"]["agent_id"]})
    if kind in _CLAIMS:
        _add(meters, "coord.claims", {"kind": kind.partition(".")[0]})
    if kind in _CONFLICTS or (kind in _CLAIMS and body.get("steal") is True):
        _add(meters, "coord.conflicts", {"kind": kind.partition(".")[0]})
    if kind == "msg.sent":
        _add(meters, "coord.mail", {})
    if kind == "run.completed":
        _add(meters, "coord.jobs", {"outcome": _outcome(body)})
    if event["writer"].partition("+")[0].rpartition("~")[2] not in here.replicas:
        _add(meters, "coord.sync.events", {})
        if here.arrived is not None:
            _observe(meters, "coord.sync.time", (here.arrived - spans.ms(event["ts"])) / 1000, {})
    if "cause" in event and (cause := here.find(event["cause"])):
        latency = (spans.ms(event["ts"]) - spans.ms(cause["ts"])) / 1000
        _observe(meters, "coord.hop.latency", latency, {"type": kind})
    if kind == "usage.reported":
        _spent(meters, event, body)
    for span in ended:
        seconds = (span["end"] - span["begin"]) / 1000
        if span["name"] == "claim":
            _observe(meters, "coord.claim.age", seconds, {"end": span["attributes"]["coord.end"]})
        elif "coord.run_id" in span["attributes"]:
            _observe(meters, "coord.job.duration", seconds, {"failed": bool(span["failed"])})


def _outcome(body: Json) -> str:
    outcome = body.get("outcome")
    if outcome == "exit":
        return "success" if body.get("code") in (0, None) else "failure"
    return outcome if outcome in ("signal", "timeout", "cancelled", "error") else "unknown"


def _spent(meters: Meters, event: Event, body: Json) -> None:
    names = {"gen_ai.agent.name": body.get("agent") or event["actor"]["agent_id"]}
    names |= {"gen_ai.request.model": body["model"]} if body.get("model") else {}
    names |= {"coord.pool": body["pool"]} if body.get("pool") else {}
    micros = body.get("micros")
    if type(micros) is int and micros > 0:
        _add(meters, "coord.usage.cost", names, micros / 1_000_000)
    for field, name in _TOKENS.items():
        tokens = body.get(field)
        if type(tokens) is int and tokens > 0:
            more = {"gen_ai.operation.name": "invoke_agent", "gen_ai.token.type": name}
            _observe(meters, "gen_ai.client.token.usage", tokens, names | more)


def _series(meters: Meters, metric: str, attributes: Json, empty: Json) -> Json:
    plain = {
        name: value if isinstance(value, bool) else str(value)[:200]
        for name, value in sorted(attributes.items())
    }
    series, key = meters.setdefault(metric, {}), codec.dumps(plain).decode("utf-8", "replace")
    if key not in series and len(series) >= MOST:
        key = '{"coord.other":true}'
    return series.setdefault(key, empty)


def _add(meters: Meters, metric: str, attributes: Json, n: float = 1) -> None:
    _series(meters, metric, attributes, {"n": 0})["n"] += n


def _observe(meters: Meters, metric: str, value: float, attributes: Json) -> None:
    bounds, value = HISTOGRAMS[metric][2], max(0.0, value)
    empty = {"n": 0, "sum": 0.0, "buckets": [0] * (len(bounds) + 1)}
    series = _series(meters, metric, attributes, empty)
    series["n"] += 1
    series["sum"] += value
    series["buckets"][next((n for n, most in enumerate(bounds) if value <= most), -1)] += 1


def each(meters: Meters) -> Iterator[tuple[str, Json, Json]]:
    """(metric, attributes, numbers) of all series."""
    for metric, series in meters.items():
        for key, numbers in series.items():
            yield metric, codec.loads(key.encode()), numbers
