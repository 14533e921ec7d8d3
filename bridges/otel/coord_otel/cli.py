"""The command of coord-otel."""

from __future__ import annotations

import sys

from coord_envelope import Usage
from coord_envelope.errors import Refused
from coord_kernel.cli import process
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
    with extra("otel", *PACKAGES):
        exporter, where = _exporter(call, to, prometheus)
    if looks.status:
        state = exporter.state
        row = {"to": where, "exported": state.exported, "behind": exporter.behind()}
        call.put([row | {"open": len(state.open)}])
    elif looks.dry_run:
        call.put([{"to": where} | exporter.rehearsed()])
    else:
        exporter.alone()
        exporter.bounded = not once
        _begin(exporter, first)
        _serve(call, exporter, prometheus, once)


def _exporter(call: Call, to: str | None, prometheus: str | None) -> tuple[Exporter, str]:
    from coord_otel.collector import Collector, endpoint
    from coord_otel.exporter import Exporter

    url = to or endpoint()
    if not url and not prometheus:
        raise Usage("no collector", todo="use --to http://HOST:4318, or --prometheus :9464")
    from coord_otel import otlp  # noqa: F401 - fails here if the extra is not installed

    return Exporter(call.journal, Collector(url) if url else None), url or "prometheus"


def _begin(exporter: Exporter, first: g.First) -> None:
    """A first export is bounded."""
    from coord_otel.exporter import FIRST

    if exporter.state.saved:
        return
    if first.now:
        exporter.skip()
    elif exporter.behind() > FIRST and not first.all_:
        what = f"the first export has {exporter.behind():,} events, more than {FIRST:,}"
        raise Refused(what, todo="use --all, or --now to begin behind them")


def _serve(call: Call, exporter: Exporter, prometheus: str | None, once: bool) -> None:
    from coord_kernel.cli.turns import serve

    if prometheus:
        from coord_otel.prometheus import Meter
        from coord_otel.prometheus import serve as listen

        meter = Meter(exporter.state.meters)
        exporter.counted = meter.see
        call.put([{"url": listen(prometheus, meter)}])
    serve(call, exporter, once)


COMMANDS = (run,)
ABOUT = "Export the journal as OpenTelemetry logs, spans and metrics."


def main() -> None:
    # `coord-otel --once` is `coord-otel run --once`.
    first = sys.argv[1:2]
    if not first or first[0] not in ("run", "-h", "--help", "--version"):
        sys.argv.insert(1, "run")
    process.run("coord-otel", ABOUT, COMMANDS, "coord_otel.options", {})
