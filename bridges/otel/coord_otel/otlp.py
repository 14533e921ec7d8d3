"""Records, spans and meters as requests of OTLP, in protobuf. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from opentelemetry.proto.common.v1 import common_pb2 as common
from opentelemetry.proto.metrics.v1 import metrics_pb2 as points
from opentelemetry.proto.trace.v1 import trace_pb2 as trace

from coord_envelope import VERSION
from coord_otel import meters as metering
from coord_otel.records import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coord_envelope.codec import Json
    from coord_otel.meters import Meters
    from coord_otel.spans import Span

NS = 1_000_000
_CUMULATIVE = points.AGGREGATION_TEMPORALITY_CUMULATIVE


def log_request(resource: Json, records: Iterable[Json], now: int) -> bytes:
    """An ExportLogsServiceRequest; `now` is when they were seen, in Unix milliseconds."""
    request = logs.ExportLogsServiceRequest()
    group = request.resource_logs.add()
    _fill(group.resource.attributes, resource)
    scope = group.scope_logs.add()
    _name(scope.scope)
    for record in records:
        row = scope.log_records.add()
        row.time_unix_nano, row.observed_time_unix_nano = record["ms"] * NS, now * NS
        row.severity_number = record["severity"]
        row.severity_text = NAMES[record["severity"]]
        row.event_name = record["name"]
        row.body.string_value = record["body"]
        row.trace_id = bytes.fromhex(record["trace"])
        if record["span"]:
            row.span_id = bytes.fromhex(record["span"])
        _fill(row.attributes, record["attributes"])
    return bytes(request.SerializeToString())


def trace_request(resource: Json, spans: Iterable[Span]) -> bytes:
    """An ExportTraceServiceRequest."""
    request = traces.ExportTraceServiceRequest()
    group = request.resource_spans.add()
    _fill(group.resource.attributes, resource)
    scope = group.scope_spans.add()
    _name(scope.scope)
    for span in spans:
        row = scope.spans.add()
        row.trace_id, row.span_id = bytes.fromhex(span["trace"]), bytes.fromhex(span["span"])
        if span["parent"]:
            row.parent_span_id = bytes.fromhex(span["parent"])
        row.name, row.kind = span["name"], trace.Span.SPAN_KIND_INTERNAL
        row.start_time_unix_nano, row.end_time_unix_nano = span["begin"] * NS, span["end"] * NS
        _fill(row.attributes, span["attributes"])
        if span["failed"]:
            row.status.code = trace.Status.STATUS_CODE_ERROR
            row.status.message = span["failed"]
    return bytes(request.SerializeToString())


def metric_request(resource: Json, meters: Meters, begin: int, now: int) -> bytes:
    """An ExportMetricsServiceRequest of what was counted from `begin` to `now`."""
    request = metrics.ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    _fill(group.resource.attributes, resource)
    scope = group.scope_metrics.add()
    _name(scope.scope)
    rows: dict[str, Any] = {}
    for name, attributes, numbers in metering.each(meters):
        row = rows.get(name) or _metric(scope.metrics.add(), name)
        rows[name] = row
        if name in metering.COUNTERS:
            point = row.sum.data_points.add()
            point.as_double = numbers["n"]
        else:
            point = row.histogram.data_points.add()
            point.count, point.sum = numbers["n"], numbers["sum"]
            point.bucket_counts.extend(numbers["buckets"])
            point.explicit_bounds.extend(metering.HISTOGRAMS[name][2])
        point.start_time_unix_nano, point.time_unix_nano = begin * NS, now * NS
        _fill(point.attributes, attributes)
    return bytes(request.SerializeToString())


def _metric(row: Any, name: str) -> Any:
    row.name = name
    if name in metering.COUNTERS:
        row.description = metering.COUNTERS[name]
        row.unit = "USD" if name == "coord.usage.cost" else "1"
        row.sum.aggregation_temporality, row.sum.is_monotonic = _CUMULATIVE, True
    else:
        row.description, row.unit, _ = metering.HISTOGRAMS[name]
        row.histogram.aggregation_temporality = _CUMULATIVE
    return row


_ANSWERS: dict[str, tuple[Any, str]] = {
    "logs": (logs.ExportLogsServiceResponse, "rejected_log_records"),
    "traces": (traces.ExportTraceServiceResponse, "rejected_spans"),
    "metrics": (metrics.ExportMetricsServiceResponse, "rejected_data_points"),
}


def rejected(signal: str, answer: bytes) -> tuple[int, str]:
    """How many a collector took out of a request, and why; (0, "") for any other answer."""
    kind, field = _ANSWERS[signal]
    try:
        partial = kind.FromString(answer).partial_success
    except Exception:  # DecodeError of protobuf: an answer in JSON, or of a proxy
        return 0, ""
    return getattr(partial, field), partial.error_message


def _name(scope: common.InstrumentationScope) -> None:
    scope.name, scope.version = "coord-otel", VERSION


def _fill(row: Any, attributes: Json) -> None:
    for name, value in attributes.items():
        pair = row.add()
        pair.key = name
        if isinstance(value, bool):
            pair.value.bool_value = value
        elif isinstance(value, int):
            pair.value.int_value = value
        elif isinstance(value, float):
            pair.value.double_value = value
        else:
            pair.value.string_value = str(value)
