"""Traces: a span for each request and for each call made for it, sent to an OpenTelemetry collector."""
