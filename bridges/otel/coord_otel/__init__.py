"""coord-otel - export the journal as OpenTelemetry logs, spans and metrics."""
