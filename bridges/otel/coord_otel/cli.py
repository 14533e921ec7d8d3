"""The command of coord-otel."""

from __future__ import annotations

import sys

from coord_envelope import Usage
from coord_kernel.cli import process, values
from coord_kernel.cli.extra import extra
from coord_otel import groups as g

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coord_kernel.cli.call import Call
    from coord_otel import options as o
    from coord_otel.exporter import Exporter

PACKAGES = ("google", "opentelemetry", "prometheus_client")


def run(
    call: Call,
    looks: g.Looks,
    first: g.First,
    to: o.To = None,
    prometheus: o.Prometheus = None,
    once: o.Once = False,
) -> None:
    """Export the journal to OpenTelemetry.

    Each event is a log record, each attempt of a job, claim and run of a consumer a span; counters
    and histograms are metrics. Stays in the foreground, goes on where it was, and writes no event.
    """
    values.one_of(once=once, dry_run=looks.dry_run, status=looks.status)
    values.one_of(all_=first.all_, now=first.now)
    with extra("otel", *PACKAGES):
        exporters = _exporters(call, to, prometheus)
    if looks.status:
        call.put(exporter.status() for exporter in exporters)
    elif looks.dry_run:
        call.put({"to": exporter.to} | exporter.rehearsed() for exporter in exporters)
    else:
        for exporter in exporters:
            exporter.alone()
            exporter.begin(first.now, first.all_)
        _serve(call, exporters, prometheus, once)


def _exporters(call: Call, to: str | None, prometheus: str | None) -> list[Exporter]:
    """To the collector, and for Prometheus: that of the two which is down holds up only itself."""
    from coord_otel.collector import Collector, endpoint
    from coord_otel.exporter import Exporter

    url = to or endpoint()
    if not url and not prometheus:
        raise Usage("no collector", todo="use --to http://HOST:4318, or --prometheus :9464")
    from coord_otel import otlp  # noqa: F401 - fails here if the extra is not installed

    collector = Collector(url) if url else None
    exporters = [Exporter(call.journal, collector)] if collector else []
    if prometheus:
        beside = collector.url if collector else ""
        exporters.append(Exporter(call.journal, None, beside))
    return exporters


def _serve(call: Call, exporters: list[Exporter], prometheus: str | None, once: bool) -> None:
    from coord_kernel.cli.turns import serve
    from coord_otel.exporters import Exporters

    if prometheus:
        from coord_otel.prometheus import Meter
        from coord_otel.prometheus import serve as listen

        meter = Meter(exporters[-1].state.meters)
        exporters[-1].counted = meter.see
        call.put([{"url": listen(prometheus, meter)}])
    serve(call, Exporters(exporters, bounded=not once), once)


COMMANDS = (run,)
ABOUT = "Export the journal as OpenTelemetry logs, spans and metrics."


def main() -> None:
    # `coord-otel --once` is `coord-otel run --once`.
    first = sys.argv[1:2]
    if not first or first[0] not in ("run", "-h", "--help", "--version"):
        sys.argv.insert(1, "run")
    process.run("coord-otel", ABOUT, COMMANDS, "coord_otel.options", {})
