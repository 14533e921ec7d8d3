"""A collector for tests: it decodes what comes with the real protobuf, and may be down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from ports import free_port
from pytest_httpserver import HTTPServer
from support import Json
from werkzeug import Request, Response


def plain(attributes: Any) -> Json:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


class Receiver:
    """What it has acknowledged; `refuse` says what it answers to a request in place of 200."""

    def __init__(self, server: HTTPServer) -> None:
        self.server, self.requests = server, Counter[str]()
        self.logs: list[Any] = []
        self.spans: list[Any] = []
        self.metrics: dict[str, Any] = {}
        self.resources: list[Json] = []
        self.headers: list[Json] = []
        self.refuse: Callable[[int], Response | None] = lambda _: None
        self.answer = b""
        for signal in ("logs", "traces", "metrics"):
            server.expect_request(f"/v1/{signal}", method="POST").respond_with_handler(self._take)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def _take(self, request: Request) -> Response:
        self.requests[request.path] += 1
        refused = self.refuse(sum(self.requests.values()))
        if refused is not None:
            return refused
        assert request.headers["content-type"] == "application/x-protobuf"
        self.headers.append(dict(request.headers))
        data = request.get_data()
        if request.path == "/v1/logs":
            for group in logs.ExportLogsServiceRequest.FromString(data).resource_logs:
                self.resources.append(plain(group.resource.attributes))
                self.logs += [row for scope in group.scope_logs for row in scope.log_records]
        elif request.path == "/v1/traces":
            for group in traces.ExportTraceServiceRequest.FromString(data).resource_spans:
                self.spans += [row for scope in group.scope_spans for row in scope.spans]
        else:
            for group in metrics.ExportMetricsServiceRequest.FromString(data).resource_metrics:
                for scope in group.scope_metrics:
                    self.metrics = {row.name: row for row in scope.metrics}
        return Response(self.answer, status=200, content_type="application/x-protobuf")

    def total(self, metric: str, **attributes: object) -> float:
        """Of a counter, or the count of a histogram, in series with these attributes."""
        row = self.metrics[metric]
        points = row.sum.data_points if row.HasField("sum") else row.histogram.data_points
        wanted = {name.replace("__", "."): value for name, value in attributes.items()}
        return sum(  # type: ignore[no-any-return]
            point.as_double if row.HasField("sum") else point.count
            for point in points
            if wanted.items() <= plain(point.attributes).items()
        )


@contextmanager
def receiving() -> Iterator[Receiver]:
    with HTTPServer(port=free_port()) as server:
        yield Receiver(server)
