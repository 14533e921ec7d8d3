"""The meters for Prometheus, at http://HOST:PORT/metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from coord_envelope import Usage
from coord_envelope.errors import DiskFault
from coord_otel import meters as metering

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.core import Metric

    from coord_envelope.codec import Json
    from coord_otel.meters import Meters


class Meter(Collector):
    """What is counted now."""

    def __init__(self, meters: Meters) -> None:
        self.meters = meters

    def see(self, meters: Meters) -> None:
        """These count from now on; they are not changed any more."""
        self.meters = meters

    def collect(self) -> Iterable[Metric]:
        """A family for each metric, with the labels that any of its series has."""
        grouped: dict[str, list[tuple[Json, Json]]] = {}
        for name, attributes, numbers in metering.each(self.meters):
            grouped.setdefault(name, []).append((attributes, numbers))
        for name, series in grouped.items():
            labels = sorted({label for attributes, _ in series for label in attributes})
            yield _family(name, labels, series)


def _family(name: str, labels: list[str], series: list[tuple[Json, Json]]) -> Metric:
    plain, named = _plain(name), [_plain(label) for label in labels]
    if name in metering.COUNTERS:
        counter = CounterMetricFamily(plain, metering.COUNTERS[name], labels=named)
        for attributes, numbers in series:
            counter.add_metric(_values(attributes, labels), numbers["n"])
        return counter
    about, unit, bounds = metering.HISTOGRAMS[name]
    plain += "_seconds" if unit == "s" else ""
    histogram = HistogramMetricFamily(plain, about, labels=named)
    for attributes, numbers in series:
        total, buckets = 0, list[tuple[str, float]]()
        for bound, count in zip((*map(str, bounds), "+Inf"), numbers["buckets"], strict=True):
            total += count
            buckets.append((bound, total))
        histogram.add_metric(_values(attributes, labels), buckets, numbers["sum"])
    return histogram


def _plain(name: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in name)


def _values(attributes: Json, labels: list[str]) -> list[str]:
    return [str(attributes.get(label, "")) for label in labels]


def place(text: str) -> tuple[str, int]:
    """`:9464`, `HOST:9464`. Raises Usage."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not 0 <= int(port[:9]) < 65_536:
        raise Usage(f"not a valid address: {text}", todo="use :9464 or HOST:9464")
    return host.strip("[]") or "127.0.0.1", int(port)


def serve(where: str, meter: Meter) -> str:
    """Serve from a thread of its own; the URL. Raises Usage, DiskFault."""
    host, port = place(where)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(meter)
    try:
        server, _ = start_http_server(port, host, registry)
    except OSError as error:
        raise DiskFault(str(error.strerror).lower(), where=f"{host}:{port}") from None
    return f"http://{host}:{server.server_port}/metrics"
